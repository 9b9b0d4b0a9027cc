mod canary;
mod crew;
mod preload;
mod proof;
mod recycle;
mod reload;
mod replace;
mod restart;
mod several;
mod upgrade;
mod watch;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::Action::{CloseListeners, Exit, KillGateway, KillWorker, Log, SpawnGateway};
use super::group::LAST_STEPS;
use super::*;
use crate::config::{AppId, Workers};
use crate::control::Load;
use crate::supervisor::cause::Cause;

const APP: AppId = AppId(0);
const GROUP: GroupId = GroupId::first(APP);
const GRACE: Duration = Duration::from_secs(30);

/// A state with its own clock.
struct Scene {
    state: State,
    now: Instant,
}

impl Scene {
    /// Two workers, nothing started.
    fn new() -> Self {
        let now = Instant::now();
        Self { state: State::new([(GROUP, two(false))], false, GRACE, now), now }
    }

    /// Two ready workers and a gateway.
    fn serving() -> Self {
        let mut scene = Self::new();
        scene.is(Event::Tick);
        scene.is(Event::GatewayListens);
        scene.is(ready(1));
        scene.is(ready(2));
        scene
    }

    /// What is done, but for what is only said.
    fn does(&mut self, event: Event) -> Vec<Action> {
        let mut actions = self.is(event);
        let said =
            |action: &Action| matches!(action, Log(_) | Action::LogOf(..) | Action::NoReload(_));
        actions.retain(|action| !said(action));
        actions
    }

    fn is(&mut self, event: Event) -> Vec<Action> {
        self.state.decide(event, self.now)
    }

    fn passes(&mut self, seconds: f64) -> &mut Self {
        self.now += Duration::from_secs_f64(seconds);
        self
    }

    fn wait(&self) -> Option<Duration> {
        self.state.wake_at().map(|at| at.saturating_duration_since(self.now))
    }
}

/// Two workers.
fn two(preload: bool) -> Plan {
    Plan { workers: Workers::fixed(2), preload, ..Plan::default() }
}

fn spawn_worker(worker: u64) -> Action {
    Action::SpawnWorker(GROUP, worker)
}

/// Said of the one app there is.
fn of(note: Note) -> Action {
    Action::LogOf(GROUP, note)
}

fn ready(worker: u64) -> Event {
    Event::WorkerReady { worker, app: "app:application".into(), python: "3.11.7".into() }
}

fn failed(worker: u64) -> Event {
    Event::WorkerFailed { worker, error: "Traceback".into() }
}

fn exited(worker: u64, raw: i32) -> Event {
    Event::WorkerExited { worker, cause: Cause::Ended(ExitStatus::from_raw(raw)) }
}

fn gateway_exited(raw: i32) -> Event {
    Event::GatewayExited { cause: Cause::Ended(ExitStatus::from_raw(raw)) }
}

fn gone(worker: u64, cause: &str, expected: bool) -> Action {
    Action::Tell(ToGateway::WorkerExited { group: GROUP, worker, cause: cause.into(), expected })
}

fn told_ready(worker: u64) -> Action {
    Action::Tell(ToGateway::WorkerReady { group: GROUP, worker })
}

fn told_stop() -> Action {
    Action::Tell(ToGateway::Stop)
}

/// What the gateway is told of one that was killed for that.
const FAILED: &str = "it can't start the app";

const SEGFAULT: &str = "killed by signal 11 (SIGSEGV, segmentation fault)";

#[test]
fn the_gateway_is_started_first_then_every_worker() {
    let mut scene = Scene::new();
    assert_eq!(scene.wait(), Some(Duration::ZERO));
    assert_eq!(scene.is(Event::Tick), [SpawnGateway, spawn_worker(1), spawn_worker(2)]);
    assert_eq!(scene.wait(), None);
    assert_eq!(scene.is(Event::Tick), []);
}

#[test]
fn ready_is_said_once_and_needs_both() {
    for order in [[ready(1), Event::GatewayListens], [Event::GatewayListens, ready(1)]] {
        let mut scene = Scene::new();
        scene.is(Event::Tick);
        let [first, second] = order;
        assert!(!scene.is(first).contains(&Log(Note::Ready)));
        assert_eq!(scene.is(second).last(), Some(&Log(Note::Ready)));
        assert!(!scene.is(ready(2)).contains(&Log(Note::Ready)));
    }
}

#[test]
fn a_failed_import_at_the_first_start_ends_flupd_with_one_traceback() {
    let mut scene = Scene::new();
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    let expected = [
        of(Note::ImportFailed { worker: 2, error: "Traceback".into(), again_in: None }),
        KillGateway,
        KillWorker(1),
        KillWorker(2),
        CloseListeners,
        Log(Note::Stopped),
        Exit(1),
    ];
    assert_eq!(scene.is(failed(2)), expected);
    assert_eq!(scene.is(failed(1)), []);
    assert_eq!(scene.wait(), None);
}

#[test]
fn a_death_before_ready_at_the_first_start_ends_flupd() {
    let mut scene = Scene::new();
    scene.is(Event::Tick);
    let actions = scene.is(exited(1, 3 << 8));
    assert_eq!(actions[0], of(Note::StartFailed { cause: "exit status 3".into() }));
    assert_eq!(
        actions[1..],
        [KillGateway, KillWorker(2), CloseListeners, Log(Note::Stopped), Exit(1)]
    );
}

#[test]
fn a_gateway_that_never_listens_ends_flupd() {
    let mut scene = Scene::new();
    scene.is(Event::Tick);
    let actions = scene.does(gateway_exited(1 << 8));
    assert_eq!(actions, [KillWorker(1), KillWorker(2), CloseListeners, Exit(1)]);
}

#[test]
fn a_crashed_worker_is_replaced_at_once() {
    let mut scene = Scene::serving();
    scene.passes(60.0);
    let died = Note::WorkerDied {
        worker: 1,
        cause: SEGFAULT.into(),
        again_in: Duration::ZERO,
        known: true,
    };
    assert_eq!(scene.is(exited(1, 11)), [of(died), gone(1, SEGFAULT, false), spawn_worker(3)]);
    assert_eq!(scene.does(ready(3)), [told_ready(3)]);
}

#[test]
fn one_that_dies_young_again_and_again_waits_longer_each_time() {
    let mut scene = Scene::serving();
    let mut worker = 1;
    let mut next = 3;
    for wait in [0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000] {
        let mut actions = scene.does(exited(worker, 11));
        if wait > 0 {
            assert_eq!(actions, [gone(worker, SEGFAULT, false)]);
            assert_eq!(scene.wait(), Some(Duration::from_millis(wait)));
            actions = scene.passes(wait as f64 / 1000.0).does(Event::Tick);
        }
        assert_eq!(actions.last(), Some(&spawn_worker(next)), "{wait}");
        scene.is(ready(next));
        (worker, next) = (next, next + 1);
    }
    // The neighbour is not punished, and a long life forgives.
    assert_eq!(scene.does(exited(2, 11)).last(), Some(&spawn_worker(next)));
    assert_eq!(scene.passes(10.1).does(exited(worker, 11)).last(), Some(&spawn_worker(next + 1)));
}

#[test]
fn a_later_failed_import_is_tried_again_with_back_off() {
    let mut scene = Scene::serving();
    scene.passes(60.0).is(exited(1, 11));
    assert_eq!(scene.does(failed(3)), [KillWorker(3)]);
    assert_eq!(scene.does(exited(3, 1 << 8)), [gone(3, FAILED, true), spawn_worker(4)]);
    assert_eq!(scene.does(failed(4)), [KillWorker(4)]);
    assert_eq!(scene.does(exited(4, 9)), [gone(4, FAILED, true)]);
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
}

#[test]
fn a_worker_that_breaks_the_channel_is_ended_and_replaced() {
    let mut scene = Scene::serving();
    let broken = || Event::WorkerBroken { worker: 2, reason: "a second head".into() };
    assert_eq!(scene.does(broken()), [KillWorker(2)]);
    assert_eq!(scene.does(broken()), []);
    let killed = "killed by signal 9 (SIGKILL)";
    assert_eq!(scene.does(exited(2, 9)), [gone(2, killed, true), spawn_worker(3)]);
}

#[test]
fn a_dead_gateway_is_replaced_with_all_its_workers() {
    let mut scene = Scene::serving();
    scene.passes(60.0);
    assert_eq!(scene.does(gateway_exited(11)), [KillWorker(1), KillWorker(2), SpawnGateway]);
    // Their successors belong to the new gateway, which never knew them.
    let killed = "killed by signal 9 (SIGKILL)";
    assert_eq!(scene.does(exited(2, 9)), [gone(2, killed, true), spawn_worker(3)]);
    assert_eq!(scene.does(exited(1, 9)), [gone(1, killed, true), spawn_worker(4)]);
    assert_eq!(scene.is(Event::GatewayListens), [Log(Note::GatewayReplaced)]);
    assert_eq!(scene.does(ready(3)), [told_ready(3)]);
}

#[test]
fn a_gateway_that_dies_young_waits_and_so_do_the_workers() {
    let mut scene = Scene::serving();
    scene.is(gateway_exited(11));
    for worker in [1, 2] {
        scene.is(exited(worker, 9));
    }
    assert_eq!(scene.does(gateway_exited(11)), [KillWorker(3), KillWorker(4)]);
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
    assert_eq!(scene.does(exited(3, 9)), []);
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
    assert_eq!(scene.passes(0.1).does(Event::Tick), [SpawnGateway, spawn_worker(5)]);
}

#[test]
fn a_signal_drains_and_ends_with_success() {
    let mut scene = Scene::serving();
    assert_eq!(scene.does(Event::Signal), [CloseListeners, told_stop()]);
    assert_eq!(scene.wait(), Some(GRACE));
    assert_eq!(scene.does(gateway_exited(0)), []);
    assert_eq!(scene.does(exited(1, 0)), []);
    assert_eq!(scene.is(exited(2, 0)).last(), Some(&Exit(0)));
}

#[test]
fn the_pool_is_kept_whole_while_the_gateway_drains() {
    let mut scene = Scene::serving();
    scene.is(Event::Signal);
    assert_eq!(scene.does(exited(1, 11)), [gone(1, SEGFAULT, false), spawn_worker(3)]);
    // The one that still imports when the gateway has finished is not waited for.
    assert_eq!(scene.does(gateway_exited(0)), [KillWorker(3)]);
    assert_eq!(scene.does(exited(3, 9)), []);
    assert_eq!(scene.does(exited(2, 0)), [Exit(0)]);
}

#[test]
fn workers_that_the_gateway_lets_go_are_no_deaths() {
    // Young ones: they have been ready for no time at all.
    let mut scene = Scene::serving();
    scene.is(Event::Signal);
    for worker in [1, 2] {
        let ended = of(Note::WorkerEnded { worker, cause: "exit status 0".into() });
        assert_eq!(scene.is(exited(worker, 0)), [ended, gone(worker, "exit status 0", true)]);
    }
    assert_eq!(scene.does(gateway_exited(0)), [Exit(0)]);
}

#[test]
fn one_that_leaves_by_itself_while_the_gateway_drains_is_replaced_a_little_later() {
    let mut scene = Scene::serving();
    scene.is(Event::Signal);
    assert_eq!(scene.does(exited(1, 0)), [gone(1, "exit status 0", true)]);
    assert_eq!(scene.wait(), Some(LAST_STEPS));
    assert_eq!(scene.passes(0.5).does(Event::Tick), [spawn_worker(3)]);
    // It was not told to leave with a failure.
    assert_eq!(scene.does(exited(2, 1 << 8)), [gone(2, "exit status 1", false), spawn_worker(4)]);
}

#[test]
fn at_the_deadline_what_is_left_is_cut_and_said() {
    let mut scene = Scene::serving();
    scene.is(Event::Signal);
    scene.is(exited(1, 11));
    assert_eq!(scene.passes(29.9).does(Event::Tick), []);
    assert_eq!(
        scene.passes(0.2).is(Event::Tick),
        [
            Log(Note::Cut { gateway: true, workers: 2 }),
            KillGateway,
            KillWorker(3),
            KillWorker(2),
            Log(Note::Stopped),
            Exit(0)
        ]
    );
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    let mut scene = Scene::serving();
    scene.is(Event::Signal);
    assert_eq!(
        scene.does(Event::Signal),
        [KillGateway, KillWorker(1), KillWorker(2), CloseListeners, Exit(1)]
    );
    assert_eq!(scene.is(Event::Signal), []);
}

#[test]
fn a_signal_during_the_start_stops_without_a_failure() {
    let mut scene = Scene::new();
    scene.is(Event::Tick);
    assert_eq!(scene.does(Event::Signal), [CloseListeners, told_stop()]);
    scene.is(Event::GatewayListens);
    assert_eq!(scene.does(gateway_exited(0)), [KillWorker(1), KillWorker(2)]);
    scene.is(exited(1, 9));
    assert_eq!(scene.does(exited(2, 9)), [Exit(0)]);
}

#[test]
fn a_signal_while_the_gateway_is_down_needs_no_gateway() {
    let mut scene = Scene::serving();
    scene.is(gateway_exited(11));
    scene.is(gateway_exited(11));
    assert_eq!(scene.does(Event::Signal), [CloseListeners]);
    scene.is(exited(1, 9));
    assert_eq!(scene.does(exited(2, 9)), [Exit(0)]);
}

#[test]
fn a_gateway_that_crashes_while_it_drains_is_not_replaced() {
    let mut scene = Scene::serving();
    scene.is(Event::Signal);
    let cut = Log(Note::GatewayCut { cause: SEGFAULT.into() });
    assert_eq!(scene.is(gateway_exited(11)), [cut]);
    scene.is(exited(1, 0));
    assert_eq!(scene.does(exited(2, 0)), [Exit(0)]);
}

#[test]
fn news_of_unknown_workers_changes_nothing() {
    let mut scene = Scene::serving();
    for event in [ready(99), failed(99), exited(99, 11)] {
        assert_eq!(scene.is(event), []);
    }
    assert_eq!(scene.is(ready(1)), []);
}

#[test]
fn solo_workers_need_no_gateway_and_are_stopped_one_by_one() {
    let now = Instant::now();
    let mut scene = Scene { state: State::new([(GROUP, two(false))], true, GRACE, now), now };
    assert_eq!(scene.is(Event::Tick), [spawn_worker(1), spawn_worker(2)]);
    assert!(scene.is(ready(1)).contains(&Log(Note::Ready)));
    scene.is(ready(2));
    let died =
        scene.is(Event::WorkerExited { worker: 1, cause: Cause::Ended(ExitStatus::from_raw(9)) });
    assert!(died.contains(&spawn_worker(3)), "{died:?}");
    let stopping = scene.is(Event::Signal);
    assert!(stopping.ends_with(&[Action::StopWorker(3), Action::StopWorker(2)]), "{stopping:?}");
    let over =
        |worker| Event::WorkerExited { worker, cause: Cause::Ended(ExitStatus::from_raw(0)) };
    assert!(!scene.is(over(3)).iter().any(|action| matches!(action, Action::SpawnWorker(..))));
    assert!(scene.is(over(2)).contains(&Exit(0)));
}
