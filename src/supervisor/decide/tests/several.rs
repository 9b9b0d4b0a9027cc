//! Decisions over several apps.

use super::*;

const SHOP: GroupId = GroupId::first(AppId(0));
const BLOG: GroupId = GroupId::first(AppId(1));

/// A shop of two workers, and a blog of one with a zygote.
fn new() -> Scene {
    let now = Instant::now();
    let plans = [
        (SHOP, two(false)),
        (BLOG, Plan { workers: Workers::fixed(1), preload: true, ..Plan::default() }),
    ];
    Scene { state: State::new(plans, false, GRACE, now), now }
}

fn zygote_ready() -> Event {
    Event::ZygoteReady { group: BLOG, app: "b".into(), python: "3.13.0".into(), threads: vec![] }
}

fn zygote_failed() -> Event {
    Event::ZygoteFailed { group: BLOG, error: "Traceback".into() }
}

fn zygote_exited() -> Event {
    Event::ZygoteExited { group: BLOG, cause: Cause::Ended(ExitStatus::from_raw(1 << 8)) }
}

/// Workers 1 and 2 are the shop's, 3 is the blog's.
fn serving() -> Scene {
    let mut scene = new();
    for event in [Event::Tick, Event::GatewayListens, zygote_ready(), ready(1), ready(2)] {
        scene.is(event);
    }
    scene.is(Event::WorkerForked { worker: 3, pid: 103 });
    assert_eq!(scene.is(ready(3)).last(), Some(&Log(Note::Ready)));
    scene
}

fn says_ready(actions: &[Action]) -> bool {
    actions.contains(&Log(Note::Ready))
}

#[test]
fn each_app_is_started_in_its_own_way() {
    let mut scene = new();
    let (one, two) = (Action::SpawnWorker(SHOP, 1), Action::SpawnWorker(SHOP, 2));
    assert_eq!(scene.is(Event::Tick), [SpawnGateway, one, two, Action::SpawnZygote(BLOG)]);
    assert_eq!(scene.does(zygote_ready()), [Action::SpawnWorker(BLOG, 3)]);
    let started = ToGateway::WorkerStarted { group: BLOG, worker: 3, pid: 103, probed: true };
    assert_eq!(scene.is(Event::WorkerForked { worker: 3, pid: 103 }), [Action::Tell(started)]);
    scene.is(Event::GatewayListens);
    assert!(!says_ready(&scene.is(ready(1))));
    assert!(says_ready(&scene.is(ready(3))));
}

#[test]
fn a_dead_worker_is_replaced_by_one_of_its_own_app() {
    let mut scene = serving();
    scene.passes(60.0);
    let told = |group, worker| {
        let cause = SEGFAULT.to_owned();
        Action::Tell(ToGateway::WorkerExited { group, worker, cause, expected: false })
    };
    let shop = [told(SHOP, 1), Action::SpawnWorker(SHOP, 4)];
    assert_eq!(scene.does(exited(1, 11)), shop);
    let blog = [told(BLOG, 3), Action::SpawnWorker(BLOG, 5)];
    assert_eq!(scene.does(exited(3, 11)), blog);
}

#[test]
fn an_app_that_can_not_start_does_not_take_the_others_along() {
    let mut scene = new();
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    assert_eq!(scene.does(failed(1)), [KillWorker(1)]);
    scene.is(failed(2));
    scene.is(zygote_ready());
    // The rest of flupd is ready without it.
    assert!(says_ready(&scene.is(ready(3))));
    // It is tried again, as if it had failed later.
    let told = scene.does(exited(1, 1 << 8));
    assert_eq!(told, [gone(1, FAILED, true), Action::SpawnWorker(SHOP, 4)]);
    let ready = scene.does(ready(4));
    assert_eq!(ready, [told_ready(4)]);
}

#[test]
fn a_zygote_that_can_not_start_does_not_take_the_others_along() {
    let mut scene = new();
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    let unavailable = Action::Tell(ToGateway::AppUnavailable { group: BLOG });
    assert_eq!(scene.does(zygote_failed()), [Action::KillZygote(BLOG), unavailable]);
    assert!(says_ready(&scene.is(ready(1))));
    assert_eq!(scene.does(zygote_exited()), [Action::SpawnZygote(BLOG)]);
}

#[test]
fn flupd_ends_when_no_app_can_start() {
    let mut scene = new();
    scene.is(Event::Tick);
    scene.is(zygote_failed());
    let actions = scene.is(failed(1));
    let error = "Traceback".to_owned();
    let said = Note::ImportFailed { worker: 1, error, again_in: None };
    assert_eq!(actions.first(), Some(&Action::LogOf(SHOP, said)));
    let end = [
        KillGateway,
        KillWorker(1),
        KillWorker(2),
        Action::KillZygote(BLOG),
        CloseListeners,
        Log(Note::Stopped),
        Exit(1),
    ];
    assert_eq!(actions[1..], end);
}

#[test]
fn the_wait_of_one_app_is_not_the_others() {
    let mut scene = serving();
    for worker in [1, 4] {
        scene.is(exited(worker, 11));
    }
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
    assert_eq!(scene.does(exited(3, 11)).last(), Some(&Action::SpawnWorker(BLOG, 5)));
    assert_eq!(scene.passes(0.1).does(Event::Tick), [Action::SpawnWorker(SHOP, 6)]);
}

#[test]
fn a_dead_gateway_takes_the_workers_of_all_apps_with_it() {
    let mut scene = serving();
    let all = [KillWorker(1), KillWorker(2), KillWorker(3), SpawnGateway];
    assert_eq!(scene.does(gateway_exited(11)), all);
}

#[test]
fn all_of_all_apps_is_awaited_at_the_end() {
    let mut scene = serving();
    assert_eq!(scene.does(Event::Signal), [CloseListeners, told_stop()]);
    scene.is(gateway_exited(0));
    for worker in [1, 2] {
        assert_eq!(scene.does(exited(worker, 0)), []);
    }
    assert_eq!(scene.does(exited(3, 0)), [Action::KillZygote(BLOG), Exit(0)]);
}
