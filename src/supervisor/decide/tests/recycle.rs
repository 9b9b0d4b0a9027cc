//! Workers that are due.

use super::*;

const AGE: Duration = Duration::from_secs(100);
const MOST: u64 = 100 << 20;

fn scene(workers: usize) -> Scene {
    let now = Instant::now();
    let plan = Plan {
        workers: Workers::fixed(workers),
        max_age: Some(AGE),
        max_memory: Some(MOST),
        ..Plan::default()
    };
    let mut scene = Scene { state: State::new([(GROUP, plan)], false, GRACE, now), now };
    scene.is(Event::Tick);
    scene.is(Event::GatewayListens);
    (1..=workers as u64).for_each(|worker| drop(scene.is(ready(worker))));
    scene
}

fn served(worker: u64) -> Event {
    Event::WorkerDue { worker, why: Due::Requests }
}

fn weighed(worker: u64, bytes: u64) -> Event {
    Event::Weighed([(worker, bytes)].into())
}

fn drained(worker: u64) -> Action {
    Action::Tell(ToGateway::WorkerDrain { group: GROUP, worker })
}

#[test]
fn one_after_the_other() {
    let mut scene = scene(4);
    assert_eq!(scene.does(served(2)), [spawn_worker(5)]);
    assert_eq!(scene.does(served(2)), [], "once is enough");
    assert_eq!(scene.does(served(1)), [], "it waits for its turn");
    assert_eq!(scene.does(served(3)), []);
    assert!(scene.does(ready(5)).contains(&drained(2)));
    let left = scene.does(exited(2, 0));
    assert_eq!(left, [gone(2, "exit status 0", true), spawn_worker(6)], "the next one's turn");
    assert!(scene.does(ready(6)).contains(&drained(1)));
    assert!(scene.does(exited(1, 0)).contains(&spawn_worker(7)));
    assert!(scene.does(ready(7)).contains(&drained(3)));
    assert_eq!(scene.does(exited(3, 0)), [gone(3, "exit status 0", true)]);
}

/// It is not its successor, but one that was there before, or takes the place of one
/// that has died.
#[test]
fn one_stays_while_another_is_missing() {
    let mut scene = scene(2);
    scene.is(exited(2, 11));
    assert_eq!(scene.does(served(1)), [spawn_worker(4)]);
    assert!(!scene.does(ready(3)).contains(&drained(1)));
    assert!(scene.does(ready(4)).contains(&drained(1)));
}

#[test]
fn of_many_a_quarter_at_once() {
    let mut scene = scene(8);
    let spawned: Vec<_> = (1..=8).flat_map(|worker| scene.does(served(worker))).collect();
    assert_eq!(spawned, [spawn_worker(9), spawn_worker(10)]);
}

#[test]
fn the_old_ones_are_replaced_not_all_at_the_same_age() {
    let mut scene = scene(2);
    let first = scene.wait().unwrap();
    assert!(first <= AGE && first >= AGE * 9 / 10, "{first:?}");
    let (mut spawned, mut last) = (0, Duration::ZERO);
    let start = scene.now;
    while spawned < 2 {
        let wait = scene.wait().unwrap();
        let actions = scene.passes(wait.as_secs_f64()).does(Event::Tick);
        if actions == [spawn_worker(3 + spawned)] {
            last = scene.now - start;
            let old = if scene.does(ready(3 + spawned)).contains(&drained(1)) { 1 } else { 2 };
            scene.is(exited(old, 0));
            spawned += 1;
        }
    }
    assert!(last <= AGE && last > first, "{first:?} {last:?}");
    // The new ones are young.
    assert!(scene.wait().unwrap() >= AGE * 8 / 10);
}

#[test]
fn the_large_ones_are_replaced() {
    let mut scene = scene(2);
    scene.passes(1.0);
    assert_eq!(scene.does(weighed(1, MOST + 1)), [], "it is still young");
    scene.passes(5.0);
    assert_eq!(scene.does(weighed(1, MOST)), []);
    assert_eq!(scene.does(weighed(7, MOST + 1)), []);
    assert_eq!(scene.state.weighed().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(scene.does(weighed(1, MOST + 1)), [spawn_worker(3)]);
    assert_eq!(scene.state.weighed().collect::<Vec<_>>(), [2], "it is known of the other");
}

#[test]
fn who_does_not_finish_is_cut() {
    let mut scene = scene(2);
    scene.is(served(1));
    scene.is(ready(3));
    assert_eq!(scene.wait(), Some(GRACE));
    assert_eq!(scene.passes(30.0).does(Event::Tick), [KillWorker(1)]);
    assert_eq!(
        scene.does(exited(1, 9)),
        [gone(1, "killed by signal 9 (SIGKILL)", true)],
        "its successor is there"
    );
}

#[test]
fn nobody_is_replaced_while_flupd_stops() {
    let mut scene = scene(2);
    scene.is(Event::Signal);
    assert_eq!(scene.does(served(1)), []);
    // Nor does a birthday that has passed keep the loop awake.
    scene.passes(29.0);
    scene.is(Event::Tick);
    assert_eq!(scene.wait(), Some(Duration::from_secs(1)));
    scene.passes(100.0);
    assert!(scene.does(Event::Tick).contains(&Exit(0)));
}

/// Whatever becomes due and dies in whatever order: the workers that take requests
/// are never fewer because of it, and never more than a quarter too many run.
#[test]
fn capacity_does_not_dip() {
    for workers in [1_u64, 2, 5, 12] {
        let mut scene = scene(workers as usize);
        let (mut ready_ones, mut starting) = ((1..=workers).collect::<Vec<_>>(), Vec::new());
        let mut draining = Vec::new();
        for step in 0..600_u64 {
            let pick = crate::jitter::jitter(step, u64::MAX);
            let event = match pick % 4 {
                0 | 1 => ready_ones.get(pick as usize / 8 % ready_ones.len()).copied().map(served),
                2 => (!starting.is_empty()).then(|| {
                    let worker = starting.remove(0);
                    ready_ones.push(worker);
                    ready(worker)
                }),
                _ => (!draining.is_empty()).then(|| exited(draining.remove(0), 0)),
            };
            for action in scene.does(event.unwrap_or(Event::Tick)) {
                match action {
                    Action::SpawnWorker(_, worker) => starting.push(worker),
                    Action::Tell(ToGateway::WorkerDrain { worker, .. }) => {
                        ready_ones.retain(|one| *one != worker);
                        draining.push(worker);
                    }
                    _ => {}
                }
            }
            assert!(ready_ones.len() as u64 >= workers, "{step}");
            let all = ready_ones.len() + starting.len() + draining.len();
            assert!(all as u64 <= workers + (workers / 4).max(1), "{step}: {all}");
        }
        assert!(scene.state.last_worker > workers * 3, "many were replaced");
    }
}
