//! What goes out on a connection: encoded bytes of ours, and between them large
//! parts of answers straight from shared memory, all in one vectored write.

use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, BytesMut};
use fastcgi_server::ProtocolStatus;
use fastcgi_server::encode::{self, MAX_CONTENT};
use flupd_channel::Window;
use flupd_channel::gateway::Payload;

use super::stream::Stream;

/// Parts of at least this size are written from where they are.
const LARGE: usize = 4 * 1024;

/// How many of them one write can take.
const WINDOWS: usize = 24;

/// The bytes of one batch of an answer, in order.
///
/// FastCGI puts head and body into as few STDOUT records as it can: a record
/// stays open until it is full or something else follows.
pub(super) struct Outgoing<'o, 'm> {
    out: &'o mut BytesMut,
    /// Each stands where `out` had so many bytes.
    windows: [Option<(usize, Window<'m>)>; WINDOWS],
    count: usize,
    windowed: usize,
    record: Option<Record>,
}

/// An open STDOUT record.
struct Record {
    id: u16,
    /// Where its header stands in `out`.
    header: usize,
    content: usize,
}

impl<'o, 'm> Outgoing<'o, 'm> {
    /// Continues after what waits in `out` already.
    pub(super) const fn new(out: &'o mut BytesMut) -> Self {
        Self { out, windows: [None; WINDOWS], count: 0, windowed: 0, record: None }
    }

    /// How many bytes there are in all.
    pub(super) fn len(&self) -> usize {
        self.out.len() + self.windowed
    }

    /// Whether a large part needs another write.
    pub(super) const fn is_full(&self) -> bool {
        // A part may go around the ring's end, and be cut by records.
        self.count + 12 > WINDOWS
    }

    /// Adds response bytes as they are.
    pub(super) fn plain(&mut self, part: Payload<'m>) {
        for window in part.0 {
            self.window(window);
        }
    }

    /// Adds response bytes to the STDOUT stream of a FastCGI request.
    pub(super) fn stdout(&mut self, id: u16, part: Payload<'m>) {
        for window in part.0 {
            let mut rest = window;
            while !rest.is_empty() {
                let room = self.record(id);
                let (part, after) = rest.split_at(room);
                if let Some(record) = &mut self.record {
                    record.content += part.len();
                }
                self.window(part);
                rest = after;
            }
        }
    }

    /// Adds STDERR text.
    pub(super) fn stderr(&mut self, id: u16, text: &[u8]) {
        self.close_record();
        encode::stderr(self.out, id, text);
    }

    /// Adds the end of a FastCGI request.
    pub(super) fn end_request(&mut self, id: u16) {
        self.close_record();
        encode::end_request(self.out, id, 0, ProtocolStatus::RequestComplete);
    }

    /// Opens a STDOUT record if none is open; how much still fits into it.
    fn record(&mut self, id: u16) -> usize {
        if self.record.as_ref().is_some_and(|record| record.content == MAX_CONTENT) {
            self.close_record();
        }
        let record = self.record.get_or_insert_with(|| {
            let header = self.out.len();
            self.out.put_bytes(0, encode::stdout_header(id, 0).0.len());
            Record { id, header, content: 0 }
        });
        MAX_CONTENT - record.content
    }

    /// Completes the open STDOUT record. Nothing else may follow before this.
    pub(super) fn close_record(&mut self) {
        let Some(Record { id, header, content }) = self.record.take() else { return };
        let length = u16::try_from(content).unwrap_or(u16::MAX);
        let (bytes, padding) = encode::stdout_header(id, length);
        if let Some(place) = self.out.get_mut(header..header + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
        self.out.put_bytes(0, padding);
    }

    fn window(&mut self, window: Window<'m>) {
        match self.windows.get_mut(self.count) {
            Some(place) if window.len() >= LARGE => {
                *place = Some((self.out.len(), window));
                self.count += 1;
                self.windowed += window.len();
            }
            _ => window.append_to(self.out),
        }
    }

    /// Writes all large parts, and what stands before and between them; without
    /// a large part it writes nothing. What the socket does not take is copied
    /// out of the shared memory and waits; then the answer is how much it took.
    ///
    /// # Errors
    /// What the operating system reports; the peer has gone then.
    pub(super) fn write(mut self, stream: &Stream) -> io::Result<Option<usize>> {
        self.close_record();
        if self.count == 0 {
            return Ok(None);
        }
        let total = self.len();
        let mut slices: [_; 2 * WINDOWS + 1] = std::array::from_fn(|_| IoSlice::new(&[]));
        let mut used = 0;
        let mut add = |slice| {
            if let Some(place) = slices.get_mut(used) {
                *place = slice;
                used += 1;
            }
        };
        let mut at = 0;
        for (before, window) in self.windows.iter().flatten() {
            add(IoSlice::new(self.out.get(at..*before).unwrap_or_default()));
            add(window.as_io_slice());
            at = *before;
        }
        add(IoSlice::new(self.out.get(at..).unwrap_or_default()));
        let written = stream.try_write_vectored(slices.get(..used).unwrap_or_default())?;
        if written == total {
            self.out.clear();
            return Ok(None);
        }
        self.keep(written);
        Ok(Some(written))
    }

    /// Copies together what is left after `written` bytes.
    fn keep(&mut self, mut written: usize) {
        let ours = std::mem::take(self.out);
        let mut left = BytesMut::with_capacity(ours.len() + self.windowed - written);
        let mut skip = |length: usize| {
            let skipped = written.min(length);
            written -= skipped;
            skipped
        };
        let mut at = 0;
        for (before, window) in self.windows.iter().flatten() {
            let mut run = ours.get(at..*before).unwrap_or_default();
            run.advance(skip(run.len()));
            left.put_slice(run);
            window.split_at(skip(window.len())).1.append_to(&mut left);
            at = *before;
        }
        let mut run = ours.get(at..).unwrap_or_default();
        run.advance(skip(run.len()));
        left.put_slice(run);
        *self.out = left;
    }
}
