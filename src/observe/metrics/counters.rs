//! What is counted by one thread, in a form that can lie in shared memory: in solo mode
//! the process that counts may be busy when somebody asks, or dead.
#![allow(unsafe_code)]

use std::ops::Deref;

use flupd_channel::Shared;
use flupd_channel::ledger::Ledger;

use super::app::Ending;
use super::generation::Times;
use super::{Cell, Histogram, Reasons, Spans};

/// All that the process of a solo worker counts.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Counters {
    front: FrontCounters,
    app: AppCounters,
    times: Times,
}

// SAFETY: Made of `Cell`s and atomics only, which any bytes are, `repr(C)` throughout; and
// changed through shared references only.
unsafe impl Shared for Counters {}

/// What belongs to no app.
#[derive(Debug, Default)]
#[repr(C)]
pub struct FrontCounters {
    /// Connections of web servers that are open.
    pub connections: Cell,
    /// Those of them on which no request is open.
    pub idle: Cell,
    /// Connections that were accepted.
    pub accepted: Cell,
    /// Connections that were refused, because `--allow` names others.
    pub turned_away: Cell,
    /// Connections that were closed, because the peer broke the protocol.
    pub broken: Cell,
    /// Requests that were refused before they reached an app.
    pub rejected: Reasons,
    /// What has become of spans.
    pub spans: Spans,
}

/// What is counted of one app.
#[derive(Debug, Default)]
#[repr(C)]
pub struct AppCounters {
    pub(super) requests: [Cell; Ending::LABELS.len()],
    /// From the whole request to the end of its answer.
    pub duration: Histogram,
    /// From the whole request to its turn at an app thread.
    pub wait: Histogram,
    /// Answers that flupd gave by itself.
    pub refused: Reasons,
    /// Requests that were given to a second worker.
    pub repeated: Cell,
    /// Params and bodies of requests that have arrived whole, in bytes.
    pub received: Cell,
    /// Heads and bodies of answers that have gone out, in bytes.
    pub sent: Cell,
}

impl FrontCounters {
    /// What only grows.
    fn totals(&self) -> impl Iterator<Item = &Cell> {
        let connections = [&self.accepted, &self.turned_away, &self.broken];
        connections.into_iter().chain(self.rejected.cells()).chain(self.spans.cells())
    }
}

impl AppCounters {
    fn totals(&self) -> impl Iterator<Item = &Cell> {
        let histograms = self.duration.cells().chain(self.wait.cells());
        let rest = [&self.repeated, &self.received, &self.sent];
        self.requests.iter().chain(histograms).chain(self.refused.cells()).chain(rest)
    }
}

/// Where something is counted.
#[derive(Debug)]
pub(super) enum Home<T: 'static> {
    /// In this process.
    Own(Box<T>),
    /// In the ledger of a solo worker: this part of it.
    Ledger(Ledger<Counters>, fn(&Counters) -> &T),
}

impl<T: Default> Default for Home<T> {
    fn default() -> Self {
        Self::Own(Box::default())
    }
}

impl<T> Deref for Home<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(here) => here,
            Self::Ledger(ledger, part) => part(ledger),
        }
    }
}

impl Home<FrontCounters> {
    pub(super) fn front(ledger: &Ledger<Counters>) -> Self {
        Self::Ledger(ledger.clone(), |counters| &counters.front)
    }
}

impl Home<AppCounters> {
    pub(super) fn app(ledger: &Ledger<Counters>) -> Self {
        Self::Ledger(ledger.clone(), |counters| &counters.app)
    }
}

impl Home<Times> {
    pub(super) fn times(ledger: &Ledger<Counters>) -> Self {
        Self::Ledger(ledger.clone(), |counters| &counters.times)
    }
}

/// What was counted in several processes, as numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    connections: u64,
    idle: u64,
    front: Vec<u64>,
    app: Vec<u64>,
    /// For how long their threads were busy and idle, in nanoseconds.
    pub(super) nanos: [u64; 2],
}

impl Sums {
    /// Adds what a process counts that lives.
    pub fn add(&mut self, counters: &Counters) {
        self.add_dead(counters);
        self.connections = self.connections.wrapping_add(counters.front.connections.get());
        self.idle = self.idle.wrapping_add(counters.front.idle.get());
    }

    /// Adds what one had counted that has ended: it has no connections.
    pub fn add_dead(&mut self, counters: &Counters) {
        sum(&mut self.front, counters.front.totals());
        sum(&mut self.app, counters.app.totals());
        for (sum, nanos) in self.nanos.iter_mut().zip(counters.times.nanos()) {
            *sum = sum.wrapping_add(nanos);
        }
    }

    /// So it is told.
    pub(super) fn tell(&self, front: &FrontCounters, app: &AppCounters) {
        front.connections.set(self.connections);
        front.idle.set(self.idle);
        front.totals().zip(&self.front).for_each(|(cell, sum)| cell.set(*sum));
        app.totals().zip(&self.app).for_each(|(cell, sum)| cell.set(*sum));
    }
}

fn sum<'c>(sums: &mut Vec<u64>, cells: impl Iterator<Item = &'c Cell>) {
    for (at, cell) in cells.enumerate() {
        match sums.get_mut(at) {
            Some(sum) => *sum = sum.wrapping_add(cell.get()),
            None => sums.push(cell.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Reason;

    #[test]
    fn all_that_is_counted_adds_up() {
        let (one, two) = (Counters::default(), Counters::default());
        // Each cell with a number of its own, so that none can pass for another.
        let mut number = 0;
        for counters in [&one, &two] {
            for cell in counters.front.totals().chain(counters.app.totals()) {
                number += 1;
                cell.set(number);
            }
        }
        one.front.connections.set(7);
        two.front.connections.set(5);
        let mut sums = Sums::default();
        sums.add(&one);
        sums.add_dead(&two);
        let told = Counters::default();
        sums.tell(&told.front, &told.app);
        let of = |counters: &Counters| {
            let all = counters.front.totals().chain(counters.app.totals());
            all.map(Cell::get).collect::<Vec<_>>()
        };
        let expected: Vec<_> = of(&one).into_iter().zip(of(&two)).map(|(a, b)| a + b).collect();
        assert_eq!(of(&told), expected);
        // All of its cells but the two gauges and the times are among them.
        let cells = (size_of::<Counters>() - size_of::<Times>()) / size_of::<Cell>();
        assert_eq!(expected.len(), cells - 2);
        assert_eq!(told.front.connections.get(), 7);
        assert!(told.app.refused.sum() > 0 && told.front.rejected.sum() > 0);
        told.app.refused.count(Reason::QueueFull);
    }
}
