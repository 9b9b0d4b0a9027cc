use super::*;
use crate::supervisor::decide::group::Plan;

const IDLE: Duration = Duration::from_secs(60);

/// A gateway and the first workers, which are ready.
fn serving(min: usize, max: usize, preload: bool) -> Scene {
    let workers = Workers { min, max, spare: usize::from(min > 0), idle: IDLE };
    let plan = Plan { workers, threads: 1, preload, ..Plan::default() };
    let now = Instant::now();
    let mut scene = Scene { state: State::new([(GROUP, plan)], false, GRACE, now), now };
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    if preload {
        scene.is(zygote_ready());
    }
    for worker in 1..=min.max(1) {
        scene.is(ready(worker as u64));
    }
    scene
}

fn zygote_ready() -> Event {
    let (app, python) = ("app:application".into(), "3.11.7".into());
    Event::ZygoteReady { group: GROUP, app, python, threads: Vec::new() }
}

fn load(requests: u64, idlest: Option<u64>) -> Event {
    Event::Load { group: GROUP, load: Load { requests_milli: requests * 1000, idlest } }
}

fn drain(worker: u64) -> Action {
    Action::Tell(ToGateway::WorkerDrain { group: GROUP, worker })
}

fn sleeps() -> Action {
    Action::Tell(ToGateway::AppSleeps { group: GROUP })
}

fn scale(workers: Workers) -> Event {
    Event::Scale { group: GROUP, workers }
}

fn told(workers: Workers) -> Action {
    Action::Tell(ToGateway::Workers { group: GROUP, workers })
}

/// Nobody is needed any more.
fn asleep(preload: bool) -> Scene {
    let mut scene = serving(0, 2, preload);
    scene.is(load(0, Some(1)));
    assert_eq!(scene.wait(), Some(IDLE));
    assert_eq!(scene.passes(60.0).does(Event::Tick), [drain(1), sleeps()]);
    assert_eq!(scene.does(exited(1, 0)), [gone(1, "exit status 0", true)]);
    assert_eq!(scene.wait(), None);
    scene
}

#[test]
fn one_shows_at_the_start_that_the_app_can_be_imported() {
    let mut scene = serving(0, 2, false);
    assert_eq!(scene.state.groups[&GROUP].size(), 1);
    // Who asks right away need not wait.
    assert_eq!(scene.does(load(1, None)), []);
}

#[test]
fn the_first_request_starts_one_at_once() {
    let mut scene = asleep(false);
    assert_eq!(scene.does(load(1, None)), [spawn_worker(2)]);
    assert_eq!(scene.does(ready(2)), [told_ready(2)]);
}

#[test]
fn requests_come_while_the_last_one_leaves() {
    let mut scene = serving(0, 1, false);
    scene.is(load(0, Some(1)));
    assert_eq!(scene.passes(60.0).does(Event::Tick), [drain(1), sleeps()]);
    // There may be one, and it has not ended yet.
    assert_eq!(scene.does(load(1, None)), []);
    assert_eq!(scene.does(exited(1, 0)), [gone(1, "exit status 0", true), spawn_worker(2)]);
}

#[test]
fn the_zygote_stays() {
    let mut scene = asleep(true);
    assert_eq!(scene.does(load(1, None)), [spawn_worker(2)]);
}

#[test]
fn a_zygote_that_can_import_again_lets_requests_wait_again() {
    let mut scene = asleep(true);
    let died = Event::ZygoteExited { group: GROUP, cause: Cause::Unseen };
    scene.is(died);
    let failed = Event::ZygoteFailed { group: GROUP, error: "Traceback".into() };
    let unavailable = Action::Tell(ToGateway::AppUnavailable { group: GROUP });
    assert_eq!(scene.does(failed), [Action::KillZygote(GROUP), unavailable]);
    scene.is(Event::ZygoteExited { group: GROUP, cause: Cause::Unseen });
    scene.passes(1.0).is(Event::Tick);
    assert_eq!(scene.does(zygote_ready()), [sleeps()]);
}

#[test]
fn another_gateway_hears_that_nobody_is_there() {
    let mut scene = asleep(false);
    assert_eq!(scene.does(gateway_exited(11)), [SpawnGateway]);
    assert_eq!(scene.does(Event::GatewayListens), [sleeps()]);
}

/// Its requests died with the gateway.
#[test]
fn another_gateway_has_a_load_of_its_own() {
    let mut scene = serving(1, 4, false);
    scene.is(load(9, None));
    scene.is(gateway_exited(11));
    for worker in [1, 2] {
        scene.is(exited(worker, 9));
    }
    scene.is(Event::GatewayListens);
    scene.is(ready(3));
    assert!(!scene.passes(10.0).does(Event::Tick).contains(&spawn_worker(5)));
}

#[test]
fn workers_follow_the_load() {
    let mut scene = serving(1, 4, false);
    assert_eq!(scene.does(load(1, None)), [spawn_worker(2)]);
    scene.is(ready(2));
    assert_eq!(scene.does(load(4, None)), []);
    assert_eq!(scene.wait(), Some(Duration::from_millis(500)));
    assert_eq!(scene.passes(0.5).does(Event::Tick), [spawn_worker(3)]);
    assert_eq!(scene.does(ready(3)), [told_ready(3)]);
    assert_eq!(scene.passes(0.5).does(Event::Tick), [spawn_worker(4)]);
    scene.is(ready(4));
    // The number of spare ones would be more than there may be.
    assert_eq!(scene.passes(10.0).does(Event::Tick), []);
    scene.is(load(0, Some(3)));
    assert_eq!(scene.passes(59.0).does(Event::Tick), []);
    assert_eq!(scene.passes(1.0).does(Event::Tick), [drain(3)]);
    // Nobody is known to be idle.
    assert_eq!(scene.passes(1.0).does(Event::Tick), []);
    assert_eq!(scene.does(load(0, Some(1))), [drain(1)]);
    assert_eq!(scene.does(exited(3, 0)), [gone(3, "exit status 0", true)]);
}

/// A worker that has been let go has all the time that it needs.
#[test]
fn nobody_is_cut_for_being_too_many() {
    let mut scene = serving(0, 2, false);
    scene.is(load(0, Some(1)));
    scene.passes(60.0).is(Event::Tick);
    assert_eq!(scene.passes(3600.0).does(Event::Tick), []);
}

#[test]
fn a_dead_one_is_replaced_only_if_it_is_needed() {
    let mut scene = serving(1, 4, false);
    scene.is(load(1, None));
    scene.is(ready(2));
    assert_eq!(scene.does(exited(2, 11)).last(), Some(&spawn_worker(3)));
    scene.is(ready(3));
    scene.is(load(0, Some(1)));
    scene.passes(60.0);
    assert_eq!(scene.does(exited(3, 11)), [gone(3, SEGFAULT, false)]);
}

#[test]
fn one_that_cannot_start_is_tried_again_until_it_is_not_needed() {
    let mut scene = asleep(false);
    scene.is(load(1, None));
    assert_eq!(scene.does(failed(2)), [KillWorker(2)]);
    scene.is(load(0, None));
    assert_eq!(scene.does(exited(2, 9)), [gone(2, FAILED, true), spawn_worker(3)]);
    scene.is(failed(3));
    assert_eq!(scene.does(exited(3, 9)), [gone(3, FAILED, true)]);
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
    scene.passes(0.1).is(Event::Tick);
    scene.is(failed(4));
    scene.passes(60.0);
    assert_eq!(scene.does(exited(4, 9)), [gone(4, FAILED, true), sleeps()]);
    assert_eq!(scene.wait(), None);
}

#[test]
fn nobody_leaves_while_flupd_stops() {
    let mut scene = serving(0, 2, false);
    scene.is(load(0, Some(1)));
    scene.is(Event::Signal);
    assert_eq!(scene.wait(), Some(GRACE));
}

#[test]
fn the_number_is_ordered() {
    let mut scene = Scene::serving();
    let (four, one) = (Workers::fixed(4), Workers::fixed(1));
    assert_eq!(scene.does(scale(four)), [told(four), spawn_worker(3), spawn_worker(4)]);
    scene.is(ready(3));
    // One that starts leaves when it is ready.
    assert_eq!(scene.does(scale(one)), [told(one), drain(3), drain(2), drain(1)]);
    assert_eq!(scene.state.groups[&GROUP].size(), 1);
    assert_eq!(scene.does(ready(4)), [told_ready(4)]);
}

#[test]
fn a_new_generation_begins_with_as_many_as_serve() {
    let mut scene = serving(1, 4, false);
    scene.is(load(2, None));
    assert_eq!(scene.passes(0.5).does(ready(2)).last(), Some(&spawn_worker(3)));
    scene.is(ready(3));
    scene.is(Event::ReloadWanted);
    let new = GroupId { app: APP, generation: 2 };
    for (max, started) in [(8, 3), (2, 2)] {
        let workers = Workers { min: 1, max, spare: 0, idle: IDLE };
        let plan = Plan { workers, threads: 1, ..Plan::default() };
        let patience = Duration::from_secs(60);
        let plan = ReloadPlan {
            groups: vec![(new, plan)],
            removed: Vec::new(),
            canaries: BTreeMap::new(),
            patience,
        };
        assert_eq!(scene.does(Event::Reload(plan)).len(), started, "{max}");
        scene.is(Event::ReloadImpossible("no".into()));
        for worker in 0..100 {
            if scene.state.groups.get(&new).is_some_and(|group| group.has(worker)) {
                scene.is(exited(worker, 9));
            }
        }
        scene.is(Event::ReloadWanted);
    }
}
