//! The probe: a request that new workers must answer.

use super::*;

const NEW: GroupId = GroupId { app: APP, generation: 2 };

fn asked() -> Plan {
    Plan { probe: true, ..two(false) }
}

fn proved(worker: u64) -> Event {
    Event::WorkerProved { worker, failure: None }
}

fn unfit(worker: u64) -> Event {
    Event::WorkerProved { worker, failure: Some("was answered 500 Oh".into()) }
}

/// Two workers that must answer, nothing started.
fn starting() -> Scene {
    let now = Instant::now();
    let mut scene = Scene { state: State::new([(GROUP, asked())], false, GRACE, now), now };
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    scene
}

/// They serve, and those of a new generation have been started.
fn trying() -> Scene {
    let mut scene = starting();
    for event in [ready(1), ready(2), proved(1), proved(2), Event::ReloadWanted] {
        scene.is(event);
    }
    let patience = Duration::from_secs(60);
    let plan = ReloadPlan {
        groups: vec![(NEW, asked())],
        removed: Vec::new(),
        canaries: BTreeMap::new(),
        patience,
    };
    assert_eq!(scene.does(Event::Reload(plan)).len(), 2);
    scene
}

#[test]
fn a_worker_is_ready_when_it_has_answered() {
    let mut scene = starting();
    assert_eq!(scene.does(ready(1)), [Action::Prove(GROUP, 1)]);
    assert_eq!(scene.does(ready(1)), [], "it is asked once");
    assert_eq!(scene.does(ready(2)), [Action::Prove(GROUP, 2)]);
    let done = scene.is(proved(1));
    assert!(done.contains(&told_ready(1)) && done.contains(&Log(Note::Ready)), "{done:?}");
    assert_eq!(scene.does(proved(2)), [told_ready(2)]);
    assert_eq!(scene.does(proved(2)), []);
}

#[test]
fn who_comes_into_a_generation_that_serves_is_not_asked() {
    let mut scene = starting();
    scene.is(ready(1));
    scene.is(proved(1));
    assert_eq!(scene.does(ready(2)), [told_ready(2)]);
    assert_eq!(scene.passes(60.0).does(exited(1, 11)).last(), Some(&spawn_worker(3)));
    assert_eq!(scene.does(ready(3)), [told_ready(3)]);
}

#[test]
fn a_first_start_that_does_not_answer_ends_flupd() {
    let mut scene = starting();
    scene.is(ready(1));
    let actions = scene.is(unfit(1));
    let error = "was answered 500 Oh".to_owned();
    assert_eq!(actions[0], of(Note::ProbeFailed { worker: 1, error, again_in: None }));
    assert_eq!(actions.last(), Some(&Exit(1)));
}

#[test]
fn at_a_reload_every_worker_must_answer() {
    let mut scene = trying();
    assert_eq!(scene.does(ready(3)), [Action::Prove(NEW, 3)]);
    let tells = |worker| Action::Tell(ToGateway::WorkerReady { group: NEW, worker });
    assert_eq!(scene.does(proved(3)), [tells(3)]);
    assert_eq!(scene.does(ready(4)), [Action::Prove(NEW, 4)]);
    assert_eq!(scene.does(proved(4)), [tells(4), Action::Switch]);
}

#[test]
fn a_reload_whose_worker_does_not_answer_well_changes_nothing() {
    let mut scene = trying();
    scene.is(ready(3));
    scene.is(ready(4));
    scene.is(proved(3));
    let actions = scene.does(unfit(4));
    assert!(actions.contains(&Action::ReloadFailed("was answered 500 Oh".into())), "{actions:?}");
    assert!(actions.contains(&KillWorker(3)) && actions.contains(&KillWorker(4)), "{actions:?}");
    assert!(!actions.contains(&KillWorker(1)), "{actions:?}");
    // One that dies of it has failed, too; what comes late of it is nothing.
    let mut scene = trying();
    scene.is(ready(3));
    let actions = scene.does(exited(3, 11));
    assert!(actions.iter().any(|action| matches!(action, Action::ReloadFailed(_))), "{actions:?}");
    assert_eq!(scene.does(proved(3)), []);
}
