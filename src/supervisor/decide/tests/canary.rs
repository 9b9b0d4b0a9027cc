//! A canary: two generations side by side, and how that can end.

use super::*;
use crate::config::{AppId, Canary, Share};
use crate::observe::figures::Figures;

const NEW: GroupId = GroupId { app: APP, generation: 2 };
const TIME: Duration = Duration::from_secs(30);
const SHARE: Share = Share(100);

fn plan(canary: bool) -> Event {
    let compared = Compared { name: None, canary: Canary { share: SHARE, time: TIME } };
    Event::Reload(ReloadPlan {
        groups: vec![(NEW, two(false))],
        removed: Vec::new(),
        canaries: canary.then_some((NEW, compared)).into_iter().collect(),
        patience: Duration::from_secs(60),
    })
}

/// Workers 1 and 2 serve; 3 and 4 of the new generation beside them.
fn comparing() -> Scene {
    let mut scene = Scene::serving();
    scene.passes(60.0).is(Event::ReloadWanted);
    scene.is(plan(true));
    scene.is(ready(3));
    let actions = scene.is(ready(4));
    assert!(actions.contains(&begins()), "{actions:?}");
    assert!(!actions.contains(&Action::Switch), "{actions:?}");
    scene
}

fn begins() -> Action {
    Action::Tell(ToGateway::CanaryBegins { groups: vec![(NEW, SHARE)] })
}

fn ends() -> Action {
    Action::Tell(ToGateway::CanaryEnds)
}

/// (answered, failed) of the old one and of the new one.
fn figures(old: (u64, u64), new: (u64, u64)) -> Event {
    let of = |(answered, failed)| Figures { answered, failed, ..Figures::default() };
    Event::Canary(Box::new((APP, of(old), of(new))))
}

/// Why the reload has failed, if these actions say so.
fn failure(actions: &[Action]) -> Option<&str> {
    actions.iter().find_map(|action| match action {
        Action::ReloadFailed(why) => Some(&**why),
        _ => None,
    })
}

/// It was taken back: it gets no more requests, and finishes those it has.
fn is_taken_back(scene: &mut Scene, actions: &[Action]) {
    assert!(actions.contains(&ends()), "{actions:?}");
    let kills = actions.iter().any(|action| matches!(action, KillWorker(3 | 4)));
    assert!(!kills && !actions.contains(&Action::Switch), "{actions:?}");
    for worker in [3, 4] {
        let left = scene.does(exited(worker, 0));
        assert!(!left.iter().any(|a| matches!(a, Action::SpawnWorker(..))), "{left:?}");
    }
    assert_eq!(scene.state.groups.len(), 1);
    assert!(scene.does(exited(1, 11)).contains(&spawn_worker(5)), "the old one goes on");
}

#[test]
fn one_that_does_no_worse_takes_over_when_the_time_is_over() {
    let mut scene = comparing();
    assert_eq!(scene.passes(29.0).does(figures((900, 1), (100, 0))), []);
    assert_eq!(scene.passes(1.0).does(figures((950, 1), (105, 0))), [Action::Switch]);
    let told = "the new generation is no worse, and takes over\n  \
                new: 105 requests, 0 failed (0.0 %)\n  old: 951 requests, 1 failed (0.1 %)";
    let done = scene.does(Event::GatewaySwitched);
    assert_eq!(done, [Action::ReloadDone(Some(told.to_owned()))]);
    scene.is(exited(1, 0));
    scene.is(exited(2, 0));
    assert_eq!(scene.state.groups.keys().collect::<Vec<_>>(), [&NEW]);
}

#[test]
fn one_that_fails_is_taken_back_at_once() {
    let mut scene = comparing();
    assert_eq!(scene.passes(1.0).does(figures((90, 0), (8, 2))), []);
    let actions = scene.is(figures((180, 0), (10, 10)));
    let why = failure(&actions).unwrap_or_default();
    assert!(why.starts_with("the new generation was taken back: more of its requests fail\n"));
    assert!(why.contains("new: 20 requests, 10 failed (50.0 %)"), "{why}");
    let says = |a: &Action| matches!(a, Action::LogOf(NEW, Note::CanaryFailed { .. }));
    assert!(actions.iter().any(says), "{actions:?}");
    is_taken_back(&mut scene, &actions);
}

#[test]
fn at_the_end_less_proof_is_needed() {
    let mut scene = comparing();
    assert_eq!(scene.passes(29.0).does(figures((27, 0), (0, 3))), []);
    let actions = scene.passes(1.0).is(figures((27, 0), (0, 3)));
    assert!(failure(&actions).is_some(), "{actions:?}");
    is_taken_back(&mut scene, &actions);
}

#[test]
fn one_whose_workers_die_is_taken_back() {
    let mut scene = comparing();
    scene.is(figures((9, 0), (1, 0)));
    let actions = scene.is(exited(3, 11));
    assert!(failure(&actions).is_some_and(|why| why.contains("its workers die")), "{actions:?}");
    // Not if those of the old one do as well.
    let mut scene = comparing();
    assert_eq!(failure(&scene.is(exited(1, 11))), None);
    let actions = scene.is(exited(3, 11));
    assert_eq!(failure(&actions), None);
    assert!(actions.contains(&Action::SpawnWorker(NEW, 6)), "it is replaced: {actions:?}");
    let broken = |worker| Event::WorkerBroken { worker, reason: "a second head".into() };
    assert!(failure(&scene.is(broken(4))).is_some());
}

/// Who is not needed any more and leaves excuses no death of a new one.
#[test]
fn one_that_leaves_has_not_died() {
    let mut scene = comparing();
    scene.is(Event::Scale { group: GROUP, workers: Workers::fixed(1) });
    assert_eq!(failure(&scene.is(exited(2, 0))), None);
    let actions = scene.is(exited(3, 11));
    assert!(failure(&actions).is_some_and(|why| why.contains("its workers die")), "{actions:?}");
}

#[test]
fn one_whose_worker_can_not_be_replaced_is_taken_back() {
    let mut scene = comparing();
    scene.is(exited(1, 11));
    scene.is(exited(3, 11));
    let actions = scene.is(failed(6));
    assert_eq!(failure(&actions), Some("Traceback"));
    assert!(actions.contains(&ends()), "{actions:?}");
}

/// Without requests nothing is known, and a quiet site can be reloaded, too.
#[test]
fn without_a_request_it_takes_over() {
    let mut scene = comparing();
    assert_eq!(scene.passes(30.0).does(figures((0, 0), (0, 0))), [Action::Switch]);
}

#[test]
fn a_gateway_that_says_nothing_is_not_waited_for() {
    let mut scene = comparing();
    assert_eq!(scene.passes(30.0).does(Event::Tick), []);
    assert_eq!(scene.wait(), Some(Duration::from_secs(3)));
    assert_eq!(scene.passes(3.0).does(Event::Tick), [Action::Switch]);
}

#[test]
fn a_stop_takes_it_back_and_both_finish_what_they_have() {
    let mut scene = comparing();
    let actions = scene.does(Event::Signal);
    let expected =
        [ends(), Action::ReloadFailed("flupd is stopping".into()), CloseListeners, told_stop()];
    assert_eq!(actions, expected);
    scene.is(gateway_exited(0));
    for worker in [1, 2, 3] {
        scene.is(exited(worker, 0));
    }
    assert_eq!(scene.does(exited(4, 0)).last(), Some(&Exit(0)));
}

#[test]
fn the_end_of_the_gateway_takes_it_back() {
    let mut scene = comparing();
    let actions = scene.does(gateway_exited(11));
    assert_eq!(failure(&actions), Some("the gateway ended unexpectedly"));
    for worker in 1..=4 {
        assert!(actions.contains(&KillWorker(worker)), "{actions:?}");
    }
    for worker in 1..=4 {
        scene.is(exited(worker, 9));
    }
    assert_eq!(scene.state.groups.keys().collect::<Vec<_>>(), [&GROUP]);
}

#[test]
fn another_reload_waits_for_the_verdict() {
    let mut scene = comparing();
    assert_eq!(scene.does(Event::ReloadWanted), []);
    assert_eq!(scene.does(figures((90, 0), (10, 0))), []);
    assert_eq!(scene.passes(30.0).does(figures((90, 0), (10, 0))), [Action::Switch]);
    let actions = scene.does(Event::GatewaySwitched);
    assert_eq!(actions.last(), Some(&Action::PrepareReload), "{actions:?}");
    // What comes late of the figures is nothing.
    assert_eq!(scene.does(figures((90, 0), (0, 90))), []);
}

/// Those that are not compared wait until it is known.
#[test]
fn apps_without_a_canary_take_over_with_it() {
    let other = AppId(1);
    let now = Instant::now();
    let groups = [(GROUP, two(false)), (GroupId::first(other), two(false))];
    let mut scene = Scene { state: State::new(groups, false, GRACE, now), now };
    for event in [Event::Tick, Event::GatewayListens, ready(1), ready(2), ready(3), ready(4)] {
        scene.is(event);
    }
    scene.is(Event::ReloadWanted);
    let Event::Reload(mut plan) = plan(true) else { unreachable!() };
    let beside = GroupId { app: other, generation: 2 };
    plan.groups.push((beside, two(false)));
    scene.is(Event::Reload(plan));
    for worker in [5, 6, 7] {
        scene.is(ready(worker));
    }
    assert!(scene.does(ready(8)).contains(&begins()));
    // A crash elsewhere is not the canary's.
    assert_eq!(failure(&scene.is(exited(3, 11))), None);
    assert_eq!(failure(&scene.is(exited(7, 11))), None);
    let actions = scene.passes(30.0).does(figures((0, 0), (0, 0)));
    assert!(actions.contains(&Action::Switch), "{actions:?}");
}
