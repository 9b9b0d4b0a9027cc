//! What a worker does, seen by a process that is neither the worker nor its gateway.
//!
//! In solo mode these two are one thread, which tells nobody anything while the app
//! works. But what it does stands in the shared memory: the requests in their slots,
//! with what the gateway has noted of them, and how far the app is. There it stays when
//! the process is dead: the last requests of a worker can be read after its end.
//!
//! Whoever looks on changes nothing and waits for nobody, so what is read is of several
//! moments; and it may be anything, for the worker can write there.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crate::activity::{self, Begun, Phase};
use crate::layout::{self, AREA, SLOTS, ThreadHead, WorkerHead};
use crate::memory::Mapping;
use crate::request::EncodedParams;
use crate::slot::{Noted, State};
use crate::sync::Ordering;
use crate::waits::WaitsOf;

/// Looks at a worker of one app thread.
#[derive(Debug, Clone)]
pub struct Onlooker {
    pub(crate) mapping: Arc<Mapping>,
}

/// How many there are, as a gateway in the worker's own process last said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Connections of web servers.
    pub connections: u64,
    /// Requests that still arrive.
    pub reading: u64,
    /// Requests that wait behind those that have a slot.
    pub queued: u64,
}

/// A request that has a slot, or had one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its number; no other of the last ones has it.
    pub number: u32,
    /// What was sent with it; none if that is longer than a slot, or is being
    /// replaced at this moment.
    pub params: EncodedParams,
    /// How far it is.
    pub stage: Stage,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for the app, for so long.
    Waiting(Duration),
    /// The app has it.
    Running {
        /// What it does with it.
        phase: Phase,
        /// Since when.
        age: Duration,
        /// How long it had waited before.
        waited: Duration,
        /// How it was begun, if that is still known.
        begun: Option<Begun>,
    },
    /// It was answered.
    Ended {
        /// The status of the answer; 0 if it had none.
        status: u16,
        /// How long it took.
        took: Duration,
        /// How long ago that was.
        ago: Duration,
    },
}

impl Onlooker {
    /// `memory` is the first descriptor of either end of a worker's channel.
    ///
    /// # Errors
    /// `InvalidData` when it is something else; otherwise what the operating system
    /// reports.
    pub fn new(memory: impl AsFd) -> io::Result<Self> {
        Ok(Self { mapping: Arc::new(Mapping::new(memory, layout::length(1))?) })
    }

    /// The requests that have a slot or had one, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        let last = self.head().activity.0.last();
        let mut seen: Vec<_> = (0..SLOTS).filter_map(|slot| self.look(slot)).collect();
        // Numbers go round: these are few, and lie around the last one.
        seen.sort_by_key(|one| one.number.wrapping_sub(last).cast_signed());
        seen
    }

    /// How many requests the app has ended. It begins again after 2^32.
    #[must_use]
    pub fn ended(&self) -> u32 {
        let words = &self.head().activity.0;
        let last = words.last();
        last.saturating_sub(u32::from(self.runs(last)))
    }

    /// Whether the app still has the request of this number.
    #[must_use]
    pub fn runs(&self, number: u32) -> bool {
        let words = &self.head().activity.0;
        words.last() == number && !matches!(words.phase(number, false), Phase::Over)
    }

    /// How many there are of what has no slot.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        let crowd = self.mapping.at::<WorkerHead>(0).crowd.0.each_ref();
        let [connections, reading, queued] = crowd.map(|word| word.load(Ordering::Relaxed));
        Crowd { connections, reading, queued }
    }

    /// Says so. Only the worker's own process may.
    pub fn set_crowd(&self, crowd: Crowd) {
        let words = &self.mapping.at::<WorkerHead>(0).crowd.0;
        for (word, count) in words.iter().zip([crowd.connections, crowd.reading, crowd.queued]) {
            word.store(count, Ordering::Relaxed);
        }
    }

    /// How long the app has waited for the interpreter, for whoever asks.
    #[must_use]
    pub fn waits(&self) -> WaitsOf {
        WaitsOf::new(Arc::clone(&self.mapping), 1)
    }

    fn look(&self, slot: usize) -> Option<Seen> {
        let head = self.head();
        let noted = head.slots.get(slot)?.noted()?;
        let params = self.params(slot, noted);
        // What has come meanwhile is no concern of this one.
        let same = head.slots.get(slot)?.noted().is_some_and(|now| now.number == noted.number);
        let params = if same { params.unwrap_or_default() } else { EncodedParams::default() };
        let stage = match noted.state {
            State::Waiting => Stage::Waiting(since(noted.moment)),
            State::Ended(status, took) => {
                Stage::Ended { status, took: Duration::from_nanos(took), ago: since(noted.moment) }
            }
            State::Claimed => {
                let words = &head.activity.0;
                let begun = words.begun(noted.number);
                let phase = match words.last() == noted.number {
                    true => words.phase(noted.number, head.blocked.0.is_asleep()),
                    // Another was begun after it.
                    false => Phase::Over,
                };
                let at = begun.map_or(noted.moment, |begun| begun.at);
                let waited = Duration::from_nanos(at.saturating_sub(noted.moment));
                Stage::Running { phase, age: since(at), waited, begun }
            }
        };
        Some(Seen { number: noted.number, params, stage })
    }

    /// A copy of what stands in the area of this slot.
    fn params(&self, slot: usize, noted: Noted) -> Option<EncodedParams> {
        let length = noted.params.filter(|&length| length <= AREA)?;
        let mut params = EncodedParams::default();
        let copied = params.refill(|out| {
            self.mapping.window(layout::area(0, slot), length).append_to_vec(out);
            Ok(())
        });
        copied.ok().map(|()| params)
    }

    fn head(&self) -> &ThreadHead {
        self.mapping.at(layout::thread(0))
    }
}

/// For how long it is so since this moment; up to a tick of the kernel's clock off.
fn since(moment: u64) -> Duration {
    Duration::from_nanos(activity::moment().saturating_sub(moment))
}

#[cfg(test)]
mod tests {
    use cgi::Params;

    use super::*;
    use crate::gateway::{self, Body};
    use crate::worker;
    use crate::{Outcome, create};

    fn params(url: &str) -> Params {
        [(&b"REQUEST_URI"[..], url.as_bytes())].into_iter().collect()
    }

    /// The requests with their numbers and URLs, and in a word how far they are.
    fn told(onlooker: &Onlooker) -> Vec<(u32, String, String)> {
        let told = onlooker.requests().into_iter().map(|seen| {
            let url = seen.params.get(b"REQUEST_URI").unwrap_or_default();
            let stage = match seen.stage {
                Stage::Waiting(_) => "waits".to_owned(),
                Stage::Running { phase, .. } => phase.to_string(),
                Stage::Ended { status, .. } => status.to_string(),
            };
            (seen.number, String::from_utf8_lossy(url).into_owned(), stage)
        });
        told.collect()
    }

    #[tokio::test]
    async fn every_request_that_has_a_slot_is_seen() {
        let ends = create(1, &crate::bell().unwrap()).unwrap();
        let onlooker = Onlooker::new(&ends.gateway[0]).unwrap();
        let (_memory, mut ports) = gateway::open(ends.gateway).unwrap();
        let mut port = ports.pop().unwrap();
        let mut app = worker::open(ends.worker).unwrap().pop().unwrap().inline(|_| {});
        let activity = app.activity();
        let none = || Body::Memory(Vec::new());
        port.stage(&params("/unseen"), &none()).unwrap();
        assert_eq!(told(&onlooker), []);
        assert!(port.take_back());

        port.watched = true;
        for number in 1..=SLOTS as u32 + 3 {
            port.stage(&params(&format!("/{number}")), &none()).unwrap();
            port.stage(&params("/next"), &none()).unwrap();
            let mut buffer = EncodedParams::default();
            app.try_receive_into(&mut buffer).unwrap().unwrap();
            activity.take();
            activity.begin();
            let expected = [
                (number, format!("/{number}"), "in the app".to_owned()),
                (number + 1, "/next".to_owned(), "waits".to_owned()),
            ];
            let all = told(&onlooker);
            assert_eq!(all[all.len() - 2..], expected);
            assert!(onlooker.runs(number) && !onlooker.runs(number + 1));
            assert!(all.len() <= SLOTS, "{all:?}");

            activity.end();
            assert!(!onlooker.runs(number));
            app.end(Outcome::Complete).unwrap();
            assert!(port.take_back());
            port.note_ended(204, Duration::from_millis(3));
            let taken = {
                let mut replies = port.replies();
                while replies.look().unwrap().is_some() {}
                replies.taken()
            };
            port.consume(taken);
            let (last, url, stage) = told(&onlooker).pop().unwrap();
            assert_eq!((last, url, stage), (number, format!("/{number}"), "204".to_owned()));
        }
    }

    #[test]
    fn any_bytes_in_the_shared_memory_are_looked_at_without_harm() {
        let ends = create(1, &crate::bell().unwrap()).unwrap();
        let onlooker = Onlooker::new(&ends.gateway[0]).unwrap();
        for byte in [0xff, 0x01, 0x02, 0x7f] {
            let length = layout::length(1);
            onlooker.mapping.write(0, &vec![byte; length]);
            let _ = (onlooker.requests(), onlooker.crowd(), onlooker.waits().read());
        }
    }
}
