//! The keys of spans.

use super::{Check, value};
use crate::config::mistake::Mistake;
use crate::config::otlp::{Otlp, OtlpError, Sample};
use crate::config::source::ConfigError;
use crate::config::written::Written;

impl Check<'_> {
    /// Where spans go, if there are any.
    pub(in crate::config) fn otlp(&self, written: &Written) -> Result<Option<Otlp>, ConfigError> {
        let share = match &written.otlp_sample {
            None => None,
            Some(given) if value(&written.otlp).is_none() => {
                return Err(self.at("otlp-sample", given, Mistake::Alone("otlp")));
            }
            Some(given) => Some(Sample::parse(given.get_ref()).map_err(|error| {
                self.at("otlp-sample", given, Mistake::Share(given.get_ref().clone(), error))
            })?),
        };
        let Some(given) = &written.otlp else { return Ok(None) };
        let wrong = |error| self.at("otlp", given, Mistake::Otlp(error));
        if !self.exports {
            return Err(wrong(OtlpError::NotBuilt));
        }
        Otlp::read(given.get_ref(), share, &|name| std::env::var(name).ok()).map_err(wrong)
    }
}
