//! Descriptors that this process was started with.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

/// Takes over descriptor `number`, which no child shall inherit by accident.
///
/// To be called once for each number, before the process opens anything itself:
/// later the number may be a descriptor of our own. A standard stream is taken
/// as a duplicate, and `/dev/null` put in its place.
///
/// # Errors
/// `EBADF` when no such descriptor is open.
pub(crate) fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: the borrow ends within this function, which closes nothing; a
    // number that is not open gives EBADF in the first call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_getfd(borrowed)?;
    if number <= 2 {
        let taken = fcntl_dupfd_cloexec(borrowed, 3)?;
        let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
        match number {
            0 => rustix::stdio::dup2_stdin(null)?,
            1 => rustix::stdio::dup2_stdout(null)?,
            _ => rustix::stdio::dup2_stderr(null)?,
        }
        return Ok(taken);
    }
    fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, as just seen, and nobody else in this process owns
    // it: the caller takes each number once, before anything else is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Standard input once more, for later; no child gets it.
///
/// # Errors
/// What the system reports: no descriptor is left.
pub(crate) fn spare_stdin() -> io::Result<OwnedFd> {
    // Not a number that may be looked for as a socket of the starter's.
    Ok(fcntl_dupfd_cloexec(rustix::stdio::stdin(), 64)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_open_is_an_error() {
        assert_eq!(take(9_999).unwrap_err().raw_os_error(), Some(9));
        assert_eq!(take(-1).unwrap_err().raw_os_error(), Some(9));
    }

    #[test]
    fn what_is_taken_does_not_reach_children() {
        use std::os::fd::IntoRawFd;
        let (reader, _writer) = std::io::pipe().unwrap();
        let number = OwnedFd::from(reader).into_raw_fd();
        // SAFETY: the number was just given up by its owner.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl_setfd(borrowed, FdFlags::empty()).unwrap();
        let taken = take(number).unwrap();
        assert!(fcntl_getfd(&taken).unwrap().contains(FdFlags::CLOEXEC));
    }
}
