//! What a process that a web server has started lends to a script that has a
//! server of its own, with threads or children: then flupd is in between only
//! where flupd's own options say so.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flupd::solo;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::alone::stranded;

/// The listening socket, and what flupd was told about it.
#[pyclass(frozen, module = "flupd_solo")]
pub(crate) struct Lent {
    listener: Mutex<Option<OwnedFd>>,
    /// That there has never been one, in words for a person.
    nowhere: Option<String>,
    /// Where this process logs.
    log: i32,
    config: String,
    grace: Duration,
}

impl Lent {
    /// `fds` are those that came with the task: the listening socket, and the log.
    pub(crate) fn of(
        config: &str,
        grace: Duration,
        fds: &[OwnedFd],
        nowhere: Option<String>,
    ) -> PyResult<Self> {
        let (log, listener) = match fds {
            [log] if nowhere.is_some() => (log, None),
            [listener, .., log] => (log, Some(listener.try_clone()?)),
            _ => return Err(PyRuntimeError::new_err("there is no listening socket")),
        };
        let (listener, log, config) = (Mutex::new(listener), log.as_raw_fd(), config.to_owned());
        Ok(Self { listener, nowhere, log, config, grace })
    }

    /// The gateway's configuration, as JSON.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }
}

#[pymethods]
impl Lent {
    /// A duplicate of the listening socket.
    fn listener(&self) -> PyResult<i32> {
        use std::os::fd::IntoRawFd;
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*listener, &self.nowhere) {
            (Some(listener), _) => Ok(listener.as_fd().try_clone_to_owned()?.into_raw_fd()),
            (None, Some(why)) => Err(stranded(why)),
            (None, None) => Err(PyRuntimeError::new_err("this process has no listening socket")),
        }
    }

    /// The descriptor of the log, which must stay open.
    #[getter]
    const fn log(&self) -> i32 {
        self.log
    }

    /// How long running requests may take after a signal to stop, in seconds.
    #[getter]
    const fn grace(&self) -> f64 {
        self.grace.as_secs_f64()
    }

    /// Ends the process after that time, whatever its threads do.
    fn give_up(&self) {
        solo::log_late(self.grace);
        exit(0)
    }

    /// A child has nothing to do with the listening socket.
    fn forget(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
