//! How many workers there are, as it is written.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// The least and the most, and how many of them are kept idle: `4`, `"2..8"`,
/// `"on-demand"` or `{ min = 2, max = 8, spare = 1 }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Workers {
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
    /// How many are kept idle.
    pub spare: Option<i64>,
}

impl Workers {
    const fn fixed(number: i64) -> Self {
        Self { min: Some(number), max: Some(number), spare: None }
    }
}

/// The same as text.
///
/// # Errors
/// What to write, if it is none of them.
pub fn workers(text: &str) -> Result<Workers, String> {
    let number = |text: &str| text.trim().parse::<i64>().ok();
    if text == "on-demand" {
        return Ok(Workers { min: Some(0), ..Workers::default() });
    }
    let parsed = match text.split_once("..") {
        None => number(text).map(Workers::fixed),
        Some((min, max)) => number(min).zip(number(max)).map(|(min, max)| Workers {
            min: Some(min),
            max: Some(max),
            spare: None,
        }),
    };
    parsed.ok_or_else(|| "write a number such as 4, a range such as 2..8, or on-demand".to_owned())
}

/// As in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    min: Option<i64>,
    max: Option<i64>,
    spare: Option<i64>,
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOfThem;
        impl<'de> Visitor<'de> for OneOfThem {
            type Value = Workers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 4, \"on-demand\", or { min = 2, max = 8, spare = 1 }")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Workers, E> {
                Ok(Workers::fixed(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Workers, E> {
                workers(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Workers, A::Error> {
                let Table { min, max, spare } =
                    Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Workers { min, max, spare })
            }
        }
        from.deserialize_any(OneOfThem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ranges_and_on_demand() {
        let some = |min, max| Ok(Workers { min, max, spare: None });
        assert_eq!(workers("4"), some(Some(4), Some(4)));
        assert_eq!(workers("2..8"), some(Some(2), Some(8)));
        assert_eq!(workers("0..8"), some(Some(0), Some(8)));
        assert_eq!(workers("on-demand"), some(Some(0), None));
        for wrong in ["", "two", "2..", "..8", "2...8", "2-8", "ondemand", "1.5"] {
            assert!(workers(wrong).is_err(), "{wrong}");
        }
    }
}
