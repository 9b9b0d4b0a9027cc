//! The last requests that a worker has answered: what is known of it once it is
//! dead. Nothing is allocated for a request.

use std::fmt;

use tokio::time::Instant;

use super::exchange::Exchange;

/// How many requests of a worker are remembered.
const REQUESTS: usize = 8;

/// How much of a method and a URL is remembered, in bytes.
const TEXT: usize = 120;

/// The last requests of one worker.
#[derive(Debug)]
pub(super) struct Recorder {
    records: [Record; REQUESTS],
    /// Where the next one goes.
    next: usize,
    /// How many there have been.
    served: u64,
}

/// One answered request.
#[derive(Debug, Clone, Copy)]
struct Record {
    text: [u8; TEXT],
    length: usize,
    /// 0 if there was no answer for a client.
    status: u16,
    /// When an app thread got it, and when it ended. None: this record is not used yet.
    ran: Option<(Instant, Instant)>,
}

impl Default for Recorder {
    fn default() -> Self {
        let empty = Record { text: [0; TEXT], length: 0, status: 0, ran: None };
        Self { records: [empty; REQUESTS], next: 0, served: 0 }
    }
}

impl Recorder {
    /// This request, which an app thread got at `begun`, has ended.
    pub(super) fn add(&mut self, exchange: &Exchange, begun: Instant, ended: Instant) {
        self.served += 1;
        let Some(record) = self.records.get_mut(self.next) else { return };
        self.next = (self.next + 1) % REQUESTS;
        record.length = 0;
        if let Some(request) = &exchange.request {
            record.put(request.method_bytes());
            record.put(b" ");
            record.put(request.uri_bytes());
        }
        record.status = exchange.status();
        record.ran = Some((begun, ended));
    }

    /// How many requests there have been.
    pub(super) const fn served(&self) -> u64 {
        self.served
    }

    /// All of them in words, the oldest first, as seen at this time.
    pub(super) fn told(&self, now: Instant) -> String {
        let (newer, older) = self.records.split_at(self.next.min(REQUESTS));
        let told = older.iter().chain(newer).filter_map(|record| {
            let (_, ended) = record.ran?;
            Some(format!("{record}, {} ms ago", now.duration_since(ended).as_millis()))
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

impl Record {
    fn put(&mut self, bytes: &[u8]) {
        let room = self.text.get_mut(self.length..).unwrap_or_default();
        let count = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
            self.length += count;
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.text.get(..self.length).unwrap_or_default());
        let cut = if self.length == TEXT { "…" } else { "" };
        match self.status {
            0 => write!(f, "{text}{cut}: no answer"),
            status => write!(f, "{text}{cut}: {status}"),
        }?;
        let took = self.ran.map(|(begun, ended)| ended.duration_since(begun)).unwrap_or_default();
        write!(f, " in {:.1} ms", took.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_ones_are_told_oldest_first() {
        let begun = Instant::now();
        let mut recorder = Recorder::default();
        assert_eq!(recorder.told(begun), "");
        for number in 0..REQUESTS + 2 {
            let record = &mut recorder.records[recorder.next];
            record.length = 0;
            record.put(format!("GET /{number}").as_bytes());
            (record.status, record.ran) = (200, Some((begun, begun)));
            recorder.next = (recorder.next + 1) % REQUESTS;
        }
        let told = recorder.told(begun + Duration::from_millis(5));
        assert!(told.starts_with("GET /2: 200 in 0.0 ms, 5 ms ago; GET /3: 200"), "{told}");
        assert!(told.ends_with("GET /9: 200 in 0.0 ms, 5 ms ago"), "{told}");
    }

    #[test]
    fn a_long_url_is_cut() {
        let mut recorder = Recorder::default();
        let record = &mut recorder.records[0];
        record.put(b"GET /");
        record.put(&[b'x'; 4000]);
        assert_eq!(record.length, TEXT);
        assert!(record.to_string().ends_with("x…: no answer in 0.0 ms"), "{record}");
    }
}
