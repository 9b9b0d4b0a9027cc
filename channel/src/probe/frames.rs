//! What a thread says of where it is: text that CPython's faulthandler writes.
//!
//! It comes from a worker, so it may be anything: a line that does not look like
//! a frame is passed over, and there are never more than [`MAX_FRAMES`].

use std::fmt;

/// The most frames of one thread; CPython itself stops at 100.
pub const MAX_FRAMES: usize = 100;

/// The longest text of a frame, in bytes; CPython itself stops at 500 characters.
const MAX_TEXT: usize = 4096;

/// One Python frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The file, as its code was compiled with.
    pub file: String,
    /// The line that runs; 0 if it is not known.
    pub line: u32,
    /// The function's name.
    pub function: String,
}

/// As in a Python traceback.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File \"{}\", line {}, in {}", self.file, self.line, self.function)
    }
}

impl Frame {
    /// `  File "app.py", line 3 in wait`.
    fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("  File ")?;
        // A path may have such a text inside.
        let (file, rest) = rest.rsplit_once(", line ")?;
        let (line, function) = rest.split_once(" in ")?;
        let known = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        let file = file.strip_prefix('"').and_then(|file| file.strip_suffix('"')).unwrap_or(file);
        Some(Self {
            file: known(file),
            // CPython writes ??? for what it can't tell.
            line: line.parse().unwrap_or(0),
            function: known(function),
        })
    }
}

/// What has arrived of an answer.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not all of it.
    Part,
    /// The thread could not say it at that moment.
    Again,
    /// All: the frames above flupd's own, innermost first.
    Whole(Vec<Frame>),
}

/// Looks for the answer to question `number`. What stands before it belongs to
/// another that nobody waits for any more.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) fn parse(text: &[u8], number: u32) -> Answer {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let begin = format!("asked {number} ");
    let Some(head) = lines.find(|line| line.starts_with(&begin)) else { return Answer::Part };
    let ours = head.rsplit_once(' ').and_then(|(_, ours)| ours.parse().ok()).unwrap_or(0);
    let (end, again) = (format!("end {number}"), format!("again {number}"));
    let (mut frames, mut whole) = (Vec::new(), false);
    for line in lines {
        if line == end {
            whole = true;
            break;
        }
        if line == again {
            return Answer::Again;
        }
        let more = frames.len() < MAX_FRAMES;
        frames.extend(Frame::parse(line).filter(|_| more));
    }
    if !whole {
        return Answer::Part;
    }
    // A stack that was cut has lost its outermost frames, ours among them.
    if frames.len() < MAX_FRAMES {
        frames.truncate(frames.len().saturating_sub(ours));
    }
    Answer::Whole(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "asked 7 0 1\nStack (most recent call first):\n  \
                        File \"/srv/a, line 5 in x/app.py\", line 31 in wait\n  \
                        File \"/srv/app.py\", line ??? in <lambda>\n  \
                        File \"<string>\", line 2 in bootstrap\nend 7\n";

    fn frame(file: &str, line: u32, function: &str) -> Frame {
        Frame { file: file.into(), line, function: function.into() }
    }

    #[test]
    fn frames_are_those_of_the_app_innermost_first() {
        let frames = vec![
            frame("/srv/a, line 5 in x/app.py", 31, "wait"),
            frame("/srv/app.py", 0, "<lambda>"),
        ];
        assert_eq!(parse(DUMP.as_bytes(), 7), Answer::Whole(frames));
        let shown = frame("app.py", 3, "f").to_string();
        assert_eq!(shown, "File \"app.py\", line 3, in f");
    }

    #[test]
    fn an_answer_is_whole_with_its_last_line_only() {
        for length in 0..DUMP.len() {
            assert_eq!(parse(&DUMP.as_bytes()[..length], 7), Answer::Part, "{length}");
        }
        let late = format!("ine 3 in f\nend 6\n{DUMP}");
        assert!(matches!(parse(late.as_bytes(), 7), Answer::Whole(frames) if frames.len() == 2));
        assert_eq!(parse(DUMP.as_bytes(), 8), Answer::Part);
    }

    #[test]
    fn an_answer_that_broke_off_is_asked_again() {
        let broken = "asked 7 0 1\nStack (most recent call first):\n  File \"/sr\nagain 7\n";
        assert_eq!(parse(broken.as_bytes(), 7), Answer::Again);
        assert_eq!(parse(broken.as_bytes(), 8), Answer::Part);
    }

    #[test]
    fn no_text_makes_more_than_the_most_frames() {
        let mut text = b"asked 1 0 65535\n".to_vec();
        text.extend(b"  File \"x\", line 1 in \xff\x1b[31m\n".repeat(500));
        text.extend(b"  File , line  in \n  File \n\nend 1\n");
        let Answer::Whole(frames) = parse(&text, 1) else { panic!("a part") };
        assert_eq!(frames.len(), MAX_FRAMES);
        assert_eq!(frames[0], frame("x", 1, "\u{fffd}[31m"));
    }
}
