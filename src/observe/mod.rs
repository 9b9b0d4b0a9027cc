//! What flupd tells its administrator.

pub mod log;
