//! What a gateway in a worker's own process counts, where an
//! [`onlooker`](crate::onlooker) sees it: at any time, and when the process is dead.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::layout::{self, LEDGER};
use crate::memory::{Mapping, Shared};
use crate::onlooker::Onlooker;

/// A `T` in the shared memory of a worker. All bytes begin as zero; the worker may have
/// written anything.
#[derive(Debug)]
pub struct Ledger<T> {
    mapping: Arc<Mapping>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Ledger<T> {
    fn clone(&self) -> Self {
        Self { mapping: Arc::clone(&self.mapping), of: PhantomData }
    }
}

impl<T: Shared> Deref for Ledger<T> {
    type Target = T;

    fn deref(&self) -> &T {
        const { assert!(size_of::<T>() <= LEDGER, "there is no room for it") };
        self.mapping.at(layout::ledger())
    }
}

impl Onlooker {
    /// What is counted in this worker's process. Each worker has one ledger, so one `T`.
    #[must_use]
    pub fn ledger<T: Shared>(&self) -> Ledger<T> {
        Ledger { mapping: Arc::clone(&self.mapping), of: PhantomData }
    }
}
