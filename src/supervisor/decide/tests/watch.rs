//! A gateway that hangs is noticed.

use super::*;

const PING: Action = Action::Tell(ToGateway::Ping);
const PATIENCE: Duration = Duration::from_secs(30);

fn watched() -> Scene {
    let now = Instant::now();
    let state = State::new([(GROUP, two(false))], false, GRACE, now).watching(PATIENCE);
    let mut scene = Scene { state, now };
    for event in [Event::Tick, Event::GatewayListens, ready(1), ready(2)] {
        scene.is(event);
    }
    scene
}

#[test]
fn one_that_answers_is_left_alone() {
    let mut scene = watched();
    for _ in 0..10 {
        assert_eq!(scene.wait(), Some(Duration::from_secs(10)));
        assert_eq!(scene.passes(10.0).does(Event::Tick), [PING]);
        scene.is(Event::GatewayAnswers);
        assert!(scene.state.is_well());
    }
}

#[test]
fn one_that_does_not_is_ended_and_replaced() {
    let mut scene = watched();
    for _ in 0..3 {
        assert_eq!(scene.passes(10.0).does(Event::Tick), [PING]);
    }
    let hangs = Log(Note::GatewayHangs { silent: PATIENCE });
    assert_eq!(scene.passes(10.0).is(Event::Tick), [hangs, KillGateway]);
    assert!(!scene.state.is_well() && scene.wait().is_none());
    assert!(scene.does(gateway_exited(9)).contains(&SpawnGateway));
    assert!(scene.state.is_well());
    scene.is(Event::GatewayListens);
    assert_eq!(scene.passes(10.0).does(Event::Tick), [PING]);
}

/// Whatever time has passed, it has had a chance to answer.
#[test]
fn a_machine_that_stood_still_is_no_reason() {
    let mut scene = watched();
    assert_eq!(scene.passes(3600.0).does(Event::Tick), [PING]);
    assert_eq!(scene.does(Event::Tick), []);
    scene.is(Event::GatewayAnswers);
    assert_eq!(scene.passes(10.0).does(Event::Tick), [PING]);
}
