//! Workers that another takes the place of.

use super::*;

const KILLED: &str = "killed by signal 9 (SIGKILL)";

fn worn(worker: u64) -> Event {
    Event::WorkerWorn { worker }
}

fn spent(worker: u64) -> Event {
    Event::WorkerSpent { worker }
}

fn drained(worker: u64) -> Action {
    Action::Tell(ToGateway::WorkerDrain { group: GROUP, worker })
}

#[test]
fn another_is_ready_before_one_leaves() {
    let mut scene = Scene::serving();
    assert_eq!(scene.does(worn(1)), [spawn_worker(3)]);
    assert_eq!(scene.does(worn(1)), [], "once is enough");
    let ready = scene.does(ready(3));
    assert_eq!(
        ready,
        [Action::Tell(ToGateway::WorkerReady { group: GROUP, worker: 3 }), drained(1)]
    );
    assert_eq!(scene.does(exited(1, 0)), [gone(1, "exit status 0", true)]);
    assert_eq!(scene.wait(), None, "its place has gone with it");
}

#[test]
fn each_that_is_ready_lets_one_go() {
    let mut scene = Scene::serving();
    assert_eq!(scene.does(worn(2)), [spawn_worker(3)]);
    assert_eq!(scene.does(worn(1)), [spawn_worker(4)]);
    assert!(scene.does(ready(4)).contains(&drained(1)));
    assert!(scene.does(ready(3)).contains(&drained(2)));
}

/// The requests beside the one that is stuck are not given up for an app that can't
/// be imported any more.
#[test]
fn one_stays_while_no_other_is_ready() {
    let mut scene = Scene::serving();
    scene.is(worn(1));
    assert_eq!(scene.does(failed(3)), [KillWorker(3)]);
    assert!(scene.does(exited(3, 9)).contains(&spawn_worker(4)), "it is tried again");
    assert!(scene.does(ready(4)).contains(&drained(1)));
}

#[test]
fn one_that_dies_before_needs_no_second_successor() {
    let mut scene = Scene::serving();
    scene.is(worn(1));
    assert_eq!(scene.does(exited(1, 11)), [gone(1, SEGFAULT, false)]);
    assert_eq!(scene.wait(), None);
    assert!(!scene.does(ready(3)).contains(&drained(1)), "there is nobody to be drained");
}

#[test]
fn one_in_which_nothing_ends_is_killed_and_followed_at_once() {
    let mut scene = Scene::serving();
    assert_eq!(scene.does(spent(1)), [KillWorker(1)]);
    assert_eq!(scene.does(spent(1)), []);
    assert_eq!(scene.does(exited(1, 9)), [gone(1, KILLED, true), spawn_worker(3)]);

    scene.is(ready(3));
    scene.is(worn(2));
    scene.is(ready(4));
    assert_eq!(scene.does(spent(2)), [KillWorker(2)]);
    assert_eq!(scene.does(exited(2, 9)), [gone(2, KILLED, true)], "its successor is there");
}

#[test]
fn who_has_gone_or_is_going_is_not_replaced() {
    let mut scene = Scene::serving();
    assert_eq!(scene.does(worn(7)), []);
    assert_eq!(scene.does(spent(7)), []);
    scene.is(spent(1));
    assert_eq!(scene.does(worn(1)), []);
}
