//! What flupd tells its administrator.

pub mod access;
pub mod collector;
pub mod dashboard;
pub mod ends;
pub mod figures;
pub mod ids;
pub mod lines;
pub mod log;
pub mod logs;
pub mod metrics;
pub mod onlook;
pub mod process;
pub mod report;
pub mod sink;
pub mod snapshot;
pub mod trace_context;
