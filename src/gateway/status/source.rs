//! Who knows what the status listener tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::control::StatusQuestion;
use crate::gateway::aside::Supervisor;
use crate::gateway::asked::Asks;
use crate::observe::metrics::Metrics;
use crate::observe::metrics::history::{Sample, Told};
use crate::observe::report::Report;

/// Who knows it.
#[derive(Debug)]
pub(in crate::gateway) enum Source {
    /// This process: its counters, and its other thread.
    Here {
        /// What it counts.
        metrics: Arc<Metrics>,
        /// The thread that knows what runs.
        asks: Asks,
    },
    /// The supervisor of solo workers.
    Aside(Supervisor),
}

/// Nobody who knows has answered in time.
#[derive(Debug)]
pub(super) struct Silence;

impl Source {
    /// The text that Prometheus reads.
    pub(super) async fn metrics(&self, proportional: bool) -> Result<String, Silence> {
        match self {
            Self::Here { metrics, .. } => Ok(metrics.to_text(proportional)),
            Self::Aside(supervisor) => {
                supervisor.ask(StatusQuestion::Metrics { proportional }).await.ok_or(Silence)
            }
        }
    }

    /// Why requests should go elsewhere, if they should.
    pub(super) async fn unready(&self) -> Result<Option<String>, Silence> {
        match self {
            Self::Here { metrics, .. } => Ok(metrics.unready()),
            Self::Aside(supervisor) => supervisor.ask(StatusQuestion::Unready).await.ok_or(Silence),
        }
    }

    /// What is counted now, for a chart.
    pub(super) async fn sample(&self) -> Result<Sample, Silence> {
        match self {
            Self::Here { metrics, .. } => Ok(metrics.sample()),
            Self::Aside(supervisor) => supervisor.ask(StatusQuestion::Sample).await.ok_or(Silence),
        }
    }

    /// A [`Report`] as JSON, with this history; with the frames of the requests that
    /// have run for so long.
    pub(super) async fn report(
        &self,
        frames: Option<Duration>,
        history: Option<Told>,
    ) -> Result<serde_json::Result<Vec<u8>>, Silence> {
        match self {
            Self::Here { metrics, asks } => {
                let begun = Instant::now();
                let snapshot = (asks.snapshot(frames).await, begun.elapsed());
                Ok(serde_json::to_vec(&Report::new(metrics, snapshot, history)))
            }
            Self::Aside(supervisor) => {
                let ms = |frames: Duration| u64::try_from(frames.as_millis()).unwrap_or(u64::MAX);
                let question = StatusQuestion::Report { frames_ms: frames.map(ms) };
                let mut report: Value = supervisor.ask(question).await.ok_or(Silence)?;
                if let (Some(report), Some(history)) = (report.as_object_mut(), history) {
                    report.insert("history".to_owned(), serde_json::json!(history));
                }
                Ok(serde_json::to_vec(&report))
            }
        }
    }
}
