//! How a process ended, in words.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was waited for.
    Ended(ExitStatus),
    /// It could not be started, or no longer be watched.
    Lost(String),
    /// Its end was seen, but the zygote that knew how has ended as well.
    Unseen,
}

impl Cause {
    /// Whether it ended by itself and content.
    pub(super) fn is_success(&self) -> bool {
        matches!(self, Self::Ended(status) if status.success())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self {
            Self::Ended(status) => status,
            Self::Lost(error) => return f.write_str(error),
            Self::Unseen => return f.write_str("ended; how is not known"),
        };
        let Some(number) = status.signal() else {
            return match status.code() {
                Some(code) => write!(f, "exit status {code}"),
                None => write!(f, "{status}"),
            };
        };
        write!(f, "killed by signal {number}")?;
        if let Ok(signal) = Signal::try_from(number) {
            write!(f, " ({}{})", signal.as_str(), meaning(signal))?;
        }
        if status.core_dumped() {
            f.write_str(", core dumped")?;
        }
        Ok(())
    }
}

/// What the signals mean of which people ask.
const fn meaning(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGSEGV => ", segmentation fault",
        Signal::SIGBUS => ", bus error",
        Signal::SIGABRT => ", abort",
        Signal::SIGILL => ", illegal instruction",
        Signal::SIGFPE => ", arithmetic error",
        Signal::SIGSYS => ", forbidden system call",
        Signal::SIGXCPU => ", CPU time limit",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_said_in_words() {
        let table = [
            (3 << 8, "exit status 3"),
            (11, "killed by signal 11 (SIGSEGV, segmentation fault)"),
            (6 | 0x80, "killed by signal 6 (SIGABRT, abort), core dumped"),
            (9, "killed by signal 9 (SIGKILL)"),
            (15, "killed by signal 15 (SIGTERM)"),
            (40, "killed by signal 40"),
        ];
        for (raw, words) in table {
            assert_eq!(Cause::Ended(ExitStatus::from_raw(raw)).to_string(), words);
        }
        assert!(Cause::Ended(ExitStatus::from_raw(0)).is_success());
        assert!(!Cause::Ended(ExitStatus::from_raw(9)).is_success());
        assert!(!Cause::Lost("can't start".into()).is_success());
    }
}
