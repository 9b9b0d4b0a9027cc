//! A snapshot as text.

use std::fmt::Write as _;

use super::units::{bytes, or_dash, printable, seconds};
use crate::observe::snapshot::{AppSnapshot, RequestSnapshot, Snapshot, WorkerState};

/// All of it, for people.
#[must_use]
pub fn table(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    snapshot.apps.iter().for_each(|app| of_app(app, &mut text));
    // Writing to a text does not fail.
    let _ = write!(text, "{} connections", snapshot.connections);
    let _ = match snapshot.reading {
        0 => writeln!(text),
        1 => writeln!(text, ", 1 request arriving"),
        arriving => writeln!(text, ", {arriving} requests arriving"),
    };
    of_requests(snapshot, &mut text);
    text
}

fn of_app(app: &AppSnapshot, text: &mut String) {
    let name = app.app.as_deref().unwrap_or("app");
    let (threads, busy) =
        app.workers.iter().fold((0, 0), |(threads, busy), w| (threads + w.threads, busy + w.busy));
    let _ = write!(text, "{name}: {busy} of {threads} threads busy, {} waiting", app.waiting);
    if app.waiting > 0 {
        let _ = write!(text, " (the first for {})", seconds(app.waiting_ms));
    }
    let _ = writeln!(text, ", generation {}", app.generation);
    if app.workers_min != app.workers_max {
        let (least, most) = (app.workers_min, app.workers_max);
        let next = if app.asleep { "; the next request starts one" } else { "" };
        let _ = writeln!(text, "  {} of {least} to {most} workers{next}", app.workers.len());
    }
    for worker in &app.workers {
        let state = match worker.state {
            WorkerState::Ready => "",
            state => state.name(),
        };
        let line = format!(
            "  worker {:<4} pid {:<8} {}/{} busy  {:>9}  {:>9} CPU  {:>7} served  {state}",
            worker.worker,
            worker.pid,
            worker.busy,
            worker.threads,
            or_dash(worker.memory, bytes),
            or_dash(worker.cpu_ms, seconds),
            worker.served,
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn of_requests(snapshot: &Snapshot, text: &mut String) {
    let requests = &snapshot.requests;
    if !requests.is_empty() {
        // Where there is one app, it has no name.
        let names = requests.iter().filter_map(|request| request.app.as_ref());
        let width = names.map(|name| name.chars().count().max(3)).max();
        let name = |app: &str| width.map(|width| format!("{app:<width$}  ")).unwrap_or_default();
        let _ = writeln!(
            text,
            "\n{:>10}  {:>9}  {:>6}  {:>6}  {}{:<27}  REQUEST",
            "AGE",
            "CPU",
            "WORKER",
            "THREAD",
            name("APP"),
            "PHASE"
        );
        for request in requests {
            let _ = writeln!(
                text,
                "{:>10}  {:>9}  {:>6}  {:>6}  {}{:<27}  {}",
                seconds(request.age_ms),
                or_dash(request.cpu_ms, seconds),
                or_dash(request.worker, |worker| worker.to_string()),
                or_dash(request.thread, |thread| thread.to_string()),
                name(request.app.as_deref().unwrap_or("-")),
                phase(request),
                printable(&request.line())
            );
        }
    }
    if snapshot.more > 0 {
        let _ = writeln!(text, "and {} more, which are younger", snapshot.more);
    }
}

/// How far a request is; of its body, how much.
fn phase(request: &RequestSnapshot) -> String {
    match request.received {
        Some(received @ 1..) => format!("{}, {} so far", request.phase, bytes(received)),
        _ => request.phase.clone(),
    }
}

/// Where the requests are: all, or those of this worker.
#[must_use]
pub fn traces(snapshot: &Snapshot, worker: Option<u64>) -> String {
    let mut text = String::new();
    let wanted = |request: &&RequestSnapshot| match worker {
        Some(_) => request.worker == worker,
        None => true,
    };
    for request in snapshot.requests.iter().filter(wanted) {
        let _ = write!(
            text,
            "{}\n  for {}, {}",
            printable(&request.line()),
            seconds(request.age_ms),
            phase(request)
        );
        if let (Some(worker), Some(pid), Some(thread)) =
            (request.worker, request.pid, request.thread)
        {
            let _ = write!(text, ", worker {worker} (pid {pid}), thread {thread}");
        } else if let Some(app) = &request.app {
            let _ = write!(text, ", app {app}");
        }
        if let Some(cpu) = request.cpu_ms {
            let _ = write!(text, ", {} CPU", seconds(cpu));
        }
        if let Some(trace) = &request.trace_id {
            let _ = write!(text, ", trace {}", printable(trace));
        }
        text.push('\n');
        for frame in request.frames.iter().flatten() {
            let _ = writeln!(text, "    {}", printable(frame));
        }
    }
    if text.is_empty() {
        text.push_str("no request runs\n");
    } else if snapshot.more > 0 && worker.is_none() {
        let _ = writeln!(text, "and {} more, which are younger", snapshot.more);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::{Totals, WorkerSnapshot};

    fn snapshot() -> Snapshot {
        let worker = WorkerSnapshot {
            worker: 1,
            pid: 18517,
            state: WorkerState::Ready,
            threads: 2,
            busy: 1,
            age_ms: 60_000,
            served: 120,
            memory: Some(32_715_571),
            cpu_ms: Some(1_250),
        };
        let running = RequestSnapshot {
            worker: Some(1),
            pid: Some(18517),
            thread: Some(2),
            method: "GET".into(),
            url: "/report".into(),
            phase: "in the app".into(),
            age_ms: 4192,
            cpu_ms: Some(4180),
            frames: Some(vec!["File \"shop.py\", line 9, in report".into()]),
            ..Default::default()
        };
        let queued = RequestSnapshot {
            method: "GET".into(),
            url: "/\u{1b}".into(),
            phase: "queued".into(),
            age_ms: 40,
            ..Default::default()
        };
        let reading = RequestSnapshot {
            phase: "reading".into(),
            age_ms: 7,
            received: Some(0),
            ..Default::default()
        };
        Snapshot {
            connections: 5,
            reading: 1,
            apps: vec![AppSnapshot {
                app: None,
                generation: 1,
                draining: false,
                waiting: 1,
                waiting_ms: 40,
                workers_min: 1,
                workers_max: 2,
                asleep: false,
                workers: vec![worker],
                totals: Totals::default(),
            }],
            requests: vec![running, queued, reading],
            more: 0,
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_request() {
        let expected = "\
app: 1 of 2 threads busy, 1 waiting (the first for 0.040 s), generation 1
  1 of 1 to 2 workers
  worker 1    pid 18517    1/2 busy   31.2 MiB    1.250 s CPU      120 served
5 connections, 1 request arriving

       AGE        CPU  WORKER  THREAD  PHASE                        REQUEST
   4.192 s    4.180 s       1       2  in the app                   GET /report
   0.040 s          -       -       -  queued                       GET /?
   0.007 s          -       -       -  reading                      (its params are arriving)
";
        assert_eq!(table(&snapshot()), expected);
    }

    #[test]
    fn traces_are_of_one_worker_or_all() {
        let mut snapshot = snapshot();
        let of_one = "GET /report\n  for 4.192 s, in the app, worker 1 (pid 18517), thread 2, \
                      4.180 s CPU\n    File \"shop.py\", line 9, in report\n";
        assert_eq!(traces(&snapshot, Some(1)), of_one);
        assert!(traces(&snapshot, None).ends_with("reading\n"));
        assert_eq!(traces(&snapshot, Some(7)), "no request runs\n");
        snapshot.requests.clear();
        assert_eq!(traces(&snapshot, None), "no request runs\n");
    }

    #[test]
    fn several_apps_have_a_column() {
        let mut snapshot = snapshot();
        snapshot.requests[0].app = Some("shop".into());
        let text = table(&snapshot);
        assert!(text.contains("THREAD  APP   PHASE"), "{text}");
        assert!(text.contains("     2  shop  in the app"), "{text}");
        assert!(text.contains("     -  -     queued"), "{text}");
    }
}
