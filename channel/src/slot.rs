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

/// In the place of a status: it has not ended.
const STAGED: u32 = u32::MAX;

/// The params travel as a descriptor.
pub(crate) const PARAMS_FILE: u32 = 1;
/// The body travels as a descriptor.
pub(crate) const BODY_FILE: u32 = 2;
/// A Filter's file travels as a descriptor.
pub(crate) const DATA_FILE: u32 = 4;
/// The body is in shared memory, whose descriptor travels.
pub(crate) const BODY_SHARED: u32 = 8;
/// What can't be taken back, for a descriptor can't.
const DESCRIPTORS: u32 = PARAMS_FILE | BODY_FILE | DATA_FILE | BODY_SHARED;
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
    note: Note,
}

/// What is noted of a request for an [`onlooker`](crate::onlooker), by the gateway.
#[derive(Debug, Default)]
#[repr(C)]
struct Note {
    /// When it was staged, or when its answer had ended.
    moment: AtomicU64,
    /// As the gateway counts the requests of a thread; 0 if nobody looks on.
    number: AtomicU32,
    /// [`STAGED`], or what came of it.
    status: AtomicU32,
    took: AtomicU64,
}

/// What an onlooker sees of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) state: State,
    /// As the gateway counts the requests of a thread.
    pub(crate) number: u32,
    /// Nanoseconds of `CLOCK_MONOTONIC_COARSE`: when it was staged, or of one that
    /// has ended, when it did.
    pub(crate) moment: u64,
    /// The length of its params, if they stand in the slot's area.
    pub(crate) params: Option<usize>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Claimed,
    /// With its status, 0 if there was no answer, and the nanoseconds that it took.
    Ended(u16, u64),
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
        self.place.load(Ordering::Relaxed) & DESCRIPTORS != 0
    }

    /// Gateway: nobody waits for the answer any more.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(1, Ordering::Relaxed);
    }

    /// Gateway: the answer has ended.
    pub(crate) fn free(&self) {
        self.state.store(FREE, Ordering::Relaxed);
    }

    /// Gateway: an onlooker shall know what is about to be staged here.
    pub(crate) fn note_staged(&self, number: u32, moment: u64) {
        self.note.moment.store(moment, Ordering::Relaxed);
        self.note.status.store(STAGED, Ordering::Relaxed);
        // Who sees the number sees the rest.
        self.note.number.store(number, Ordering::Release);
    }

    /// Gateway: and what came of it, before it is freed.
    pub(crate) fn note_ended(&self, status: u16, took: u64, moment: u64) {
        self.note.moment.store(moment, Ordering::Relaxed);
        self.note.took.store(took, Ordering::Relaxed);
        self.note.status.store(status.into(), Ordering::Release);
    }

    /// Onlooker: what is here; `None` if nobody has noted anything. Both sides may
    /// have written anything, and may be about to.
    pub(crate) fn noted(&self) -> Option<Noted> {
        let number = self.note.number.load(Ordering::Acquire);
        let status = self.note.status.load(Ordering::Acquire);
        let state = match self.state.load(Ordering::Acquire) {
            REQUEST => State::Waiting,
            RUNNING => State::Claimed,
            // It was taken back.
            _ if status == STAGED => return None,
            _ => State::Ended(status as u16, self.note.took.load(Ordering::Relaxed)),
        };
        let is_here = self.place.load(Ordering::Relaxed) & PARAMS_FILE == 0;
        let noted = Noted {
            state,
            number,
            moment: self.note.moment.load(Ordering::Relaxed),
            params: is_here.then(|| self.params.load(Ordering::Relaxed) as usize),
        };
        (number != 0).then_some(noted)
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
