//! `flupd status` and `flupd trace`: what a flupd that runs does at this moment.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use super::order;
use crate::admin::{Order, Outcome};
use crate::cli::control::{StatusArgs, TraceArgs};
use crate::observe::snapshot::{RunningRequest, Snapshot};

/// Shows workers, queues and running requests.
pub fn status(args: &StatusArgs) -> ExitCode {
    show(Order::Status { frames: false }, &args.control, |snapshot| {
        if args.json { json(snapshot) } else { table(snapshot) }
    })
}

/// Shows where the running requests are.
pub fn trace(args: &TraceArgs) -> ExitCode {
    show(Order::Status { frames: true }, &args.control, |snapshot| {
        let of_worker =
            |request: &&RunningRequest| args.worker.is_none_or(|worker| worker == request.worker);
        match args.json {
            true => json(snapshot),
            false => traces(snapshot.requests.iter().filter(of_worker)),
        }
    })
}

fn show(
    order: Order,
    control: &crate::cli::control::ControlArgs,
    text: impl FnOnce(&Snapshot) -> String,
) -> ExitCode {
    match order::give(order, control) {
        Ok(Outcome::Status(snapshot)) => {
            // A reader that has seen enough is no failure.
            let _ = io::stdout().write_all(text(&snapshot).as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed(why)) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
        Err(status) => status,
    }
}

fn json(snapshot: &Snapshot) -> String {
    let mut text = serde_json::to_string_pretty(snapshot).unwrap_or_default();
    text.push('\n');
    text
}

fn table(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    for app in &snapshot.apps {
        let name = app.app.as_deref().unwrap_or("app");
        let (threads, busy) = app
            .workers
            .iter()
            .fold((0, 0), |(threads, busy), w| (threads + w.threads, busy + w.busy));
        let _ = write!(text, "{name}: {busy} of {threads} threads busy, {} waiting", app.waiting);
        if app.waiting > 0 {
            let _ = write!(text, " (the first for {})", seconds(app.waiting_ms));
        }
        let _ = writeln!(text, ", generation {}", app.generation);
        for worker in &app.workers {
            let state = if worker.ready { "" } else { "  starting" };
            let _ = writeln!(
                text,
                "  worker {:<4} pid {:<8} {}/{} busy{state}",
                worker.worker, worker.pid, worker.busy, worker.threads
            );
        }
    }
    let _ = writeln!(text, "{} connections", snapshot.connections);
    if !snapshot.requests.is_empty() {
        let _ = writeln!(
            text,
            "\n{:>9}  {:>6}  {:>6}  {:<27}  REQUEST",
            "AGE", "WORKER", "THREAD", "PHASE"
        );
    }
    for request in &snapshot.requests {
        let _ = writeln!(
            text,
            "{:>9}  {:>6}  {:>6}  {:<27}  {}",
            seconds(request.age_ms),
            request.worker,
            request.thread,
            request.phase,
            request.request
        );
    }
    if snapshot.more > 0 {
        let _ = writeln!(text, "and {} more, which are younger", snapshot.more);
    }
    text
}

fn traces<'s>(requests: impl Iterator<Item = &'s RunningRequest>) -> String {
    let mut text = String::new();
    for request in requests {
        let RunningRequest { worker, pid, thread, request: line, age_ms, phase, .. } = request;
        let age = seconds(*age_ms);
        let _ = writeln!(
            text,
            "{line}\n  for {age}, {phase}, worker {worker} (pid {pid}), thread {thread}"
        );
        for frame in request.frames.iter().flatten() {
            let _ = writeln!(text, "    {frame}");
        }
    }
    if text.is_empty() {
        text.push_str("no request runs\n");
    }
    text
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}
