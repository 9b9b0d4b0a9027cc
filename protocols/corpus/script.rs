//! Reads the corpus files; their language is in README.md beside this file.
//!
//! It builds records by hand and shares no code with the codecs, so that a
//! mistake there cannot hide here. Tests and fuzz targets include it by path.
#![allow(dead_code, reason = "each includer uses its own part of it")]

/// One corpus file.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// `% name value`
    pub(crate) settings: Vec<(String, String)>,
    /// What happens on the connection.
    pub(crate) steps: Vec<Step>,
    /// The transcript: the lines that begin with `>`, `=`, `.` or `!`.
    pub(crate) expected: Vec<String>,
    sent: Vec<(String, Vec<u8>, Vec<u8>)>,
}

/// A thing that happens on a connection.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Finish(u16),
}

enum Token {
    Word(String),
    Text(Vec<u8>),
    Pair(Vec<u8>, Vec<u8>),
}

impl Script {
    pub(crate) fn read(text: &str) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            match lines.last_mut() {
                Some(last) if line.starts_with(' ') => {
                    last.push(' ');
                    last.push_str(line.trim());
                }
                _ => lines.push(line.trim_end().to_owned()),
            }
        }
        let mut script = Self::default();
        for line in &lines {
            script.line(line);
        }
        script
    }

    /// The value of a setting.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Every byte the web server sends.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let sent = self.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes.as_slice()),
            Step::Finish(_) => None,
        });
        sent.collect::<Vec<_>>().concat()
    }

    /// The params it sends, of all requests.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.sent.iter().map(|(_, name, value)| (name.as_slice(), value.as_slice()))
    }

    fn line(&mut self, line: &str) {
        let (sign, rest) = line.split_at(1);
        let rest = rest.trim();
        match sign {
            "%" => {
                let (name, value) = rest.split_once(' ').expect("% name value");
                self.settings.push((name.to_owned(), value.trim().to_owned()));
            }
            "@" => {
                let id = rest.strip_prefix("finish ").expect("@ finish ID");
                self.steps.push(Step::Finish(id.parse().expect("an id")));
            }
            "<" => {
                let bytes = self.encode(rest);
                match self.steps.last_mut() {
                    Some(Step::Send(last)) => last.extend(bytes),
                    _ => self.steps.push(Step::Send(bytes)),
                }
            }
            ">" | "=" | "." | "!" => self.expected.push(match line.strip_suffix(" as sent") {
                Some(start) => {
                    let key = start.strip_prefix("> params").expect("params as sent").trim();
                    let pairs = self.sent.iter().filter(|(k, ..)| k == key);
                    let pairs: String = pairs.map(|(_, n, v)| show_pair(n, v)).collect();
                    format!("{start}{pairs}")
                }
                None => line.to_owned(),
            }),
            _ => panic!("no such line: {line}"),
        }
    }

    fn encode(&mut self, line: &str) -> Vec<u8> {
        let mut tokens = tokens(line).into_iter().peekable();
        let mut word = || match tokens.next_if(|token| matches!(token, Token::Word(_))) {
            Some(Token::Word(word)) => word,
            _ => panic!("too few words: {line}"),
        };
        let kind = word();
        let (number, id) = match &*kind {
            "begin" => {
                let id = word().parse().expect("an id");
                let role = match &*word() {
                    "responder" => 1,
                    "authorizer" => 2,
                    "filter" => 3,
                    number => number.parse().expect("a role"),
                };
                let flags = u8::from(word() == "keep_conn");
                return record(1, id, &[0, role, flags, 0, 0, 0, 0, 0], 0);
            }
            "bytes" | "netstring" => (0, String::new()),
            "record" => (word().parse().expect("a type"), word()),
            name => {
                let names = ["abort", "end", "params", "stdin", "stdout", "stderr", "data"];
                let at = names.iter().position(|&n| n == name);
                match (at, name) {
                    (Some(at), _) => (at as u8 + 2, word()),
                    (None, "get_values") => (9, word()),
                    _ => panic!("no such record: {line}"),
                }
            }
        };
        let (mut content, mut padding, mut most) = (Vec::new(), 0, 65535);
        for token in tokens {
            match token {
                Token::Text(text) => content.extend(text),
                Token::Pair(name, value) => {
                    if kind == "netstring" {
                        content.extend([&*name, &[0], &*value, &[0]].concat());
                    } else {
                        put_length(&mut content, name.len());
                        put_length(&mut content, value.len());
                        content.extend([&*name, &*value].concat());
                    }
                    if kind != "get_values" {
                        self.sent.push((id.clone(), name, value));
                    }
                }
                Token::Word(word) if kind == "bytes" => {
                    content.push(u8::from_str_radix(&word, 16).expect("a hex byte"));
                }
                Token::Word(word) => match word.split_at(1) {
                    ("+", n) => padding = n.parse().expect("padding"),
                    ("/", n) => most = n.parse().expect("a length"),
                    _ => panic!("what is {word}? {line}"),
                },
            }
        }
        match &*kind {
            "bytes" => return content,
            "netstring" => {
                return [format!("{}:", content.len()).as_bytes(), &content, b","].concat();
            }
            _ => {}
        }
        let id = id.parse().expect("an id");
        if content.is_empty() {
            return record(number, id, b"", padding);
        }
        content.chunks(most).flat_map(|part| record(number, id, part, padding)).collect()
    }
}

/// Bytes as a transcript shows them.
pub(crate) fn show(bytes: &[u8]) -> String {
    match bytes {
        [first, rest @ ..] if rest.len() >= 64 && rest.iter().all(|byte| byte == first) => {
            format!("\"{}\"*{}", [*first].escape_ascii(), bytes.len())
        }
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// A pair as a transcript shows it, after a space.
pub(crate) fn show_pair(name: &[u8], value: &[u8]) -> String {
    format!(" {}={}", name.escape_ascii(), show(value))
}

fn record(number: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let [id1, id0] = id.to_be_bytes();
    let [len1, len0] = u16::try_from(content.len()).expect("content").to_be_bytes();
    let mut record = vec![1, number, id1, id0, len1, len0, padding, 0];
    record.extend(content);
    record.extend(vec![0xAA; usize::from(padding)]);
    record
}

fn put_length(out: &mut Vec<u8>, len: usize) {
    match u8::try_from(len) {
        Ok(short @ ..128) => out.push(short),
        _ => out.extend((len as u32 | 1 << 31).to_be_bytes()),
    }
}

fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', '"']).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        if !rest.starts_with('"') {
            tokens.push(Token::Word(word.to_owned()));
        } else {
            let text = text(&mut rest);
            tokens.push(match word.strip_suffix('=') {
                Some(name) => Token::Pair(name.as_bytes().to_owned(), text),
                None => Token::Text(text),
            });
        }
        rest = rest.trim_start();
    }
    tokens
}

/// `"text"` or `"text"*times`.
fn text(rest: &mut &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = rest[1..].char_indices();
    let end = loop {
        let (at, char) = chars.next().expect("a closing quote");
        match char {
            '"' => break at + 2,
            '\\' => match chars.next().expect("an escape").1 {
                'n' => out.push(b'\n'),
                'r' => out.push(b'\r'),
                't' => out.push(b'\t'),
                '0' => out.push(0),
                'x' => {
                    let at = chars.next().expect("a hex byte").0 + 1;
                    chars.next();
                    out.push(u8::from_str_radix(&rest[at..at + 2], 16).expect("a hex byte"));
                }
                other => out.push(other as u8),
            },
            char => out.extend(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    };
    *rest = &rest[end..];
    let Some(times) = rest.strip_prefix('*') else { return out };
    let end = times.find(' ').unwrap_or(times.len());
    *rest = &times[end..];
    out.repeat(times[..end].parse().expect("a count"))
}
