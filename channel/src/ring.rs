//! A response ring: frames from one app thread to the gateway, in shared memory.
//!
//! Both positions only grow; their place in the ring is the position modulo its
//! length. The worker owns what lies between `read + RING` and `written`, the
//! gateway what lies between `written` and `read`. A frame is a header of eight
//! bytes and a payload, padded to eight, so no header crosses the ring's end.

use crate::ChannelError;
use crate::frame::{HEADER, Header, Kind, MAX_REPLY};
use crate::layout::{self, RING, ThreadHead};
use crate::memory::{Mapping, Window};
use crate::sync::Ordering;

/// Beyond this the writer goes back to the ring's start when the ring is empty,
/// so that small answers only ever touch a few pages.
const WARM: u64 = 64 * 1024;

/// The bytes that a payload takes in the ring.
const fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// The worker's side.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: usize,
    written: u64,
    read: u64,
}

impl Writer {
    pub(crate) const fn new(thread: usize) -> Self {
        Self { thread, written: 0, read: 0 }
    }

    /// How long a payload fits now; `None` if not even an empty one does.
    pub(crate) fn room(&mut self, head: &ThreadHead) -> Option<usize> {
        self.read = head.read.0.load(Ordering::Acquire);
        // The gateway is trusted here, but arithmetic must not wrap.
        let used = self.written.saturating_sub(self.read);
        let free = RING.checked_sub(usize::try_from(used).unwrap_or(RING));
        free.and_then(|free| free.checked_sub(HEADER))
    }

    /// Begins an answer: an empty ring starts again where the caches are warm. The
    /// way there takes room until it is read, so not if `bytes` would have to wait.
    pub(crate) fn rewind(&mut self, memory: &Mapping, head: &ThreadHead, bytes: u64) {
        let place = self.written % RING as u64;
        if place >= bytes.max(WARM) && head.read.0.load(Ordering::Acquire) == self.written {
            let length = RING - place as usize - HEADER;
            self.write(memory, Header { length, kind: Kind::Pad, detail: 0 }, &[]);
            self.written += length as u64;
        }
    }

    /// Puts one frame; the caller has seen that there is room.
    pub(crate) fn frame(&mut self, memory: &Mapping, kind: Kind, detail: u8, payload: &[u8]) {
        self.write(memory, Header { length: payload.len(), kind, detail }, payload);
    }

    fn write(&mut self, memory: &Mapping, header: Header, payload: &[u8]) {
        let base = layout::ring(self.thread);
        let place = (self.written % RING as u64) as usize;
        memory.write(base + place, &header.encode());
        let start = (place + HEADER) % RING;
        let (first, second) = payload.split_at(payload.len().min(RING - start));
        memory.write(base + start, first);
        memory.write(base, second);
        self.written += (HEADER + padded(payload.len())) as u64;
    }

    /// Shows the gateway all frames so far.
    pub(crate) fn publish(&self, head: &ThreadHead) {
        head.written.0.store(self.written, Ordering::Release);
    }
}

/// The gateway's side.
#[derive(Debug)]
pub(crate) struct Reader {
    thread: usize,
    read: u64,
}

/// A frame still in the ring; its payload may go around the ring's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Framed<'m> {
    pub(crate) header: Header,
    pub(crate) payload: [Window<'m>; 2],
    /// What to pass to [`Reader::consume`].
    pub(crate) size: usize,
}

impl Reader {
    pub(crate) const fn new(thread: usize) -> Self {
        Self { thread, read: 0 }
    }

    /// The frame `ahead` bytes behind the read position, if it is there.
    ///
    /// # Errors
    /// [`ChannelError::Broken`] when the worker wrote what can't be.
    pub(crate) fn peek<'m>(
        &self,
        memory: &'m Mapping,
        head: &ThreadHead,
        ahead: usize,
    ) -> Result<Option<Framed<'m>>, ChannelError> {
        let written = head.written.0.load(Ordering::Acquire);
        let there = written.wrapping_sub(self.read);
        if there > RING as u64 || !there.is_multiple_of(8) {
            return Err(ChannelError::Broken("impossible position in a ring"));
        }
        let there = there as usize - ahead.min(there as usize);
        if there == 0 {
            return Ok(None);
        }
        let base = layout::ring(self.thread);
        let place = (self.read as usize + ahead) % RING;
        let header = memory.window(base + place, HEADER).first();
        let header = Header::decode(header.unwrap_or_default())?;
        let limit = if header.kind == Kind::Pad { RING } else { MAX_REPLY };
        if header.length > limit || HEADER + padded(header.length) > there {
            return Err(ChannelError::Broken("a reply is longer than allowed"));
        }
        let start = (place + HEADER) % RING;
        let first = header.length.min(RING - start);
        let payload =
            [memory.window(base + start, first), memory.window(base, header.length - first)];
        Ok(Some(Framed { header, payload, size: HEADER + padded(header.length) }))
    }

    /// Gives `size` bytes back to the worker. `true` when a worker that waits for
    /// room shall be woken: not for each byte, but when it can go on for a while.
    pub(crate) fn consume(&mut self, head: &ThreadHead, size: usize) -> bool {
        self.read += size as u64;
        head.read.0.store(self.read, Ordering::Release);
        let used = head.written.0.load(Ordering::Relaxed).wrapping_sub(self.read);
        used <= (RING - RING / 4) as u64
    }
}
