//! The state of one staged request.
//!
//! ```text
//! FREE ──gateway stages──▶ REQUEST ──worker claims──▶ RUNNING ──gateway frees──▶ FREE
//!   ◀──gateway takes back──┘
//! ```
//!
//! Claiming and taking back are one compare-and-swap each, so exactly one of the
//! two happens. A thread's slots form a ring: the worker claims in order, the
//! gateway stages at the end and takes back from the end.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

const FREE: u32 = 0;
const REQUEST: u32 = 1;
const RUNNING: u32 = 2;

/// The params travel as a descriptor.
pub(crate) const PARAMS_FILE: u32 = 1;
/// The body travels as a descriptor.
pub(crate) const BODY_FILE: u32 = 2;
/// A Filter's file travels as a descriptor.
pub(crate) const DATA_FILE: u32 = 4;
/// The body is in shared memory, whose descriptor travels.
pub(crate) const BODY_SHARED: u32 = 8;
/// The worker shall tell when it did what.
pub(crate) const TIMED: u32 = 16;
/// And what it has cost.
pub(crate) const COSTED: u32 = 32;

/// One staged request; its params and body stand in the slot's area. The
/// default, all zero, is free.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Slot {
    state: AtomicU32,
    place: AtomicU32,
    params: AtomicU32,
    cancelled: AtomicU32,
    role: AtomicU32,
    body: AtomicU64,
    data: AtomicU64,
}

/// Where a request's parts are, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The role, as it travels.
    pub(crate) role: u32,
    /// [`PARAMS_FILE`], [`BODY_FILE`] or [`BODY_SHARED`], [`DATA_FILE`] and [`TIMED`]; or 0.
    pub(crate) place: u32,
    /// The length of the encoded params in bytes.
    pub(crate) params: usize,
    /// The length of the body in bytes.
    pub(crate) body: u64,
    /// The length of a Filter's file in bytes.
    pub(crate) data: u64,
}

impl Slot {
    /// Gateway: the area is filled; the worker may have it.
    pub(crate) fn stage(&self, parts: Parts) {
        self.place.store(parts.place, Ordering::Relaxed);
        self.params.store(u32::try_from(parts.params).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.body.store(parts.body, Ordering::Relaxed);
        self.role.store(parts.role, Ordering::Relaxed);
        self.data.store(parts.data, Ordering::Relaxed);
        self.cancelled.store(0, Ordering::Relaxed);
        self.state.store(REQUEST, Ordering::Release);
    }

    /// Gateway: takes the request back; `false` when the worker has it already.
    pub(crate) fn take_back(&self) -> bool {
        let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
        self.state.compare_exchange(REQUEST, FREE, order, failed).is_ok()
    }

    /// Gateway: whether the worker has not claimed it yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Acquire) == REQUEST
    }

    /// Gateway: whether a part of it travels as a descriptor.
    pub(crate) fn is_large(&self) -> bool {
        self.place.load(Ordering::Relaxed) & !TIMED != 0
    }

    /// Gateway: nobody waits for the answer any more.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(1, Ordering::Relaxed);
    }

    /// Gateway: the answer has ended.
    pub(crate) fn free(&self) {
        self.state.store(FREE, Ordering::Relaxed);
    }

    /// Worker: takes the request, if there is one.
    pub(crate) fn claim(&self) -> Option<Parts> {
        let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
        self.state.compare_exchange(REQUEST, RUNNING, order, failed).ok()?;
        Some(Parts {
            place: self.place.load(Ordering::Relaxed),
            params: self.params.load(Ordering::Relaxed) as usize,
            body: self.body.load(Ordering::Relaxed),
            role: self.role.load(Ordering::Relaxed),
            data: self.data.load(Ordering::Relaxed),
        })
    }

    /// Worker: whether the client has gone.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) != 0
    }
}
