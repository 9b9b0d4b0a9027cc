//! The text that Prometheus reads (exposition format 0.0.4).

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flupd_channel::waits;

use super::histogram::BOUNDS;
use super::{AppMetrics, Histogram, Metrics};
use crate::observe::process::{self, Usage};

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

impl Metrics {
    /// All of it as text. docs/metrics.md says what each is. `proportional`
    /// memory of workers is only asked for if it is wanted: that costs the kernel
    /// milliseconds.
    #[must_use]
    pub fn to_text(&self, proportional: bool) -> String {
        let mut text = Text(String::with_capacity(16 * 1024));
        let apps = self.apps();
        self.gateway(&mut text, &apps);
        text.requests(&apps);
        text.threads(&apps);
        text.workers(&apps, proportional);
        text.0
    }

    /// What belongs to no app.
    fn gateway(&self, text: &mut Text, apps: &[Arc<AppMetrics>]) {
        text.family("build_info", GAUGE, "The version of flupd, as a label; always 1.");
        text.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.family("python_info", GAUGE, "The version of an app's Python, as a label; always 1.");
        for app in apps {
            let Some(version) = app.python() else { continue };
            text.sample("python_info", &[("app", &app.name), ("version", &version)], 1);
        }
        let one = |text: &mut Text, name: &str, kind: &str, help: &str, value: u64| {
            text.family(name, kind, help);
            text.sample(name, &[], value);
        };
        let help = "When the gateway process began, in seconds since 1970.";
        text.family("start_time_seconds", GAUGE, help);
        text.sample("start_time_seconds", &[], seconds_since_1970(self.began));
        let usage = Usage::of(std::process::id());
        text.family("gateway_cpu_seconds_total", COUNTER, "Processor time of the gateway process.");
        text.sample(
            "gateway_cpu_seconds_total",
            &[],
            usage.map_or(0.0, |usage| usage.cpu.as_secs_f64()),
        );
        let resident = usage.map_or(0, |usage| usage.memory);
        one(text, "gateway_resident_bytes", GAUGE, "Memory of the gateway process.", resident);
        let open = self.connections.get();
        one(text, "connections", GAUGE, "Open connections of web servers.", open);
        let help = "Open connections without a request.";
        one(text, "connections_idle", GAUGE, help, self.idle.get().min(open));
        one(text, "accepted_total", COUNTER, "Connections accepted.", self.accepted.get());
        let help = "Connections refused, because --allow names others.";
        one(text, "connections_refused_total", COUNTER, help, self.turned_away.get());
        let help = "Connections closed, because the peer broke the protocol.";
        one(text, "protocol_errors_total", COUNTER, help, self.broken.get());
        let help = "Requests refused before they reached an app, by reason.";
        text.family("rejected_total", COUNTER, help);
        for (reason, count) in self.rejected.counts() {
            text.sample("rejected_total", &[("reason", reason)], count);
        }
        let help = "Spans that the collector has taken.";
        one(text, "spans_exported_total", COUNTER, help, self.spans.exported.get());
        let help = "Spans that were dropped, by reason.";
        text.family("spans_dropped_total", COUNTER, help);
        for (reason, count) in self.spans.dropped() {
            text.sample("spans_dropped_total", &[("reason", reason)], count);
        }
    }
}

/// The text so far.
struct Text(String);

impl Text {
    fn requests(&mut self, apps: &[Arc<AppMetrics>]) {
        self.family("requests_total", COUNTER, "Requests that have ended, by status class.");
        for app in apps {
            for (status, count) in app.requests() {
                self.sample("requests_total", &[("app", &app.name), ("status", status)], count);
            }
        }
        self.family("refused_total", COUNTER, "Answers of flupd's own, by reason.");
        for app in apps {
            for (reason, count) in app.refused.counts() {
                self.sample("refused_total", &[("app", &app.name), ("reason", reason)], count);
            }
        }
        let help = "Requests given to a second worker.";
        self.each(apps, "repeated_total", COUNTER, help, |app| app.repeated.get());
        let help = "Params and bodies of whole requests.";
        self.each(apps, "received_bytes_total", COUNTER, help, |app| app.received.get());
        let help = "Heads and bodies of answers.";
        self.each(apps, "sent_bytes_total", COUNTER, help, |app| app.sent.get());
        let help = "From the whole request to the end of its answer.";
        self.histograms(apps, "request_duration_seconds", help, |app| Buckets::of(&app.duration));
        let help = "From the whole request to its turn at an app thread.";
        self.histograms(apps, "queue_wait_seconds", help, |app| Buckets::of(&app.wait));
        let help = "From the moment a thread took the request until it had the interpreter.";
        self.histograms(apps, "gil_wait_seconds", help, Buckets::of_the_interpreter);
    }

    fn threads(&mut self, apps: &[Arc<AppMetrics>]) {
        let seconds = |app: &AppMetrics, at: usize| {
            Duration::from_nanos(app.thread_nanos()[at % 2]).as_secs_f64()
        };
        let help = "Time of app threads with a request.";
        self.each(apps, "busy_seconds_total", COUNTER, help, |app| seconds(app, 0));
        let help = "Time of app threads without a request.";
        self.each(apps, "idle_seconds_total", COUNTER, help, |app| seconds(app, 1));
        let help = "Requests that wait for an app thread.";
        self.each(apps, "queue_length", GAUGE, help, |app| app.stand().queued);
        let help = "App threads that take requests.";
        self.each(apps, "threads", GAUGE, help, |app| app.stand().threads);
        let help = "App threads with a request.";
        self.each(apps, "threads_busy", GAUGE, help, |app| app.stand().busy);
    }

    fn workers(&mut self, apps: &[Arc<AppMetrics>], proportional: bool) {
        self.family("workers", GAUGE, "Worker processes, by generation of the app and state.");
        for app in apps {
            for (generation, stand) in app.stands() {
                let generation = generation.to_string();
                let states = [
                    ("starting", stand.starting),
                    ("ready", stand.ready),
                    ("leaving", stand.leaving),
                ];
                for (state, count) in states {
                    let labels =
                        [("app", &*app.name), ("generation", &generation), ("state", state)];
                    self.sample("workers", &labels, count);
                }
            }
        }
        let help = "The least workers there are.";
        self.each(apps, "workers_min", GAUGE, help, |app| app.workers_min.get());
        let help = "The most workers there can be.";
        self.each(apps, "workers_max", GAUGE, help, |app| app.workers_max.get());
        self.family("worker_ends_total", COUNTER, "Workers that have ended, by cause.");
        for app in apps {
            for (cause, count) in app.ends() {
                self.sample("worker_ends_total", &[("app", &app.name), ("cause", &cause)], count);
            }
        }
        let workers: Vec<_> = apps
            .iter()
            .flat_map(|app| app.workers().into_iter().map(|worker| (&*app.name, worker)))
            .collect();
        let mut family =
            |name: &str,
             kind,
             help,
             value: &dyn Fn(&super::worker::WorkerFacts) -> Option<String>| {
                self.family(name, kind, help);
                for (app, worker) in &workers {
                    // One that has gone meanwhile has nothing to tell.
                    let Some(value) = value(worker) else { continue };
                    self.sample(
                        name,
                        &[("app", app), ("worker", &worker.number.to_string())],
                        value,
                    );
                }
            };
        let help = "When the worker was started, in seconds since 1970.";
        family("worker_start_time_seconds", GAUGE, help, &|worker| {
            Some(seconds_since_1970(worker.started).to_string())
        });
        let help = "Processor time of the worker.";
        family("worker_cpu_seconds_total", COUNTER, help, &|worker| Some(worker.cpu?.to_string()));
        let help = "Memory of the worker, what it shares included.";
        family("worker_resident_bytes", GAUGE, help, &|worker| Some(worker.resident?.to_string()));
        if proportional {
            let help = "Memory of the worker, what it shares divided by those that share it.";
            family("worker_proportional_bytes", GAUGE, help, &|worker| {
                Some(process::proportional(worker.pid)?.to_string())
            });
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "# HELP flupd_{name} {help}\n# TYPE flupd_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "flupd_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{}\"", escaped(value));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// A family with one sample an app.
    fn each<V: Display>(
        &mut self,
        apps: &[Arc<AppMetrics>],
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&AppMetrics) -> V,
    ) {
        self.family(name, kind, help);
        for app in apps {
            self.sample(name, &[("app", &app.name)], value(app));
        }
    }

    fn histograms(
        &mut self,
        apps: &[Arc<AppMetrics>],
        name: &str,
        help: &str,
        buckets: impl Fn(&AppMetrics) -> Buckets,
    ) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for app in apps {
            let Buckets { counts, seconds } = buckets(app);
            let mut all = 0_u64;
            for (bound, count) in counts {
                all = all.wrapping_add(count);
                let bound = bound.map_or_else(|| "+Inf".into(), |b| b.as_secs_f64().to_string());
                self.sample(&bucket, &[("app", &app.name), ("le", &bound)], all);
            }
            self.sample(&format!("{name}_sum"), &[("app", &app.name)], seconds);
            self.sample(&format!("{name}_count"), &[("app", &app.name)], all);
        }
    }
}

/// A histogram, ready to be told.
struct Buckets {
    /// The upper end of each bucket, and what is in it and in no smaller one. The
    /// last one has no end.
    counts: Vec<(Option<Duration>, u64)>,
    seconds: f64,
}

impl Buckets {
    fn of(histogram: &Histogram) -> Self {
        let bounds = BOUNDS.map(Duration::from_millis).map(Some).into_iter().chain([None]);
        let counts = bounds.zip(histogram.counts()).collect();
        Self { counts, seconds: histogram.seconds() }
    }

    fn of_the_interpreter(app: &AppMetrics) -> Self {
        let waits = app.waits();
        let bounds = waits::BOUNDS.map(Duration::from_micros).map(Some).into_iter().chain([None]);
        let seconds = Duration::from_nanos(waits.nanos).as_secs_f64();
        Self { counts: bounds.zip(waits.buckets).collect(), seconds }
    }
}

fn seconds_since_1970(moment: SystemTime) -> f64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A label's value as it can stand between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::AppId;

    fn families() -> String {
        let metrics = Metrics::default();
        metrics.app(AppId(0), Some("shop\"\\")).worker_ended(1, "exit status 1", false);
        metrics.to_text(true)
    }

    #[test]
    fn a_label_stays_between_its_quotes() {
        assert!(families().contains("flupd_threads{app=\"shop\\\"\\\\\"} 0\n"));
    }

    #[test]
    fn every_metric_is_documented_and_every_documented_metric_exists() {
        let text = families();
        let real: BTreeSet<_> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let documents = include_str!("../../../docs/metrics.md");
        let rows = documents.lines().filter_map(|line| line.strip_prefix("| `flupd_"));
        let documented: BTreeSet<_> = rows
            .map(|row| {
                let mut cells = row.split('|').map(str::trim);
                let name = cells.next().and_then(|name| name.split(['`', '{']).next());
                format!("flupd_{} {}", name.unwrap(), cells.next().unwrap())
            })
            .collect();
        let documented: BTreeSet<_> = documented.iter().map(String::as_str).collect();
        assert_eq!(real, documented);
    }
}
