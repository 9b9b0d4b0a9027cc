//! Another program takes the place of this one.

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// The new program starts.
fn trying() -> Scene {
    let mut scene = Scene::serving();
    let begun = scene.is(Event::UpgradeWanted);
    assert_eq!(begun, [Log(Note::Upgrading), Action::StartSuccessor]);
    scene
}

fn ended(why: &str) -> Event {
    Event::SuccessorEnded { why: why.into() }
}

fn failed_for(why: &str) -> Action {
    Action::UpgradeFailed(why.into())
}

/// A program that is to replace another, with a gateway and one ready worker of two.
fn proving() -> Scene {
    let now = Instant::now();
    let state = State::new([(GROUP, two(false))], false, GRACE, now).proving();
    let mut scene = Scene { state, now };
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    assert_eq!(scene.does(ready(1)), [told_ready(1)]);
    scene
}

#[test]
fn the_old_one_stops_when_the_new_one_has_taken_over() {
    let mut scene = trying();
    assert_eq!(scene.is(Event::SuccessorReady), [Action::LetGo]);
    let upgraded = Log(Note::Upgraded { grace: GRACE });
    let stops = [upgraded, Action::Retire, CloseListeners, told_stop()];
    assert_eq!(scene.is(Event::SuccessorTook), stops);
    assert_eq!(scene.is(Event::GatewayClosed), [Action::UpgradeDone]);
    // In a terminal Ctrl-C reaches both.
    assert_eq!(scene.is(Event::Signal), []);
    scene.is(gateway_exited(0));
    scene.is(exited(1, 0));
    assert_eq!(scene.is(exited(2, 0)).last(), Some(&Exit(0)));
}

#[test]
fn a_second_signal_ends_the_old_one_at_once() {
    let mut scene = trying();
    scene.is(Event::SuccessorReady);
    scene.is(Event::SuccessorTook);
    scene.is(Event::Signal);
    assert!(scene.does(Event::Signal).contains(&Exit(1)));
}

#[test]
fn one_that_ends_changes_nothing_and_another_may_follow() {
    let mut scene = trying();
    assert_eq!(scene.does(ended("no")), [failed_for("no")]);
    assert_eq!(scene.does(Event::SuccessorReady), []);
    assert_eq!(scene.does(Event::SuccessorTook), []);
    assert_eq!(scene.does(Event::UpgradeWanted), [Action::StartSuccessor]);
    // It may end as late as this.
    scene.is(Event::SuccessorReady);
    assert_eq!(scene.does(ended("no")), [failed_for("no")]);
    assert_eq!(scene.wait(), None);
}

#[test]
fn one_that_takes_too_long_is_not_wanted() {
    let mut scene = trying();
    assert_eq!(scene.wait(), Some(PATIENCE));
    let why = "the new flupd was not ready within 60 s";
    assert_eq!(scene.passes(60.0).does(Event::Tick), [failed_for(why)]);
    assert_eq!(scene.does(ended("killed")), []);
}

#[test]
fn two_at_once_are_one_and_a_reload_waits() {
    let mut scene = trying();
    assert_eq!(scene.does(Event::UpgradeWanted), []);
    assert_eq!(scene.does(Event::ReloadWanted), []);
    let actions = scene.does(ended("no"));
    // The second one is tried, and the reload after that.
    assert_eq!(actions, [failed_for("no"), Action::StartSuccessor]);
    assert_eq!(scene.does(ended("no")), [failed_for("no"), Action::PrepareReload]);
    assert_eq!(scene.does(Event::UpgradeWanted), [], "it waits for the reload");
}

#[test]
fn a_stop_is_the_end_of_the_new_one_as_well() {
    let mut scene = trying();
    let stopped = scene.does(Event::Signal);
    assert_eq!(stopped, [failed_for("flupd is stopping"), CloseListeners, told_stop()]);
    assert_eq!(scene.does(Event::UpgradeWanted), [failed_for("flupd is stopping")]);
}

#[test]
fn the_proof_is_a_gateway_and_all_workers() {
    let mut scene = proving();
    assert_eq!(scene.does(ready(2)), [told_ready(2), Action::SayReady]);
    assert_eq!(scene.does(Event::Tick), []);
    assert_eq!(scene.is(Event::TakeOver), [Action::TakeOver, Log(Note::Ready)]);
    // From here on it is as any other.
    assert_eq!(scene.does(Event::ElderGone), []);
    assert_eq!(scene.does(Event::ReloadWanted), [Action::PrepareReload]);
}

#[test]
fn whatever_fails_before_is_said_and_ends_it() {
    for (event, why) in [
        (failed(2), "Traceback"),
        (exited(2, 9), "a worker ended before it was ready: killed by signal 9 (SIGKILL)"),
        (gateway_exited(9), "it could not start; its log says why"),
    ] {
        let mut scene = proving();
        let actions = scene.does(event);
        assert!(actions.contains(&Action::Refuse(why.into())), "{actions:?}");
        assert_eq!(actions.last(), Some(&Exit(1)));
    }
}

#[test]
fn without_the_old_one_nobody_wants_it() {
    let mut scene = proving();
    let actions = scene.does(Event::ElderGone);
    assert!(actions.contains(&KillWorker(1)) && actions.contains(&Exit(1)), "{actions:?}");
}
