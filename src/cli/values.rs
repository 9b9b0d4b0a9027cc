//! Values with a unit, as a user writes them.

use std::time::Duration;

/// A longer wait than this is a slip of the pen: one week.
const MAX_SECONDS: f64 = 604_800.0;

/// A size in bytes: `65536`, `256K`, `1M`, `2G` (powers of 1024).
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of bytes, or one with K, M or G: 256K".to_owned();
    let (number, unit) = match text.char_indices().next_back() {
        Some((end, 'k' | 'K')) => (&text[..end], 1 << 10),
        Some((end, 'm' | 'M')) => (&text[..end], 1 << 20),
        Some((end, 'g' | 'G')) => (&text[..end], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(|| "this is more than can be counted".to_owned())
}

/// A time in seconds: `30`, `0.5`.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        Ok(_) => Err(format!("write a number of seconds from 0 to {MAX_SECONDS}")),
        Err(_) => Err("write a number of seconds: 30, or 0.5".to_owned()),
    }
}

/// As [`seconds`], and more than none.
pub(super) fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|time| match time {
        Duration::ZERO => Err("write more than 0 seconds".to_owned()),
        time => Ok(time),
    })
}

/// A file mode in octal digits: `660`, `0660`, `0o660`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 && !digits.starts_with('+') => Ok(mode),
        _ => Err("write a mode in octal digits, at most 0777: 0660".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("256k"), Ok(256 << 10));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert_eq!(size("2G"), Ok(2 << 30));
        for wrong in ["", "M", "1.5M", "-1", "1T", "99999999999999G", "1é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "-1", "NaN", "inf", "30s", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(seconds("0").is_ok() && some_seconds("0").is_err());
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert_eq!(mode("600"), Ok(0o600));
        assert_eq!(mode("0o666"), Ok(0o666));
        for wrong in ["", "1777", "rw-", "0680", "+660"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
