//! Decisions with a zygote.

use super::*;

fn spawn_zygote() -> Action {
    Action::SpawnZygote(GROUP)
}

fn kill_zygote() -> Action {
    Action::KillZygote(GROUP)
}

fn zygote_ready() -> Event {
    Event::ZygoteReady {
        group: GROUP,
        app: "app:application".into(),
        python: "3.11.7".into(),
        threads: vec![],
    }
}

fn zygote_failed() -> Event {
    Event::ZygoteFailed { group: GROUP, error: "Traceback".into() }
}

fn zygote_exited(raw: i32) -> Event {
    Event::ZygoteExited { group: GROUP, cause: Cause::Ended(ExitStatus::from_raw(raw)) }
}

fn forked(worker: u64) -> Event {
    Event::WorkerForked { worker, pid: 100 + u32::try_from(worker).unwrap() }
}

fn told_started(worker: u64) -> Action {
    let pid = 100 + u32::try_from(worker).unwrap();
    Action::Tell(ToGateway::WorkerStarted { group: GROUP, worker, pid, probed: true })
}

fn unforked(worker: u64) -> Event {
    Event::WorkerExited { worker, cause: Cause::Lost("it can't be forked".into()) }
}

/// Two workers to come, nothing started.
fn new() -> Scene {
    let now = Instant::now();
    Scene { state: State::new([(GROUP, two(true))], false, GRACE, now), now }
}

/// A ready zygote, two ready workers and a gateway.
fn serving() -> Scene {
    let mut scene = new();
    for event in [Event::Tick, Event::GatewayListens, zygote_ready()] {
        scene.is(event);
    }
    for worker in [1, 2] {
        scene.is(forked(worker));
        scene.is(ready(worker));
    }
    scene
}

const KILLED: &str = "killed by signal 9 (SIGKILL)";

#[test]
fn workers_wait_for_the_import_and_the_gateway_for_their_birth() {
    let mut scene = new();
    assert_eq!(scene.wait(), Some(Duration::ZERO));
    assert_eq!(scene.is(Event::Tick), [SpawnGateway, spawn_zygote()]);
    assert_eq!(scene.wait(), None);
    assert_eq!(scene.is(Event::GatewayListens), []);
    assert_eq!(scene.does(zygote_ready()), [spawn_worker(1), spawn_worker(2)]);
    assert_eq!(scene.is(forked(1)), [told_started(1)]);
    let actions = scene.is(ready(1));
    assert_eq!(actions[1..], [told_ready(1), Log(Note::Ready)]);
    assert_eq!(scene.is(forked(2)), [told_started(2)]);
    assert_eq!(scene.is(zygote_ready()), []);
}

#[test]
fn threads_of_the_import_are_a_warning() {
    let mut scene = new();
    scene.is(Event::Tick);
    let threads = vec!["refresher".to_owned()];
    let (app, python) = ("app:application".to_owned(), "3.11.7".to_owned());
    let actions =
        scene.is(Event::ZygoteReady { group: GROUP, app, python, threads: threads.clone() });
    assert_eq!(actions[1], of(Note::ThreadsAtImport { threads }));
}

#[test]
fn a_failed_import_at_the_first_start_ends_flupd() {
    let mut scene = new();
    scene.is(Event::Tick);
    let expected = [
        of(Note::PreloadFailed { error: "Traceback".into(), again_in: None }),
        KillGateway,
        kill_zygote(),
        CloseListeners,
        Log(Note::Stopped),
        Exit(1),
    ];
    assert_eq!(scene.is(zygote_failed()), expected);
}

#[test]
fn a_zygote_that_ends_before_it_is_ready_ends_flupd() {
    let mut scene = new();
    scene.is(Event::Tick);
    let actions = scene.is(zygote_exited(3 << 8));
    assert_eq!(actions[0], of(Note::ZygoteStartFailed { cause: "exit status 3".into() }));
    assert_eq!(actions[1..], [KillGateway, CloseListeners, Log(Note::Stopped), Exit(1)]);
}

#[test]
fn a_dead_worker_is_forked_anew_at_once() {
    let mut scene = serving();
    scene.passes(60.0);
    assert_eq!(scene.does(exited(1, 9)), [gone(1, KILLED, false), spawn_worker(3)]);
    assert_eq!(scene.is(forked(3)), [told_started(3)]);
    assert_eq!(scene.does(ready(3)), [told_ready(3)]);
}

#[test]
fn a_dead_zygote_is_replaced_and_takes_no_worker_with_it() {
    let mut scene = serving();
    scene.passes(60.0);
    let died = Note::ZygoteDied { cause: KILLED.into(), again_in: Duration::ZERO };
    assert_eq!(scene.is(zygote_exited(9)), [of(died), spawn_zygote()]);
    // One that dies now waits for the next zygote, not for the clock.
    assert_eq!(scene.does(exited(1, 11)), [gone(1, SEGFAULT, false)]);
    assert_eq!(scene.wait(), None);
    assert_eq!(scene.does(zygote_ready()), [spawn_worker(3)]);
}

#[test]
fn a_zygote_that_dies_young_again_and_again_waits_longer_each_time() {
    let mut scene = serving();
    assert_eq!(scene.does(zygote_exited(9)), [spawn_zygote()]);
    for wait in [0.1, 0.2, 0.4] {
        assert_eq!(scene.does(zygote_exited(9)), []);
        assert_eq!(scene.wait(), Some(Duration::from_secs_f64(wait)));
        assert_eq!(scene.passes(wait).does(Event::Tick), [spawn_zygote()]);
    }
    scene.is(zygote_ready());
    assert_eq!(scene.passes(10.1).does(zygote_exited(9)), [spawn_zygote()]);
}

#[test]
fn a_later_failed_import_is_tried_again_with_back_off() {
    let mut scene = serving();
    scene.is(zygote_exited(9));
    let again_in = Some(Duration::from_millis(100));
    let failed = Note::PreloadFailed { error: "Traceback".into(), again_in };
    assert_eq!(scene.is(zygote_failed()), [of(failed), kill_zygote()]);
    assert_eq!(scene.does(zygote_exited(1 << 8)), []);
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
    assert_eq!(scene.passes(0.1).does(Event::Tick), [spawn_zygote()]);
}

/// Ends worker after worker; the first of a pair was not the last one.
fn all_exit(scene: &mut Scene) -> Vec<Action> {
    assert_eq!(scene.does(exited(1, 11)), [gone(1, SEGFAULT, false)]);
    scene.does(exited(2, 11))
}

fn unavailable() -> Action {
    Action::Tell(ToGateway::AppUnavailable { group: GROUP })
}

#[test]
fn requests_are_refused_while_nobody_runs_and_the_import_fails() {
    // The workers die before the import fails, or after it has.
    let mut scene = serving();
    scene.passes(60.0).is(zygote_exited(9));
    assert_eq!(all_exit(&mut scene), [gone(2, SEGFAULT, false)]);
    assert_eq!(scene.does(zygote_failed()), [kill_zygote(), unavailable()]);
    assert_eq!(scene.does(zygote_exited(9)), [spawn_zygote()]);

    let mut scene = serving();
    scene.passes(60.0).is(zygote_exited(9));
    assert_eq!(scene.does(zygote_failed()), [kill_zygote()]);
    assert_eq!(all_exit(&mut scene), [gone(2, SEGFAULT, false), unavailable()]);

    // A new gateway knows nothing.
    assert_eq!(scene.passes(60.0).does(gateway_exited(11)), [SpawnGateway]);
    assert_eq!(scene.does(Event::GatewayListens), [unavailable()]);

    // A zygote that dies while it imports fails as well.
    assert_eq!(scene.does(zygote_exited(9)), [spawn_zygote()]);
    assert_eq!(scene.does(zygote_exited(11)), [unavailable()]);

    // Once the import succeeds again, deaths are but deaths.
    assert_eq!(scene.passes(10.0).does(Event::Tick), [spawn_zygote()]);
    assert_eq!(scene.does(zygote_ready()), [spawn_worker(3), spawn_worker(4)]);
    assert_eq!(scene.does(zygote_exited(9)), []);
    assert_eq!(scene.does(exited(3, 11)), [gone(3, SEGFAULT, false)]);
    assert_eq!(scene.does(exited(4, 11)), [gone(4, SEGFAULT, false)]);
}

#[test]
fn a_failed_fork_is_tried_again_with_back_off() {
    let mut scene = serving();
    scene.passes(60.0).is(exited(1, 11));
    let lost = |worker| gone(worker, "it can't be forked", false);
    assert_eq!(scene.does(unforked(3)), [lost(3), spawn_worker(4)]);
    assert_eq!(scene.does(unforked(4)), [lost(4)]);
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
    assert_eq!(scene.passes(0.1).does(Event::Tick), [spawn_worker(5)]);
}

#[test]
fn one_killed_before_its_birth_is_not_told_to_the_gateway() {
    let mut scene = serving();
    scene.passes(60.0).is(exited(1, 11));
    assert_eq!(scene.does(gateway_exited(11)), [KillWorker(3), KillWorker(2), SpawnGateway]);
    assert_eq!(scene.is(forked(3)), []);
    assert_eq!(scene.does(exited(3, 9)), [gone(3, KILLED, true), spawn_worker(4)]);
}

#[test]
fn the_zygote_ends_last() {
    let mut scene = serving();
    scene.is(Event::Signal);
    // The pool is kept whole while requests run.
    assert_eq!(scene.does(exited(1, 11)), [gone(1, SEGFAULT, false), spawn_worker(3)]);
    assert_eq!(scene.does(gateway_exited(0)), [KillWorker(3)]);
    assert_eq!(scene.does(exited(3, 9)), []);
    assert_eq!(scene.does(exited(2, 0)), [kill_zygote(), Exit(0)]);
}

#[test]
fn a_zygote_that_dies_after_the_gateway_is_not_replaced() {
    let mut scene = serving();
    scene.is(Event::Signal);
    scene.is(gateway_exited(0));
    assert_eq!(scene.does(zygote_exited(9)), []);
    assert_eq!(scene.wait(), Some(GRACE));
    scene.is(exited(1, 0));
    assert_eq!(scene.does(exited(2, 0)), [Exit(0)]);
}

#[test]
fn a_signal_during_the_import_stops_without_a_failure() {
    let mut scene = new();
    scene.is(Event::Tick);
    assert_eq!(scene.does(Event::Signal), [CloseListeners, told_stop()]);
    assert_eq!(scene.does(gateway_exited(0)), [kill_zygote(), Exit(0)]);
}

#[test]
fn all_is_killed_at_the_deadline_and_at_a_second_signal() {
    let mut scene = serving();
    scene.is(Event::Signal);
    let all = [KillGateway, kill_zygote(), KillWorker(1), KillWorker(2)];
    let actions = scene.passes(30.1).does(Event::Tick);
    assert_eq!((&actions[..4], &actions[4..]), (&all[..], &[Exit(0)][..]));
    let mut scene = serving();
    scene.is(Event::Signal);
    let actions = scene.does(Event::Signal);
    assert_eq!((&actions[..4], &actions[4..]), (&all[..], &[CloseListeners, Exit(1)][..]));
}
