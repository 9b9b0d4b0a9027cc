//! How values that come from outside stand in a log line: none can end the line,
//! its quotes or its field, move a terminal's cursor, or be without end.

/// How much of a value is shown, in bytes.
const MAX_VALUE: usize = 4096;

/// Stands at the end of a value that was cut.
const CUT: &[u8] = b"...";

/// Appends a value as Apache does: `\"`, `\\`, `\n`, and `\xhh` for what is not
/// printable ASCII. Where no quotes stand around it, a space is `\x20`, too.
pub(super) fn text(value: &[u8], quoted: bool, out: &mut Vec<u8>) {
    let (shown, cut) = bounded(value);
    for &byte in shown {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            b' ' if quoted => out.push(byte),
            b'!'..=b'~' => out.push(byte),
            _ => out.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    out.extend(cut);
}

/// Appends a value as it stands inside a JSON string. What is not UTF-8 becomes
/// U+FFFD.
pub(super) fn json(value: &[u8], out: &mut Vec<u8>) {
    let (shown, cut) = bounded(value);
    for character in String::from_utf8_lossy(shown).chars() {
        match character {
            '"' | '\\' => out.extend([b'\\', character as u8]),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            // All of these have four hexadecimal digits at most.
            _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                out.extend(format!("\\u{:04x}", u32::from(character)).into_bytes());
            }
            _ => out.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.extend(cut);
}

fn bounded(value: &[u8]) -> (&[u8], &'static [u8]) {
    match value.get(..MAX_VALUE) {
        Some(shown) if value.len() > MAX_VALUE => (shown, CUT),
        _ => (value, b""),
    }
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_text(value: &[u8], quoted: bool) -> String {
        let mut out = Vec::new();
        text(value, quoted, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_byte_becomes_printable_ascii_that_ends_nothing() {
        let all: Vec<u8> = (0..=255).collect();
        for quoted in [true, false] {
            let shown = as_text(&all, quoted);
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
            assert_eq!(shown.contains(' '), quoted);
            assert_eq!(shown.matches('"').count(), shown.matches("\\\"").count());
        }
        assert_eq!(as_text(b"a\" \\\x00\n\xc3\xa9", true), r#"a\" \\\x00\n\xc3\xa9"#);
        assert_eq!(as_text(b"a b", false), r"a\x20b");
    }

    #[test]
    fn json_strings_hold_any_value() {
        let all: Vec<u8> = (0..=255).collect();
        for value in [&all[..], "é\u{2028}\u{1f600}\u{85}".as_bytes(), b"\xff\"}\n{\""] {
            let mut out = vec![b'"'];
            json(value, &mut out);
            out.push(b'"');
            let parsed: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(parsed, String::from_utf8_lossy(value));
            assert!(!out.iter().any(|byte| byte.is_ascii_control()));
        }
    }

    #[test]
    fn long_values_are_cut_and_say_so() {
        assert_eq!(as_text(&[b'x'; MAX_VALUE], true), "x".repeat(MAX_VALUE));
        let cut = as_text(&[b'x'; MAX_VALUE + 1], true);
        assert_eq!(cut, "x".repeat(MAX_VALUE) + "...");
        let mut out = Vec::new();
        json("é".repeat(MAX_VALUE).as_bytes(), &mut out);
        assert!(out.ends_with(b"...") && out.len() < MAX_VALUE + 8);
    }
}
