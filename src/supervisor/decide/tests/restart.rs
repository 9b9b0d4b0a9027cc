use super::*;

fn restart() -> Event {
    Event::Restart(vec![GROUP])
}

fn restarted(why: Option<&str>) -> Action {
    Action::Restarted(GROUP, why.map(str::to_owned))
}

fn drain(worker: u64) -> Action {
    Action::Tell(ToGateway::WorkerDrain { group: GROUP, worker })
}

fn zygote_ready() -> Event {
    let (app, python) = ("app:application".into(), "3.11.7".into());
    Event::ZygoteReady { group: GROUP, app, python, threads: Vec::new() }
}

#[test]
fn one_after_the_other_leaves_to_its_successor() {
    let mut scene = Scene::serving();
    assert_eq!(scene.does(restart()), [spawn_worker(3)]);
    assert_eq!(scene.does(ready(3)), [told_ready(3), drain(1)]);
    assert_eq!(scene.does(exited(1, 0)), [gone(1, "exit status 0", true), spawn_worker(4)]);
    assert_eq!(scene.does(ready(4)), [told_ready(4), drain(2), restarted(None)]);
    assert_eq!(scene.does(exited(2, 0)), [gone(2, "exit status 0", true)]);
    assert_eq!(scene.wait(), None);
}

#[test]
fn one_that_cannot_start_leaves_the_others_as_they_were() {
    let mut scene = Scene::serving();
    scene.is(restart());
    assert_eq!(scene.does(failed(3)), [KillWorker(3), restarted(Some("Traceback"))]);
    // Nothing is tried again: nobody is missing.
    assert_eq!(scene.does(exited(3, 9)), [gone(3, FAILED, true)]);
    assert_eq!((scene.wait(), scene.state.groups[&GROUP].size()), (None, 2));
    // The next one may go well.
    assert_eq!(scene.does(restart()), [spawn_worker(4)]);
    assert_eq!(scene.does(ready(4)), [told_ready(4), drain(1)]);
}

#[test]
fn half_way_those_that_were_replaced_stay_so() {
    let mut scene = Scene::serving();
    scene.is(restart());
    scene.is(ready(3));
    scene.is(exited(1, 0));
    let died = scene.does(exited(4, 3 << 8));
    let why = "a worker ended before it was ready: exit status 3";
    assert_eq!(died, [gone(4, "exit status 3", false), restarted(Some(why))]);
    assert!(scene.state.groups[&GROUP].has(2) && scene.state.groups[&GROUP].has(3));
    assert_eq!(scene.does(Event::Tick), []);
}

#[test]
fn one_that_hangs_has_a_minute() {
    let mut scene = Scene::serving();
    scene.is(restart());
    scene.passes(50.0).is(ready(3));
    scene.is(exited(1, 0));
    assert_eq!(scene.wait(), Some(Duration::from_secs(60)));
    let why = "the next worker was not ready within 60 s";
    assert_eq!(scene.passes(60.0).does(Event::Tick), [KillWorker(4), restarted(Some(why))]);
    assert_eq!(scene.does(exited(4, 9)), [gone(4, "killed by signal 9 (SIGKILL)", true)]);
    assert_eq!(scene.wait(), None);
}

#[test]
fn one_that_starts_when_it_is_ordered_is_replaced_too() {
    let mut scene = Scene::serving();
    scene.passes(60.0).is(exited(1, 11));
    assert_eq!(scene.does(restart()), [spawn_worker(4)]);
    scene.is(ready(3));
    assert_eq!(scene.does(ready(4)), [told_ready(4), drain(2)]);
    assert_eq!(scene.does(exited(2, 0)).last(), Some(&spawn_worker(5)));
    assert_eq!(scene.does(ready(5)), [told_ready(5), drain(3), restarted(None)]);
}

#[test]
fn what_fails_is_tried_at_once() {
    let mut scene = Scene::serving();
    for worker in [1, 2] {
        scene.is(exited(worker, 11));
    }
    for worker in [3, 4] {
        scene.is(failed(worker));
        scene.is(exited(worker, 9));
    }
    assert_eq!(scene.wait(), Some(Duration::from_millis(100)));
    assert_eq!(scene.does(restart()), [spawn_worker(5), spawn_worker(6)]);
    scene.is(ready(5));
    assert_eq!(scene.does(ready(6)), [told_ready(6), restarted(None)]);
}

#[test]
fn a_zygote_goes_first() {
    let now = Instant::now();
    let mut scene = Scene { state: State::new([(GROUP, two(true))], false, GRACE, now), now };
    for event in [Event::Tick, Event::GatewayListens, zygote_ready(), ready(1), ready(2)] {
        scene.is(event);
    }
    let gone = || Event::ZygoteExited { group: GROUP, cause: Cause::Unseen };
    assert_eq!(scene.does(restart()), [Action::KillZygote(GROUP)]);
    assert_eq!(scene.does(gone()), [Action::SpawnZygote(GROUP)]);
    assert_eq!(scene.does(zygote_ready()), [spawn_worker(3)]);
    // One that can't import the app: nobody leaves.
    scene.is(restart());
    scene.is(gone());
    let failed = Event::ZygoteFailed { group: GROUP, error: "Traceback".into() };
    let actions = scene.does(failed);
    assert_eq!(actions.last(), Some(&restarted(Some("Traceback"))), "{actions:?}");
    assert!(!actions.contains(&drain(1)));
}

#[test]
fn nobody_to_replace_is_soon_done() {
    let workers = Workers { min: 0, max: 2, spare: 0, idle: Duration::from_secs(1) };
    let plan = Plan { workers, threads: 1, ..Plan::default() };
    let now = Instant::now();
    let mut scene = Scene { state: State::new([(GROUP, plan)], false, GRACE, now), now };
    for event in [Event::Tick, Event::GatewayListens, ready(1)] {
        scene.is(event);
    }
    let load = Load { requests_milli: 0, idlest: Some(1) };
    scene.is(Event::Load { group: GROUP, load });
    scene.passes(1.0).is(Event::Tick);
    assert_eq!(scene.does(restart()), [restarted(None)]);
}

#[test]
fn a_stop_ends_it() {
    let mut scene = Scene::serving();
    scene.is(restart());
    let actions = scene.does(Event::Signal);
    assert_eq!(actions.last(), Some(&restarted(Some("flupd is stopping"))), "{actions:?}");
}

#[test]
fn an_app_that_is_not_there_is_said() {
    let mut scene = Scene::serving();
    let other = GroupId { app: AppId(7), generation: 1 };
    let actions = scene.does(Event::Restart(vec![other]));
    assert!(matches!(&*actions, [Action::Restarted(id, Some(_))] if *id == other), "{actions:?}");
}
