//! An app thread that belongs to a script: one that serves its app by itself.
//!
//! Unlike a worker's threads these come and go, and each may be the main thread
//! of a process of its own. They say on a scoreboard what they do.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use flupd_channel::scoreboard::{Mark, Scoreboard};
use flupd_channel::worker::{EncodedParams, Port, Received, Request, Stopper};
use flupd_channel::{ChannelError, Outcome};
use pyo3::prelude::*;
use rustix::net::{Shutdown, shutdown};

use crate::environ::{self, Environs};
use crate::input::Input;
use crate::serve::Server;
use crate::{fork, gate, title, watcher};

pub use crate::descriptor::duplicate;
pub use crate::watcher::gateway_is_here;

/// How an app is to be run.
#[derive(Debug)]
pub struct Manner {
    /// `wsgi.multithread`. With it several of these may run in one process.
    pub multithread: bool,
    /// `wsgi.multiprocess`.
    pub multiprocess: bool,
    /// After how many requests it ends; 0 for never.
    pub max_requests: u64,
}

/// An app thread's place: its port to the gateway, and where it says what it does.
#[derive(Debug)]
pub struct Seat {
    port: Box<Port>,
    board: Arc<Scoreboard>,
    place: usize,
    marked: Mark,
}

impl Seat {
    /// `ends` are the worker's of a channel with one thread.
    ///
    /// # Errors
    /// When they are not.
    pub fn new(ends: Vec<OwnedFd>, board: Arc<Scoreboard>, place: usize) -> io::Result<Self> {
        let port = flupd_channel::worker::open(ends)?.pop().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { port: Box::new(port), board, place, marked: Mark::Nobody })
    }

    /// With this another thread ends it after the running request.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.port.stopper()
    }

    /// Serves until the port ends, or enough requests are served. On the main
    /// thread of a program `tick` is called now and then, and after signal
    /// handlers have run; when it is false no more requests are taken.
    ///
    /// # Errors
    /// What a signal handler or `tick` raises, and what keeps it from serving
    /// at all.
    pub fn serve(
        mut self,
        py: Python<'_>,
        app: Py<PyAny>,
        manner: &Manner,
        tick: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        fork::watch();
        if manner.multithread {
            gate::enable();
        }
        let no_input = Py::new(py, Input::empty())?;
        let template =
            environ::template(py, manner.multithread, manner.multiprocess, &no_input)?.unbind();
        let activity = self.port.activity();
        let mut server = Server::new(0, activity, app, Environs::new(template), no_input);
        let (mut last, mut served) = (None, 0);
        let done = loop {
            let enough = manner.max_requests > 0 && served >= manner.max_requests;
            match self.next(py, last.take(), tick, enough) {
                Ok(Some(request)) => {
                    let Some(answered) = server.serve(py, request, self.port) else {
                        return Ok(());
                    };
                    self.port = answered.port;
                    last = Some((answered.outcome, answered.params));
                    served += 1;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.mark(Mark::Nobody);
        // A child that the app forked may hold the socket too: closing ours would
        // not be seen. It only fails when the gateway has gone, which is as good.
        let _ = shutdown(self.port.as_fd(), Shutdown::Both);
        done
    }

    /// Ends the last answer and waits for the next request; `None` if none comes.
    fn next(
        &mut self,
        py: Python<'_>,
        mut last: Option<(Outcome, EncodedParams)>,
        tick: Option<&Bound<'_, PyAny>>,
        enough: bool,
    ) -> PyResult<Option<Request>> {
        loop {
            let last = last.take();
            let received = gate::detached(py, || self.wait(last, enough));
            match received {
                Ok(Received::Request(request)) => return Ok(Some(request)),
                Ok(Received::Closed) | Err(ChannelError::Closed) => return Ok(None),
                Ok(Received::Interrupted) => {}
                Err(error) => return Err(io::Error::other(error).into()),
            }
            if let Some(tick) = tick {
                py.check_signals()?;
                if !tick.call0()?.is_truthy()? {
                    return Ok(None);
                }
            }
        }
    }

    fn wait(
        &mut self,
        last: Option<(Outcome, EncodedParams)>,
        enough: bool,
    ) -> Result<Received, ChannelError> {
        let mut params = EncodedParams::default();
        if let Some((outcome, memory)) = last {
            self.port.end(outcome)?;
            params = memory;
        }
        if enough {
            return Ok(Received::Closed);
        }
        if let Some(request) = self.port.try_receive_into(&mut params)? {
            self.mark(Mark::Busy);
            return Ok(Received::Request(request));
        }
        self.mark(Mark::Idle);
        let received = self.port.receive_into(params)?;
        if matches!(received, Received::Request(_)) {
            self.mark(Mark::Busy);
        }
        Ok(received)
    }

    fn mark(&mut self, mark: Mark) {
        if std::mem::replace(&mut self.marked, mark) != mark {
            self.board.mark(self.place, mark);
        }
    }
}

/// Makes a process that a script has just forked a worker, or a gateway, with
/// this title. It ends with its parent.
///
/// # Errors
/// What the operating system reports; also when the parent has gone already.
pub fn forked(title: &str, parent: i32) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal, setpgid};
    fork::adopt();
    watcher::forked();
    // As the supervisor does: Ctrl-C is for the parent alone.
    setpgid(None, None)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent) {
        return Err(rustix::io::Errno::SRCH.into());
    }
    title::set(title);
    Ok(())
}
