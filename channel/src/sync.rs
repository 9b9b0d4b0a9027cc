//! The atomics that both processes use. The model test brings its own.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
