//! Reloads: new generations beside those that serve.

use super::*;
use crate::config::AppId;

const NEW: GroupId = GroupId { app: APP, generation: 2 };
const PATIENCE: Duration = Duration::from_secs(60);

fn reload_to(groups: Vec<(GroupId, Plan)>) -> Event {
    Event::Reload(ReloadPlan {
        groups,
        removed: Vec::new(),
        canaries: BTreeMap::new(),
        patience: PATIENCE,
    })
}

fn spawn(group: GroupId, worker: u64) -> Action {
    Action::SpawnWorker(group, worker)
}

fn tells_ready(group: GroupId, worker: u64) -> Action {
    Action::Tell(ToGateway::WorkerReady { group, worker })
}

/// Workers 1 and 2 serve, 3 and 4 of the new generation start.
fn trying() -> Scene {
    let mut scene = Scene::serving();
    assert_eq!(scene.does(Event::ReloadWanted), [Action::PrepareReload]);
    let begun = scene.does(reload_to(vec![(NEW, two(false))]));
    assert_eq!(begun, [spawn(NEW, 3), spawn(NEW, 4)]);
    scene
}

#[test]
fn the_new_generation_takes_over_when_all_its_workers_are_ready() {
    let mut scene = trying();
    assert_eq!(scene.does(ready(3)), [tells_ready(NEW, 3)]);
    assert_eq!(scene.does(ready(4)), [tells_ready(NEW, 4), Action::Switch]);
    assert_eq!(scene.is(Event::GatewaySwitched), [Log(Note::Reloaded), Action::ReloadDone(None)]);
    assert_eq!(scene.is(Event::GatewaySwitched), []);
    let left = Action::Tell(ToGateway::WorkerExited {
        group: GROUP,
        worker: 1,
        cause: "exit status 0".into(),
        expected: true,
    });
    assert_eq!(scene.does(exited(1, 0)), [left], "it is not replaced");
    assert_eq!(scene.does(exited(2, 0)).last(), Some(&Action::Forget(GROUP)));
    assert_eq!(scene.wait(), None);
}

#[test]
fn who_does_not_leave_in_time_is_killed() {
    let mut scene = trying();
    scene.is(ready(3));
    scene.is(ready(4));
    assert_eq!(scene.wait(), Some(GRACE));
    assert_eq!(scene.passes(30.0).does(Event::Tick), [KillWorker(1), KillWorker(2)]);
    assert_eq!(scene.wait(), None);
    scene.is(exited(1, 9));
    assert_eq!(scene.does(exited(2, 9)).last(), Some(&Action::Forget(GROUP)));
}

#[test]
fn an_app_may_have_its_own_time_to_leave() {
    let now = Instant::now();
    let patient = Plan { grace: Some(GRACE * 2), ..two(false) };
    let mut scene = Scene { state: State::new([(GROUP, patient)], false, GRACE, now), now };
    for event in [Event::Tick, Event::GatewayListens, ready(1), ready(2), Event::ReloadWanted] {
        scene.is(event);
    }
    scene.is(reload_to(vec![(NEW, two(false))]));
    scene.is(ready(3));
    scene.is(ready(4));
    scene.is(Event::GatewaySwitched);
    assert_eq!(scene.passes(30.0).does(Event::Tick), []);
    assert_eq!(scene.passes(30.0).does(Event::Tick), [KillWorker(1), KillWorker(2)]);
    // The new one has that of all.
    scene.is(exited(1, 9));
    scene.is(exited(2, 9));
    let stopping = scene.is(Event::Signal);
    assert!(stopping.contains(&Log(Note::Stopping { grace: GRACE })), "{stopping:?}");
}

#[test]
fn one_that_fails_leaves_all_as_it_was() {
    for failure in [failed(4), exited(4, 11)] {
        let mut scene = trying();
        scene.is(ready(3));
        let actions = scene.does(failure.clone());
        assert!(actions.contains(&KillWorker(3)), "{actions:?}");
        assert!(matches!(actions.last(), Some(Action::ReloadFailed(_) | Action::Forget(_))));
        assert!(actions.iter().any(|action| matches!(action, Action::ReloadFailed(_))));
        scene.is(exited(3, 9));
        scene.is(exited(4, 9));
        assert_eq!(scene.wait(), None, "nobody is started again");
        let again = scene.does(exited(1, 11));
        assert_eq!(again.last(), Some(&spawn(GROUP, 5)), "the old one goes on");
    }
}

#[test]
fn a_hanging_import_ends_the_reload() {
    let mut scene = trying();
    scene.is(ready(3));
    assert_eq!(scene.wait(), Some(PATIENCE));
    let actions = scene.passes(60.0).does(Event::Tick);
    assert!(actions.contains(&KillWorker(4)) && actions.contains(&KillWorker(3)), "{actions:?}");
    let why = "the new workers were not ready within 60 s".to_owned();
    assert!(actions.contains(&Action::ReloadFailed(why)), "{actions:?}");
}

#[test]
fn what_is_wanted_during_a_reload_is_done_after_it() {
    let mut scene = trying();
    assert_eq!(scene.does(Event::ReloadWanted), []);
    assert_eq!(scene.does(Event::ReloadWanted), []);
    scene.is(ready(3));
    let actions = scene.does(ready(4));
    assert_eq!(actions.last(), Some(&Action::Switch));
    assert_eq!(
        scene.does(Event::GatewaySwitched),
        [Action::ReloadDone(None), Action::PrepareReload]
    );
    assert_eq!(scene.does(Event::ReloadImpossible("no python".into())).len(), 1);
    assert_eq!(scene.does(Event::Tick), []);
}

#[test]
fn a_reload_that_is_wanted_at_the_start_waits_for_its_end() {
    let mut scene = Scene::new();
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    assert_eq!(scene.does(Event::ReloadWanted), []);
    assert_eq!(scene.does(ready(1)).last(), Some(&Action::PrepareReload));
}

#[test]
fn a_stop_ends_a_reload() {
    let mut scene = trying();
    let actions = scene.does(Event::Signal);
    assert!(actions.contains(&KillWorker(3)) && actions.contains(&KillWorker(4)), "{actions:?}");
    assert!(!actions.contains(&KillWorker(1)));
    assert!(actions.contains(&told_stop()));
    let refused = scene.is(Event::ReloadWanted);
    assert_eq!(refused, [Action::NoReload("flupd is stopping".into())]);
}

#[test]
fn the_end_of_the_gateway_ends_a_reload() {
    let mut scene = trying();
    scene.is(ready(3));
    let actions = scene.does(gateway_exited(11));
    assert!(actions.iter().any(|action| matches!(action, Action::ReloadFailed(_))), "{actions:?}");
    for worker in 1..=4 {
        assert!(actions.contains(&KillWorker(worker)), "{actions:?}");
    }
}

/// The next one is started with what the last one was told.
#[test]
fn a_gateway_that_ends_while_it_switches_does_not_end_the_reload() {
    let mut scene = trying();
    scene.is(ready(3));
    scene.is(ready(4));
    let actions = scene.does(gateway_exited(11));
    let ended = |a: &Action| matches!(a, Action::ReloadFailed(_) | Action::ReloadDone(_));
    assert!(actions.contains(&SpawnGateway) && !actions.iter().any(ended), "{actions:?}");
    assert!(scene.does(Event::GatewayListens).contains(&Action::ReloadDone(None)));
    assert_eq!(scene.does(Event::GatewaySwitched), []);
}

#[test]
fn a_stop_while_the_gateway_switches_comes_after_it() {
    let mut scene = trying();
    scene.is(ready(3));
    scene.is(ready(4));
    assert_eq!(scene.does(Event::Signal), [Action::ReloadDone(None), CloseListeners, told_stop()]);
}

#[test]
fn with_several_apps_all_take_over_together_and_removed_ones_leave() {
    let other = AppId(1);
    let now = Instant::now();
    let groups = [(GROUP, two(false)), (GroupId::first(other), two(false))];
    let mut scene = Scene { state: State::new(groups, false, GRACE, now), now };
    for event in [Event::Tick, Event::GatewayListens, ready(1), ready(2), ready(3), ready(4)] {
        scene.is(event);
    }
    scene.is(Event::ReloadWanted);
    let plan = ReloadPlan {
        groups: vec![(NEW, two(false))],
        removed: vec![other],
        canaries: BTreeMap::new(),
        patience: PATIENCE,
    };
    assert_eq!(scene.does(Event::Reload(plan)), [spawn(NEW, 5), spawn(NEW, 6)]);
    scene.is(ready(5));
    assert!(scene.does(ready(6)).contains(&Action::Switch));
    for worker in 1..=4 {
        assert!(
            !scene.does(exited(worker, 0)).iter().any(|a| matches!(a, Action::SpawnWorker(..)))
        );
    }
    assert_eq!(scene.state.groups.len(), 1);
}

#[test]
fn solo_workers_are_told_to_stop() {
    let now = Instant::now();
    let mut scene = Scene { state: State::new([(GROUP, two(false))], true, GRACE, now), now };
    for event in [Event::Tick, ready(1), ready(2), Event::ReloadWanted] {
        scene.is(event);
    }
    scene.is(reload_to(vec![(NEW, two(false))]));
    scene.is(ready(3));
    let actions = scene.does(ready(4));
    assert!(actions.contains(&Action::StopWorker(1)) && actions.contains(&Action::StopWorker(2)));
    assert!(actions.contains(&Action::ReloadDone(None)), "nobody has to be told");
}
