//! The tables of `flupd top`, as text: the same on a terminal and in a pipe.

use super::state::Top;
use crate::commands::status::units::{bytes, or_dash, printable};
use crate::observe::snapshot::{RequestSnapshot, WorkerState};

/// A table: what stands above its columns, and its rows.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// At least; the last one of a table takes the rest.
    pub(super) width: u16,
    pub(super) right: bool,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// Something is wrong here.
    pub(super) alarms: bool,
}

const fn left(name: &'static str, width: u16) -> Column {
    Column { name, width, right: false }
}

const fn right(name: &'static str, width: u16) -> Column {
    Column { name, width, right: true }
}

const APPS: &[Column] = &[
    left("APP", 14),
    right("GEN", 3),
    right("BUSY", 7),
    right("QUEUE", 5),
    right("REQ/S", 7),
    right("ERR/S", 6),
    right("P50", 8),
    right("P95", 8),
    right("P99", 8),
];

const WORKERS: &[Column] = &[
    left("WORKER", 6),
    right("PID", 8),
    left("STATE", 8),
    right("BUSY", 7),
    right("MEMORY", 10),
    right("CPU%", 6),
    right("REQ/S", 7),
    right("REQUESTS", 10),
    left("APP", 8),
];

const REQUESTS: &[Column] = &[
    right("AGE", 9),
    right("CPU", 9),
    left("APP", 8),
    right("W/T", 6),
    left("PHASE", 11),
    left("REQUEST", 8),
];

/// A row for each generation of an app.
pub(super) fn apps(top: &Top) -> Rows {
    let shown = top.apps();
    let rows = shown.iter().map(|app| {
        let (threads, busy) =
            app.workers.iter().fold((0, 0), |(all, busy), w| (all + w.threads, busy + w.busy));
        // What is counted is of all generations: it stands with the newest.
        let is_newest =
            shown.iter().all(|one| one.app != app.app || one.generation <= app.generation);
        let pace = top.history.pace(app).filter(|_| is_newest);
        let percentile =
            |at: usize| or_dash(pace.and_then(|pace| pace.percentiles?.get(at).copied()), millis);
        let errors = pace.map(|pace| pace.errors);
        Row {
            cells: vec![
                name(app.app.as_deref()),
                app.generation.to_string(),
                format!("{busy}/{threads}"),
                app.waiting.to_string(),
                or_dash(pace.map(|pace| pace.requests), rate),
                or_dash(errors, rate),
                percentile(0),
                percentile(1),
                percentile(2),
            ],
            alarms: app.waiting > 0 || errors > Some(0.0),
        }
    });
    Rows { columns: APPS, rows: rows.collect() }
}

/// A row for each worker.
pub(super) fn workers(top: &Top) -> Rows {
    let apps = top.apps();
    let all = apps.iter().flat_map(|app| app.workers.iter().map(move |worker| (app, worker)));
    let rows = all.map(|(app, worker)| {
        let pace = top.history.worker(worker);
        Row {
            cells: vec![
                worker.worker.to_string(),
                worker.pid.to_string(),
                worker.state.name().to_owned(),
                format!("{}/{}", worker.busy, worker.threads),
                or_dash(worker.memory, bytes),
                or_dash(pace.and_then(|pace| pace.cpu), |cpu| format!("{cpu:.0}")),
                or_dash(pace.map(|pace| pace.requests), rate),
                worker.served.to_string(),
                name(app.app.as_deref()),
            ],
            alarms: worker.state == WorkerState::Stuck,
        }
    });
    Rows { columns: WORKERS, rows: rows.collect() }
}

/// A row for each request.
pub(super) fn requests(top: &Top) -> Rows {
    let row = |request: &&RequestSnapshot| Row {
        cells: vec![
            seconds(request.age_ms),
            or_dash(request.cpu_ms, seconds),
            name(request.app.as_deref()),
            or_dash(request.worker.zip(request.thread), |(worker, thread)| {
                format!("{worker}/{thread}")
            }),
            short(&request.phase).to_owned(),
            printable(&request.line()),
        ],
        alarms: false,
    };
    Rows { columns: REQUESTS, rows: top.requests().iter().map(row).collect() }
}

impl Rows {
    /// As plain text: no column is narrower than what stands in it.
    pub(super) fn to_text(&self) -> String {
        let length = |text: &str| text.chars().count();
        let widths: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let cells = self.rows.iter().filter_map(|row| row.cells.get(at));
                cells.map(|cell| length(cell)).fold(length(column.name), usize::max)
            })
            .collect();
        let mut text = String::new();
        let header = self.columns.iter().map(|column| column.name.to_owned()).collect();
        for cells in [&header].into_iter().chain(self.rows.iter().map(|row| &row.cells)) {
            let columns = self.columns.iter().zip(&widths).zip(cells);
            let cells: Vec<_> = columns
                .map(|((column, width), cell)| match column.right {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

fn name(app: Option<&str>) -> String {
    app.unwrap_or("app").to_owned()
}

/// A column is narrow.
fn short(phase: &str) -> &str {
    match phase {
        "waiting for the interpreter" => "needs GIL",
        phase => phase,
    }
}

fn rate(per_second: f64) -> String {
    match per_second {
        ..100.0 => format!("{per_second:.1}"),
        _ => format!("{per_second:.0}"),
    }
}

fn millis(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        10.0..10_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1000.0),
    }
}

/// As short as a column needs it.
fn seconds(ms: u64) -> String {
    match ms {
        ..100_000 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        _ => format!("{} s", ms / 1000),
    }
}
