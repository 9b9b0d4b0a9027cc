//! What the gateway does around each sleep of its runtime.
//!
//! All work of a turn is done when the runtime parks: that is when wake-ups go
//! out together, and when workers have to begin to ring.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::time::Instant;

use super::pool::Pool;
use super::solo;

thread_local! {
    static POOLS: RefCell<Option<Rc<[Rc<Pool>]>>> = const { RefCell::new(None) };
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time at which this turn began: asking the clock for each step would cost
/// more than many a step.
pub(super) fn now() -> Instant {
    NOW.get().unwrap_or_else(|| {
        let now = Instant::now();
        NOW.set(Some(now));
        now
    })
}

/// A new turn begins: the clock is asked again.
pub(super) fn forget_time() {
    NOW.set(None);
}

/// From now on the sleeps of this thread serve this pool, too.
pub(super) fn attend(pool: &Rc<Pool>) {
    change(|pools| pools.push(Rc::clone(pool)));
}

/// They do not any more.
pub(super) fn dismiss(pool: &Rc<Pool>) {
    change(|pools| pools.retain(|one| !Rc::ptr_eq(one, pool)));
}

fn change(change: impl FnOnce(&mut Vec<Rc<Pool>>)) {
    let mut pools = POOLS.with_borrow(|pools| pools.as_deref().unwrap_or_default().to_vec());
    change(&mut pools);
    POOLS.set(Some(pools.into()));
}

/// The sleeps of this thread serve nobody any more.
pub(super) fn end() {
    POOLS.set(None);
}

/// Calls `work` with each pool of this thread.
pub(super) fn with_pools(work: impl FnMut(&Rc<Pool>)) {
    // The borrow ends first: what is called may come here again.
    let pools = POOLS.with_borrow(Clone::clone);
    pools.iter().flat_map(|pools| pools.iter()).for_each(work);
}

/// The runtime's hook before it parks the thread.
pub(super) fn before_sleep() {
    with_pools(|pool| pool.before_sleep());
    if solo::is_here() {
        solo::tell_crowd();
        // One a turn: no answer waits for what is staged behind its request. But one that
        // nobody waits for makes no turn, and what is behind it would sleep with us.
        let mut told = false;
        while !told && solo::step() {
            with_pools(|pool| told |= pool.scan());
        }
    }
}

/// The runtime's hook after it was woken.
pub(super) fn after_sleep() {
    forget_time();
    with_pools(|pool| pool.after_sleep());
}
