//! Cuts a stream of bytes into lines of bounded length.

use memchr::memchr;

/// The longest piece of a line, in bytes.
pub const MAX_LINE: usize = 16 * 1024;

/// A line, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'l> {
    /// The bytes, without the line's end.
    pub bytes: &'l [u8],
    /// Whether the same line goes on in the next piece: it is longer than
    /// [`MAX_LINE`].
    pub continues: bool,
}

/// What has come of a line whose end has not.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes of the stream, and hands on what is whole now.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            self.gather(line, &mut each);
            self.finish(&mut each);
        }
        self.gather(bytes, &mut each);
    }

    /// Hands on what has begun: its end is not to be waited for.
    pub fn flush(&mut self, mut each: impl FnMut(Line<'_>)) {
        if self.has_begun() {
            self.finish(&mut each);
        }
    }

    /// Whether a line has begun and not ended.
    pub const fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Adds to the line that has begun; hands on pieces that are too long.
    fn gather(&mut self, mut bytes: &[u8], each: &mut impl FnMut(Line<'_>)) {
        while self.begun.len() + bytes.len() > MAX_LINE {
            let (piece, rest) = bytes.split_at(MAX_LINE - self.begun.len());
            self.begun.extend_from_slice(piece);
            bytes = rest;
            each(Line { bytes: &self.begun, continues: true });
            self.begun.clear();
        }
        self.begun.extend_from_slice(bytes);
    }

    fn finish(&mut self, each: &mut impl FnMut(Line<'_>)) {
        let line = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
        each(Line { bytes: line, continues: false });
        self.begun.clear();
    }
}

/// The text of a line as it may stand in a log: what is no UTF-8 is replaced,
/// and control characters are written as escapes, so that no terminal obeys them.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(is_unprintable) {
        return text.into_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unprintable(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters, and the two that some programs take for a line's end. A
/// tabulator does no harm.
fn is_unprintable(character: char) -> bool {
    character.is_control() && character != '\t' || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<(String, bool)> {
        let (mut lines, mut got) = (Lines::default(), Vec::new());
        let mut take = |l: Line<'_>| got.push((printable(l.bytes), l.continues));
        for part in parts {
            lines.push(part, &mut take);
        }
        lines.flush(&mut take);
        got
    }

    fn whole(lines: &[&str]) -> Vec<(String, bool)> {
        lines.iter().map(|line| ((*line).to_owned(), false)).collect()
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = b"one\n\ntwo\r\nthree";
        let expected = whole(&["one", "", "two", "three"]);
        assert_eq!(lines(&[text]), expected);
        for at in 0..=text.len() {
            let (a, b) = text.split_at(at);
            assert_eq!(lines(&[a, b]), expected, "split at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&bytes), expected);
        assert_eq!(lines(&[]), []);
        assert_eq!(lines(&[b"\n"]), whole(&[""]));
    }

    #[test]
    fn long_lines_come_in_marked_pieces_and_lose_nothing() {
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE + 7] {
            let long = "x".repeat(length);
            let got = lines(&[long.as_bytes(), b"\nshort\n"]);
            let (last, pieces) = got.split_last().unwrap();
            assert_eq!(last.0, "short");
            assert_eq!(pieces.iter().map(|(text, _)| text.as_str()).collect::<String>(), long);
            let marks: Vec<bool> = pieces.iter().map(|(_, continues)| *continues).collect();
            let (end, before) = marks.split_last().unwrap();
            assert!(!end && before.iter().all(|mark| *mark), "{length}: {marks:?}");
        }
    }

    #[test]
    fn nothing_in_a_line_can_end_it_or_move_a_cursor() {
        assert_eq!(printable(b"plain \xc3\xa9\t|"), "plain é\t|");
        assert_eq!(printable(b"a\x1b[2Jb\rc\x00\x7f"), "a\\u{1b}[2Jb\\rc\\u{0}\\u{7f}");
        assert_eq!(printable("a\u{2028}b\u{85}c".as_bytes()), "a\\u{2028}b\\u{85}c");
        assert_eq!(printable(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
