//! What the gateway does around each sleep of its runtime.
//!
//! All work of a turn is done when the runtime parks: that is when wake-ups go
//! out together, and when workers have to begin to ring.

use std::cell::RefCell;
use std::rc::Rc;

use super::pool::Pool;

thread_local! {
    static POOL: RefCell<Option<Rc<Pool>>> = const { RefCell::new(None) };
}

/// From now on the sleeps of this thread serve this pool.
pub(super) fn serve(pool: Rc<Pool>) {
    POOL.set(Some(pool));
}

/// The runtime's hook before it parks the thread.
pub(super) fn before_sleep() {
    POOL.with_borrow(|pool| pool.iter().for_each(|pool| pool.before_sleep()));
}

/// The runtime's hook after it was woken.
pub(super) fn after_sleep() {
    POOL.with_borrow(|pool| pool.iter().for_each(|pool| pool.after_sleep()));
}
