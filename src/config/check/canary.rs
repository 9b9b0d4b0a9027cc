//! The keys of how new code begins.

use super::{Check, value};
use crate::config::mistake::Mistake;
use crate::config::source::ConfigError;
use crate::config::written::WrittenApp;
use crate::config::{Canary, Share};

impl Check<'_> {
    /// How new code begins at a reload.
    pub(super) fn canary(&self, app: &WrittenApp) -> Result<Option<Canary>, ConfigError> {
        let Some(given) = &app.canary else {
            return match &app.canary_time {
                Some(time) => Err(self.at("canary-time", time, Mistake::Alone("canary"))),
                None => Ok(None),
            };
        };
        if value(&app.solo).copied().unwrap_or(false) {
            let advice = "solo workers accept for themselves, and nobody shares out the requests";
            return Err(self.at("canary", given, Mistake::Conflict("solo", advice)));
        }
        let share = Share::parse(given.get_ref()).map_err(|error| {
            self.at("canary", given, Mistake::Share(given.get_ref().clone(), error))
        })?;
        let time = value(&app.canary_time).map_or(Canary::TIME, |time| time.0);
        Ok(Some(Canary { share, time }))
    }
}
