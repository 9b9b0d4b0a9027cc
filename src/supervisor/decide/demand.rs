//! How many workers an app shall have, by its load.
//!
//! The gateway tells how many requests there are at a time. That many need so many
//! workers; some more are kept spare.
//!
//! - *Up* it goes in steps of 1, 2, 4 …, each when those before are ready: a burst
//!   starts no more than it turns out to need.
//! - *Down* it goes one by one, and only so far as nothing in the last
//!   `idle-timeout` needed more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::Workers;
use crate::control::Load;

/// The most workers that are started at once beyond the least number.
const LARGEST_STEP: usize = 32;

/// Between two steps up.
const STEP: Duration = Duration::from_millis(500);

/// The same, while those of the last step are not ready: their import may hang.
const SLOW_STEP: Duration = Duration::from_secs(5);

/// Between two that leave.
const PACE: Duration = Duration::from_secs(1);

/// What the load of an app asks for.
#[derive(Debug)]
pub(super) struct Demand {
    workers: Workers,
    threads: usize,
    load: Load,
    /// When that was told.
    told: Instant,
    recent: Recent,
    step: usize,
    last_step: Option<Instant>,
    last_leave: Option<Instant>,
}

/// What is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Crew {
    /// Workers that are there to stay, or are about to be.
    pub(super) places: usize,
    /// Those of them that are being started.
    pub(super) starting: usize,
    /// Those of them that have ended too early, and are to be tried again.
    pub(super) failing: usize,
    /// Others that have been let go and have not ended yet.
    pub(super) leaving: usize,
}

impl Demand {
    /// Nothing is asked yet.
    pub(super) fn new(workers: Workers, threads: usize, now: Instant) -> Self {
        let mut recent = Recent::default();
        recent.ended(workers.first(), now);
        let load = Load::default();
        let (last_step, last_leave) = (None, None);
        Self { workers, threads, load, told: now, recent, step: 1, last_step, last_leave }
    }

    /// How many there may be.
    pub(super) const fn workers(&self) -> &Workers {
        &self.workers
    }

    /// There may be so many from now on.
    pub(super) const fn set_workers(&mut self, workers: Workers) {
        self.workers = workers;
    }

    /// The worker that has had nothing to do for longest.
    pub(super) const fn idlest(&self) -> Option<u64> {
        self.load.idlest
    }

    /// The gateway tells the load.
    pub(super) fn told(&mut self, load: Load, now: Instant) {
        let before = self.needed();
        self.load = load;
        self.told = now;
        if self.needed() < before {
            self.recent.ended(before, now);
        }
    }

    /// So many were wanted until now.
    pub(super) fn were_wanted(&mut self, workers: usize, now: Instant) {
        self.recent.ended(workers, now);
    }

    /// How many the requests need now.
    pub(super) fn needed(&self) -> usize {
        self.workers.for_load(self.load.requests_milli, self.threads)
    }

    /// How many more shall be started at this time.
    pub(super) fn grow(&mut self, crew: Crew, now: Instant) -> usize {
        let at_once = self.workers.min.saturating_sub(crew.places);
        if at_once > 0 {
            return at_once;
        }
        if self.needed() <= crew.places {
            self.step = 1;
        }
        if self.next_step(crew).is_none_or(|due| now < due) {
            return 0;
        }
        let more = self.missing(crew).min(self.step);
        self.step = (self.step * 2).min(LARGEST_STEP);
        self.last_step = Some(now);
        more
    }

    /// How many are missing, as far as there may be more.
    fn missing(&self, crew: Crew) -> usize {
        let room = self.workers.max.saturating_sub(crew.places + crew.leaving);
        self.needed().saturating_sub(crew.places).min(room)
    }

    /// When the next step up may come, if one is wanted.
    pub(super) fn next_step(&self, crew: Crew) -> Option<Instant> {
        if self.missing(crew) == 0 || crew.failing > 0 {
            return None;
        }
        // Requests that find nobody wait for nothing else.
        let Some(last) = self.last_step.filter(|_| crew.places > 0) else { return Some(self.told) };
        Some(last + if crew.starting > 0 { SLOW_STEP } else { STEP })
    }

    /// How many of so many places are too many whatever the load is.
    pub(super) const fn excess(&self, places: usize) -> usize {
        places.saturating_sub(self.workers.max)
    }

    /// When the next of so many may leave, if they are more than are needed now.
    pub(super) fn next_leave(&self, places: usize) -> Option<Instant> {
        if places <= self.needed() {
            return None;
        }
        let idle = self.recent.last_end(places).map(|at| at + self.workers.idle);
        let paced = self.last_leave.map(|at| at + PACE);
        [Some(self.told), idle, paced].into_iter().flatten().max()
    }

    /// One leaves.
    pub(super) const fn one_leaves(&mut self, now: Instant) {
        self.last_leave = Some(now);
    }
}

/// The numbers of workers that were needed, and until when: those after which as
/// many were not needed again, so each is less than the one before it.
#[derive(Debug, Default)]
struct Recent(VecDeque<(usize, Instant)>);

impl Recent {
    /// So many were needed until now.
    fn ended(&mut self, workers: usize, now: Instant) {
        // They are sorted, the largest first.
        let more = self.0.partition_point(|(more, _)| *more > workers);
        self.0.truncate(more);
        self.0.push_back((workers, now));
    }

    /// When so many, or more, were needed last.
    fn last_end(&self, workers: usize) -> Option<Instant> {
        self.0.iter().rev().find(|(more, _)| *more >= workers).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const DYNAMIC: Workers = Workers { min: 2, max: 16, spare: 1, idle: IDLE };
    const ON_DEMAND: Workers = Workers { min: 0, max: 3, spare: 0, idle: IDLE };

    /// A demand for workers of one thread, with its own clock.
    struct Scene {
        demand: Demand,
        crew: Crew,
        now: Instant,
    }

    impl Scene {
        fn new(workers: Workers) -> Self {
            let now = Instant::now();
            let crew = Crew { places: workers.first(), ..Crew::default() };
            Self { demand: Demand::new(workers, 1, now), crew, now }
        }

        fn after(&mut self, seconds: f64) -> &mut Self {
            self.now += Duration::from_secs_f64(seconds);
            self
        }

        /// The gateway tells of so many requests at a time.
        fn asks(&mut self, requests: u64) -> &mut Self {
            let load = Load { requests_milli: requests * 1000, idlest: None };
            self.demand.told(load, self.now);
            self
        }

        /// How many are started, which are ready at once.
        fn starts(&mut self) -> usize {
            let more = self.demand.grow(self.crew, self.now);
            self.crew.places += more;
            more
        }

        /// Whether one leaves now, which it then does.
        fn lets_go(&mut self) -> bool {
            let leaves = self.demand.next_leave(self.crew.places).is_some_and(|at| at <= self.now);
            if leaves {
                self.demand.one_leaves(self.now);
                self.crew.places -= 1;
            }
            leaves
        }

        fn wait_for_step(&self) -> Option<Duration> {
            let due = self.demand.next_step(self.crew)?;
            Some(due.saturating_duration_since(self.now))
        }
    }

    #[test]
    fn one_more_than_the_requests_need_is_kept() {
        let mut scene = Scene::new(DYNAMIC);
        assert_eq!(scene.asks(1).starts(), 0);
        assert_eq!(scene.asks(2).starts(), 1);
        assert_eq!(scene.after(1.0).starts(), 0);
        assert_eq!(scene.asks(3).starts(), 1);
    }

    #[test]
    fn steps_double_while_they_are_needed_and_begin_anew() {
        let mut scene = Scene::new(DYNAMIC);
        scene.asks(9);
        let steps: Vec<_> = (0..5)
            .map(|_| {
                let more = scene.starts();
                assert_eq!(scene.starts(), 0, "at the same time");
                scene.after(0.5);
                more
            })
            .collect();
        assert_eq!(steps, [1, 2, 4, 1, 0]);
        assert_eq!(scene.crew.places, 10);
        assert_eq!(scene.asks(11).starts(), 1);
        assert_eq!(scene.after(0.5).starts(), 1);
    }

    #[test]
    fn there_are_never_more_than_may_be() {
        let mut scene = Scene::new(DYNAMIC);
        for _ in 0..100 {
            scene.asks(1000).after(1.0).starts();
        }
        assert_eq!(scene.crew.places, 16);
        assert_eq!(scene.wait_for_step(), None);
        // Who has been let go counts until its end.
        let mut scene = Scene::new(ON_DEMAND);
        scene.crew = Crew { leaving: 3, ..Crew::default() };
        assert_eq!(scene.asks(3).starts(), 0);
        scene.crew.leaving = 2;
        assert_eq!(scene.starts(), 1);
    }

    #[test]
    fn the_least_are_there_whatever_happens() {
        let mut scene = Scene::new(DYNAMIC);
        scene.crew.places = 0;
        assert_eq!(scene.starts(), 2);
        scene.crew = Crew { places: 1, failing: 1, ..Crew::default() };
        assert_eq!(scene.starts(), 1);
    }

    #[test]
    fn the_next_step_waits_for_those_that_start() {
        let mut scene = Scene::new(DYNAMIC);
        assert_eq!(scene.asks(9).starts(), 1);
        scene.crew.starting = 1;
        assert_eq!(scene.after(1.0).starts(), 0);
        assert_eq!(scene.wait_for_step(), Some(Duration::from_secs(4)));
        scene.crew.starting = 0;
        assert_eq!(scene.starts(), 2);
        // One that hangs in its import does not hold up the rest.
        scene.crew.starting = 1;
        assert_eq!(scene.after(5.0).starts(), 4);
    }

    #[test]
    fn no_more_are_started_while_one_fails() {
        let mut scene = Scene::new(DYNAMIC);
        scene.asks(9).starts();
        scene.crew.failing = 1;
        assert_eq!(scene.after(60.0).starts(), 0);
        assert_eq!(scene.wait_for_step(), None);
    }

    #[test]
    fn the_first_on_demand_is_started_at_once() {
        let mut scene = Scene::new(ON_DEMAND);
        scene.asks(3).starts();
        scene.asks(0).crew.places = 0;
        assert_eq!(scene.starts(), 0);
        assert_eq!(scene.asks(1).starts(), 1);
    }

    #[test]
    fn all_leave_one_by_one_when_nobody_has_asked_for_a_while() {
        let mut scene = Scene::new(ON_DEMAND);
        scene.crew.places = 3;
        scene.asks(3).after(100.0).asks(0);
        assert!(!scene.lets_go());
        assert!(!scene.after(59.0).lets_go());
        assert!(scene.after(1.0).lets_go());
        assert!(!scene.after(0.5).lets_go());
        assert!(scene.after(0.5).lets_go());
        assert!(scene.after(1.0).lets_go());
        assert_eq!((scene.crew.places, scene.demand.next_leave(0)), (0, None));
    }

    #[test]
    fn what_was_needed_once_in_a_while_stays() {
        let mut scene = Scene::new(DYNAMIC);
        scene.crew.places = 8;
        for _ in 0..10 {
            // Five and one to spare, for a moment; else none.
            scene.asks(5).after(0.2).asks(0);
            for _ in 0..58 {
                scene.after(1.0).lets_go();
            }
        }
        assert_eq!(scene.crew.places, 6);
        for _ in 0..58 {
            scene.after(1.0).lets_go();
        }
        assert_eq!(scene.crew.places, 2, "the least");
    }

    #[test]
    fn one_that_was_started_just_now_stays_for_a_while() {
        let mut scene = Scene::new(ON_DEMAND);
        let now = scene.after(600.0).now;
        scene.demand.were_wanted(1, now);
        assert!(!scene.after(59.0).lets_go());
        assert!(scene.after(1.0).lets_go());
    }

    #[test]
    fn another_number_holds_at_once() {
        let mut scene = Scene::new(Workers::fixed(4));
        assert_eq!((scene.starts(), scene.demand.excess(4)), (0, 0));
        scene.demand.set_workers(Workers::fixed(6));
        assert_eq!(scene.starts(), 2);
        scene.demand.set_workers(Workers::fixed(1));
        assert_eq!((scene.starts(), scene.demand.excess(6)), (0, 5));
    }

    /// However the load goes, what is remembered of it stays small.
    #[test]
    fn the_past_is_bounded() {
        let mut scene = Scene::new(DYNAMIC);
        for at in 0..10_000_u64 {
            scene.asks(at * 7919 % 23).after(0.01);
        }
        assert!(scene.demand.recent.0.len() <= 17, "{}", scene.demand.recent.0.len());
    }
}
