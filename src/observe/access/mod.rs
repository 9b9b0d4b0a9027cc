//! The access log: one line a request, in a format of the administrator's.

mod clock;
mod entry;
mod escape;
mod field;
mod format;
#[cfg(test)]
mod tests;

pub use self::clock::Clock;
pub use self::entry::{LogEntry, Outcome, Seated, Times, request_id};
pub use self::format::{Format, FormatError};
