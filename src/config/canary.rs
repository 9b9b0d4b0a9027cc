//! A new generation that gets few requests first, beside the one that serves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much it gets, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Its share of the requests.
    pub share: Share,
    /// How long the two are compared.
    pub time: Duration,
}

/// A share of the requests, in thousandths. None at all means that there is no
/// comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share(pub u16);

impl Canary {
    /// How long the two are compared if nothing is said.
    pub const TIME: Duration = Duration::from_secs(30);
}

impl Share {
    /// The most: then the two have as much.
    const MOST: f64 = 50.0;

    /// As it is written: `10%`, `0.5%`, or `off`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(0));
        }
        let wrong = || "write a share of the requests from 0.1% to 50%: 10%; or off".to_owned();
        let percent: f64 =
            text.strip_suffix('%').and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
        if !(0.1..=Self::MOST).contains(&percent) {
            return Err(wrong());
        }
        Ok(Self((percent * 10.0).round() as u16))
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (0, 0) => f.write_str("off"),
            (whole, 0) => write!(f, "{whole}%"),
            (whole, tenths) => write!(f, "{whole}.{tenths}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_as_it_is_read() {
        for (text, share) in [("10%", 100), ("0.1%", 1), ("2.5%", 25), ("50%", 500), ("off", 0)] {
            assert_eq!(Share::parse(text), Ok(Share(share)));
            assert_eq!(Share(share).to_string(), text);
        }
        for wrong in ["10", "0%", "51%", "-1%", "%", "", "nan%", "inf%", "1e1000%", "on"] {
            assert!(Share::parse(wrong).is_err(), "{wrong}");
        }
    }
}
