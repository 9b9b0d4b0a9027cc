//! How many workers an app has.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::{Check, value};
use crate::config::mistake::Mistake;
use crate::config::source::ConfigError;
use crate::config::values;
use crate::config::workers::{MOST, Workers};
use crate::config::written::WrittenApp;

/// How many workers there can be.
const WORKERS: RangeInclusive<i64> = 1..=MOST as i64;

impl Check<'_> {
    /// What is said of an app; `None` if nothing is. `cores` is how many there are
    /// at most if that is not said.
    pub(super) fn workers(
        &self,
        app: &WrittenApp,
        cores: usize,
    ) -> Result<Option<Workers>, ConfigError> {
        let workers = app.workers.as_ref().map(|given| self.some_workers(given, cores));
        let mut workers = workers.transpose()?;
        if let Some(idle) = &app.idle_timeout {
            match &mut workers {
                Some(workers) if !workers.is_fixed() => workers.idle = idle.get_ref().0,
                _ => {
                    let alone = Mistake::Alone("workers that come and go, such as \"1..4\"");
                    return Err(self.at("idle-timeout", idle, alone));
                }
            }
        }
        let solo = app.solo.as_ref().filter(|_| value(&app.solo) == Some(&true));
        match (solo, workers) {
            (Some(solo), Some(workers)) if !workers.is_fixed() => {
                let advice = "nobody sees the requests of all of them; write a number";
                let conflict = Mistake::Conflict("workers that come and go", advice);
                Err(self.at("solo", solo, conflict))
            }
            _ => Ok(workers),
        }
    }

    fn some_workers(
        &self,
        given: &Spanned<values::Workers>,
        cores: usize,
    ) -> Result<Workers, ConfigError> {
        let &values::Workers { min, max, spare } = given.get_ref();
        let number = |key, number: Option<i64>, range: &RangeInclusive<i64>| {
            self.number(key, &number.map(|number| Spanned::new(given.span(), number)), range)
        };
        if let (Some(one), Some(same)) = (min, max)
            && one == same
            && spare.is_none()
        {
            let fixed = number("workers", min, &WORKERS)?;
            return Ok(Workers::fixed(fixed.unwrap_or(cores)));
        }
        let min = number("workers", min, &(0..=*WORKERS.end()))?.unwrap_or(1);
        let max = number("workers", max, &WORKERS)?.unwrap_or_else(|| cores.max(min));
        if min > max {
            return Err(self.at("workers", given, Mistake::Workers { min, max }));
        }
        let spares = 0..=i64::try_from(max).unwrap_or(i64::MAX);
        let spare = match (number("spare", spare, &spares)?, min) {
            (Some(1..), 0) => return Err(self.at("spare", given, Mistake::SpareOfNone)),
            (Some(_), min) if min == max => {
                let alone = Mistake::Alone("workers that come and go, such as \"1..4\"");
                return Err(self.at("spare", given, alone));
            }
            (spare, min) => spare.unwrap_or(usize::from(min > 0)),
        };
        Ok(match min == max {
            true => Workers::fixed(min),
            false => Workers { min, max, spare, idle: Workers::IDLE },
        })
    }
}
