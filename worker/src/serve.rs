//! One request: call the app, send what it returns, close that, conclude.

use flupd_channel::worker::{Body, EncodedParams, Port, Request};
use flupd_channel::{Activity, LogLevel, Outcome, Role};
use pyo3::exceptions::{PyBrokenPipeError, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::answer::{self, Stop};
use crate::environ::Environs;
use crate::exchange::Link;
use crate::fork::leave_if_child;
use crate::handles::Handles;
use crate::head::Head;
use crate::input::Input;
use crate::limits::{self, RequestTimeout};
use crate::response::Response;
use crate::{environ, failure, gate, leaving, probe, raw, watcher};

/// What one app thread needs for its requests.
pub(crate) struct Server {
    /// Of the thread, counted from 0.
    pub(crate) number: usize,
    /// Where it says what it does.
    pub(crate) activity: Activity,
    pub(crate) app: Py<PyAny>,
    pub(crate) environs: Environs,
    /// Stands for every body that is empty: it has no state.
    pub(crate) no_input: Py<Input>,
    /// Of the last request, if the app has kept none of it.
    pub(crate) handles: Option<Handles>,
    /// How many handles there have been.
    pub(crate) serial: u64,
}

/// A request that has been answered. What is queued on the port, and the
/// outcome, have still to be sent.
pub(crate) struct Served {
    pub(crate) port: Box<Port>,
    pub(crate) outcome: Outcome,
    /// Memory for the next request's params.
    pub(crate) params: EncodedParams,
}

impl Server {
    /// What serves this app with these environs, in the thread of this number.
    pub(crate) const fn new(
        number: usize,
        activity: Activity,
        app: Py<PyAny>,
        environs: Environs,
        no_input: Py<Input>,
    ) -> Self {
        Self { number, activity, app, environs, no_input, handles: None, serial: 0 }
    }

    /// Requests come from here on, in this thread.
    ///
    /// # Errors
    /// What a signal handler of the app raises meanwhile.
    pub(crate) fn enter(&self, py: Python<'_>) -> PyResult<()> {
        self.activity.enter();
        probe::enter(py, self.number)?;
        limits::enter(py, self.number)
    }

    /// Answers one request. `None` if the port is lost, which can't be.
    pub(crate) fn serve(
        &mut self,
        py: Python<'_>,
        request: Request,
        mut port: Box<Port>,
    ) -> Option<Served> {
        self.activity.take();
        let Request { mut params, body, role, data } = request;
        if port.is_cancelled() {
            // Before the app has begun it: there is nothing to end.
            return Some(Served { port, outcome: Outcome::Cut, params });
        }
        port.app_begins();
        let head_request = params.get(b"REQUEST_METHOD") == Some(b"HEAD");
        let handles = self.handles.take().map_or_else(
            || {
                self.serial += 1;
                Handles::new(py, self.serial)
            },
            Ok,
        );
        let handles = handles.map_err(|error| error.print(py)).ok()?;
        let exchange = &handles.exchange;
        exchange.begin(port, Response::new(head_request).of(role));
        let input = match body {
            Body::Memory(bytes) if bytes.is_empty() => Ok(self.no_input.clone_ref(py)),
            body => Py::new(py, Input::new(body)),
        };
        let data = data.map(|data| Py::new(py, Input::new(data))).transpose();
        let answered = match (&input, &data) {
            (Ok(input), Ok(data)) => {
                let asked = Asked { role, input, data: data.as_ref() };
                self.call(py, &mut params, &asked, &handles)
            }
            (Err(error), _) | (_, Err(error)) => Err(error.clone_ref(py).into()),
        };
        for input in input.iter().chain(data.iter().flatten()) {
            if !input.is(&self.no_input) {
                input.get().end();
            }
        }
        let verdict = Verdict::on(py, answered);
        let mut link = exchange.take(py)?;
        if link.watched {
            let failures = watcher::forget(py, exchange);
            gate::detached(py, || {
                for traceback in failures {
                    let text = format!("a callback of on_cancel() failed\n{traceback}");
                    link.log(LogLevel::Error, &text);
                }
            });
        }
        if handles.are_free(py, self.environs.held()) {
            self.handles = Some(handles);
        }
        // What there is to say mostly fits.
        let outcome = if matches!(verdict, Verdict::Answered) && !link.in_line() {
            conclude(&mut link, verdict)
        } else {
            gate::detached(py, || {
                let outcome = conclude(&mut link, verdict);
                link.end_line();
                outcome
            })
        };
        Some(Served { port: link.port, outcome, params })
    }

    fn call(
        &mut self,
        py: Python<'_>,
        params: &mut EncodedParams,
        asked: &Asked<'_>,
        handles: &Handles,
    ) -> Result<(), Stop> {
        let input = (!asked.input.is(&self.no_input)).then_some(asked.input);
        let environ = self.environs.build(py, params, input, handles)?;
        if asked.role != Role::Responder {
            environ::set_role(&environ, asked.role, asked.data)?;
        }
        self.activity.begin();
        let (answered, closed) = self.run(py, environ, handles);
        self.activity.end();
        limits::over(py, self.number);
        match closed {
            Err(error) if answered.is_ok() && error.is_instance_of::<PySystemExit>(py) => {
                Err(error.into())
            }
            Err(error) => {
                leaving::obey(py, &error);
                let traceback = failure::traceback(py, &error);
                let text = format!("close() of the body failed\n{traceback}");
                handles.exchange.with(py, |link| link.log(LogLevel::Error, &text))?;
                answered
            }
            Ok(()) => answered,
        }
    }

    /// The app's part, from its call to `close()`. What is raised at its limit is
    /// raised in here.
    fn run(
        &self,
        py: Python<'_>,
        environ: Bound<'_, PyDict>,
        handles: &Handles,
    ) -> (Result<(), Stop>, PyResult<()>) {
        let start_response = handles.start_response.bind(py);
        let result = raw::call(self.app.bind(py), &environ, start_response);
        // As with any call, what the app does not keep goes now.
        drop(environ);
        leave_if_child(py, &result);
        match result {
            Ok(result) => {
                let answered = answer::send(py, &handles.exchange, &result);
                let closed = close(&result);
                leave_if_child(py, &closed);
                (answered, closed)
            }
            Err(error) => (Err(error.into()), Ok(())),
        }
    }
}

/// What a request brings besides its params.
struct Asked<'a> {
    role: Role,
    input: &'a Py<Input>,
    /// The file that a Filter works on.
    data: Option<&'a Py<Input>>,
}

/// How the app's part ended.
enum Verdict {
    Answered,
    Gone,
    Failed(String),
    Raised {
        traceback: String,
        broken_pipe: bool,
    },
    Exits(i32),
    /// It has let pass what was raised at its limit.
    TimedOut,
}

impl Verdict {
    /// What an answer has come to, in words, as long as Python can be asked.
    fn on(py: Python<'_>, answered: Result<(), Stop>) -> Self {
        let error = match answered {
            Ok(()) => return Self::Answered,
            Err(Stop::Gone) => return Self::Gone,
            Err(Stop::NotStarted) => {
                let why = "the app returned a body without calling start_response()";
                return Self::Failed(why.into());
            }
            Err(Stop::File(error)) => {
                return Self::Failed(format!("the file to send could not be read: {error}"));
            }
            Err(Stop::Raised(error)) => error,
        };
        if let Some(code) = leaving::obey(py, &error) {
            return Self::Exits(code);
        }
        if error.is_instance_of::<RequestTimeout>(py) {
            return Self::TimedOut;
        }
        let broken_pipe = error.is_instance_of::<PyBrokenPipeError>(py);
        Self::Raised { traceback: failure::traceback(py, &error), broken_pipe }
    }
}

/// Queues what is still to be said, and says how the answer ended. Which request
/// it was, the gateway knows.
fn conclude(link: &mut Link, verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Answered if link.gone => Outcome::Cut,
        // A body without a single chunk: the head is still to be sent.
        Verdict::Answered if link.head(Some(0)).is_err() => {
            fail(link, "the app returned without calling start_response()")
        }
        Verdict::Answered => match link.response.missing() {
            0 => Outcome::Complete,
            missing => {
                let text = "the body is shorter than its Content-Length, the answer is cut";
                link.log(LogLevel::Error, &format!("{text}: {missing} bytes are missing"));
                Outcome::Cut
            }
        },
        Verdict::Gone => Outcome::Cut,
        // What `write` raises when the client has gone is no fault of the app.
        Verdict::Raised { broken_pipe: true, .. } if link.gone => Outcome::Cut,
        Verdict::Raised { traceback, .. } => {
            fail(link, &format!("the app raised an exception\n{traceback}"))
        }
        Verdict::Failed(why) => fail(link, &why),
        // The gateway has said that it took too long, and where it was.
        Verdict::TimedOut => page(link, "504 Gateway Timeout"),
        Verdict::Exits(code) => {
            let text = format!("the app called sys.exit({code}); the worker leaves");
            link.log(LogLevel::Error, &text);
            Outcome::Exit
        }
    }
}

/// Logs a failure, and answers so if nothing has gone out yet.
fn fail(link: &mut Link, text: &str) -> Outcome {
    link.log(LogLevel::Error, text);
    page(link, "500 Internal Server Error")
}

/// Answers with a plain page if nothing has gone out yet; else the answer is cut.
fn page(link: &mut Link, status: &str) -> Outcome {
    let page = format!("{}\n", &status[4..]);
    link.response.forget();
    if link.gone || link.response.head_sent() {
        return Outcome::Cut;
    }
    let head = Head::new(status.as_bytes()).and_then(|mut head| {
        head.push(b"Content-Type", b"text/plain; charset=utf-8")?;
        Ok(head)
    });
    let started = head.is_ok_and(|head| link.response.start(head, false).is_ok());
    if !started || link.head(Some(page.len() as u64)).is_err() {
        return Outcome::Failed;
    }
    link.body(page.as_bytes());
    Outcome::Complete
}

/// PEP 3333: "must call that method upon completion of the current request".
fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    if result.is_exact_instance_of::<PyList>() || result.is_exact_instance_of::<PyTuple>() {
        return Ok(());
    }
    if let Some(close) = result.getattr_opt(intern!(result.py(), "close"))? {
        close.call0()?;
    }
    Ok(())
}
