//! Times and sizes, as people read them.

/// Milliseconds as `1.234 s`.
#[must_use]
pub fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

/// Bytes as `31.2 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{kib:.1} KiB"),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", kib / 1024.0),
        _ => format!("{:.2} GiB", kib / 1024.0 / 1024.0),
    }
}

/// What may not be known; else a dash.
#[must_use]
pub fn or_dash<T>(value: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), shown)
}

/// A text of a client's: what would move the cursor, or colour the terminal, is
/// shown as `?`.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        let shown = [1023, 1024, 32_715_571, 3 << 30].map(bytes);
        assert_eq!(shown, ["1023 B", "1.0 KiB", "31.2 MiB", "3.00 GiB"]);
        assert_eq!(or_dash(None, seconds), "-");
        assert_eq!(or_dash(Some(61_002), seconds), "61.002 s");
        assert_eq!(printable("/a\u{1b}[2J\n"), "/a?[2J?");
    }
}
