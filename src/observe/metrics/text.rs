//! The text that Prometheus reads (exposition format 0.0.4).

use std::fmt::{Display, Write};
use std::fs;
use std::sync::Arc;

use super::histogram::BOUNDS;
use super::{AppMetrics, Histogram, Metrics};

impl Metrics {
    /// All of it as text. docs/metrics.md says what each is.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = Text(String::with_capacity(8 * 1024));
        let apps = self.apps();
        text.family("build_info", "gauge", "The version of flupd, as a label; always 1.");
        text.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.family("connections", "gauge", "Open connections of web servers.");
        text.sample("connections", &[], self.connections.get());
        text.family("accepted_total", "counter", "Connections accepted.");
        text.sample("accepted_total", &[], self.accepted.get());
        text.family("rejected_total", "counter", "Requests refused before they reached an app.");
        for (class, count) in ["4xx", "5xx"].iter().zip(&self.rejected) {
            text.sample("rejected_total", &[("status", class)], count.get());
        }
        text.family("requests_total", "counter", "Requests that have ended, by status class.");
        for app in &apps {
            for (status, count) in app.requests() {
                text.sample("requests_total", &[("app", &app.name), ("status", status)], count);
            }
        }
        text.each(&apps, "refused_total", "counter", "Answers of flupd's own.", |app| {
            app.refused.get()
        });
        text.each(
            &apps,
            "repeated_total",
            "counter",
            "Requests given to a second worker.",
            |app| app.repeated.get(),
        );
        text.histograms(
            &apps,
            "request_duration_seconds",
            "From the whole request to the end of its answer.",
            |app| &app.duration,
        );
        text.histograms(
            &apps,
            "queue_wait_seconds",
            "From the whole request to its turn at an app thread.",
            |app| &app.wait,
        );
        text.each(
            &apps,
            "busy_seconds_total",
            "counter",
            "Time of app threads in requests.",
            |app| std::time::Duration::from_nanos(app.busy_nanos.get()).as_secs_f64(),
        );
        text.each(&apps, "queue_length", "gauge", "Requests that wait for an app thread.", |app| {
            app.queued.get()
        });
        text.each(&apps, "threads", "gauge", "App threads that take requests.", |app| {
            app.threads.get()
        });
        text.each(&apps, "threads_busy", "gauge", "App threads with a request.", |app| {
            app.busy.get()
        });
        text.workers(&apps);
        text.0
    }
}

/// The text so far.
struct Text(String);

impl Text {
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
        histogram: impl Fn(&AppMetrics) -> &Histogram,
    ) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for app in apps {
            let histogram = histogram(app);
            let counts = histogram.cumulative();
            for (bound, count) in BOUNDS.iter().zip(counts) {
                let bound = std::time::Duration::from_millis(*bound).as_secs_f64().to_string();
                self.sample(&bucket, &[("app", &app.name), ("le", &bound)], count);
            }
            let all = counts.last().copied().unwrap_or_default();
            self.sample(&bucket, &[("app", &app.name), ("le", "+Inf")], all);
            self.sample(&format!("{name}_sum"), &[("app", &app.name)], histogram.seconds());
            self.sample(&format!("{name}_count"), &[("app", &app.name)], all);
        }
    }

    fn workers(&mut self, apps: &[Arc<AppMetrics>]) {
        self.family("workers", "gauge", "Worker processes, by state.");
        for app in apps {
            let states =
                [("starting", &app.starting), ("ready", &app.ready), ("leaving", &app.leaving)];
            for (state, count) in states {
                self.sample("workers", &[("app", &app.name), ("state", state)], count.get());
            }
        }
        self.family("worker_ends_total", "counter", "Workers that have ended, by cause.");
        for app in apps {
            for (cause, count) in app.ends() {
                self.sample("worker_ends_total", &[("app", &app.name), ("cause", &cause)], count);
            }
        }
        let help = "Memory of each worker, what it shares included.";
        self.family("worker_resident_bytes", "gauge", help);
        for app in apps {
            for (worker, pid) in app.pids() {
                let Some(bytes) = resident(pid) else { continue };
                let labels = [("app", app.name.as_str()), ("worker", &worker.to_string())];
                self.sample("worker_resident_bytes", &labels, bytes);
            }
        }
    }
}

/// What a process has in memory, in bytes (proc(5)); `None` if it has gone.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
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
        metrics.to_text()
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
