//! A collector of spans: OpenTelemetry's own messages, in a process of its own.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::flupd::Serve;
use crate::harness::process::Process;
use crate::harness::python::frameworks;
use crate::harness::{ports, source, temp_dir, wait};

/// One that runs.
pub struct Collector {
    port: u16,
    _process: Process,
    // Last, so that it goes after the process.
    dir: TempDir,
}

impl Collector {
    /// Starts one; what it does is said in `tests/collector.py`.
    pub fn start(mode: &str) -> Self {
        Self::start_at(ports::free(), mode)
    }

    /// The same at this port.
    pub fn start_at(port: u16, mode: &str) -> Self {
        let dir = temp_dir();
        let mut command = Command::new(frameworks().join("bin/python"));
        command.arg(source("tests/collector.py")).arg(port.to_string());
        command.arg(dir.path().join("spans")).args(mode.split(' ')).stdin(Stdio::null());
        let process = Process::start("collector", &mut command, dir.path().join("output.log"));
        wait::until("the collector listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, _process: process, dir }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join("spans")).unwrap_or_default();
        // The last line may be about to be written.
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// All spans once there are so many.
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        wait::until_some(&format!("{count} spans"), || {
            let spans = self.spans();
            (spans.len() >= count).then_some(spans)
        })
    }
}

/// The one of flupd's spans, or of the app's.
pub fn of<'s>(spans: &'s [Value], scope: &str) -> &'s Value {
    let mut all = spans.iter().filter(|span| span["scope"].as_str().unwrap().contains(scope));
    let (Some(span), None) = (all.next(), all.next()) else {
        panic!("not one span of {scope}: {spans:#?}")
    };
    span
}

/// The same number of nanoseconds since 1970 for each.
pub fn moment(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// An app with spans of its own, for this collector.
pub fn traced(collector: &Collector) -> Serve {
    let python = frameworks();
    let serve = Serve::app(&crate::harness::app("traced.py:app")).args([
        "--python",
        python.to_str().unwrap(),
        "--otlp",
        &collector.url(),
    ]);
    serve.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
}
