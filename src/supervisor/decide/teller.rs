//! The process that tells the status of solo workers: a gateway without an app. It is there
//! while a status listener is configured, and nobody's life hangs on it.

use std::time::{Duration, Instant};

use super::{Action, Phase, State};
use crate::supervisor::backoff::Backoff;
use crate::supervisor::cause::Cause;
use crate::supervisor::notes::Note;

/// Whether there is one.
#[derive(Debug, Default)]
pub(super) struct Teller {
    stage: Stage,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Unwanted,
    /// To be started at this time.
    Down(Instant),
    Runs(Instant),
}

impl Teller {
    /// When it is to be started.
    pub(super) const fn wake_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Down(at) => Some(at),
            Stage::Unwanted | Stage::Runs(_) => None,
        }
    }

    fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.stage, Stage::Down(at) if at <= now) {
            self.stage = Stage::Runs(now);
            actions.push(Action::SpawnTeller);
        }
    }

    fn exited(&mut self, now: Instant) -> Option<Duration> {
        let Stage::Runs(since) = self.stage else { return None };
        let again_in = self.backoff.after_death(Some(now.saturating_duration_since(since)));
        self.stage = Stage::Down(now + again_in);
        Some(again_in)
    }
}

impl State {
    /// Whether there shall be one from now on. One that runs and is wanted no more has
    /// been told so.
    pub(in crate::supervisor) fn want_teller(&mut self, wanted: bool, now: Instant) {
        self.teller.stage = match (wanted, self.teller.stage) {
            (false, _) => Stage::Unwanted,
            (true, Stage::Unwanted) => Stage::Down(now),
            (true, stage) => stage,
        };
    }

    /// Whether flupd is about to end.
    pub(in crate::supervisor) const fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. } | Phase::Ended)
    }

    pub(super) fn fill_teller(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // Of what stops is told as long as there is somebody to do so.
        if !self.is_stopping() {
            self.teller.fill(now, actions);
        }
    }

    pub(super) fn teller_exited(&mut self, cause: &Cause, now: Instant, actions: &mut Vec<Action>) {
        if let Some(again_in) = self.teller.exited(now) {
            let cause = cause.to_string();
            actions.push(Action::Log(Note::TellerDied { cause, again_in }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::super::Event;
    use super::*;

    #[test]
    fn it_is_replaced_while_it_is_wanted_and_nobody_else_cares() {
        let now = Instant::now();
        let mut state = State::new([], true, Duration::from_secs(30), now);
        let spawns = |actions: &[Action]| actions.contains(&Action::SpawnTeller);
        assert!(!spawns(&state.decide(Event::Tick, now)));
        state.want_teller(true, now);
        assert_eq!(state.wake_at(), Some(now));
        assert!(spawns(&state.decide(Event::Tick, now)));
        assert!(!spawns(&state.decide(Event::Tick, now)));
        let exited = || Event::TellerExited { cause: Cause::Ended(ExitStatus::from_raw(9)) };
        let actions = state.decide(exited(), now);
        assert!(spawns(&actions), "at once, the first time: {actions:?}");
        let actions = state.decide(exited(), now);
        assert!(!spawns(&actions) && state.wake_at() > Some(now), "{actions:?}");
        state.want_teller(false, now);
        assert!(!spawns(&state.decide(Event::Tick, now + Duration::from_secs(60))));
        assert_eq!(state.wake_at(), None);
    }
}
