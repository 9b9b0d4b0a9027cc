//! A format, parsed once.

use thiserror::Error;

use super::field::Field;

/// The formats that have names.
const PRESETS: [(&str, &str); 5] = [
    ("common", r#"%h %l %u %t "%r" %>s %b"#),
    ("combined", r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#),
    (
        "flupd",
        "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D queue=%{queue_us}x \
         gil=%{gil_us}x app=%{app_us}x worker=%{worker}x %{outcome}x id=%L",
    ),
    ("php-fpm", r#"%R - %u %t "%m %U%q" %s"#),
    (
        "json",
        "{\"time\":\"%{%Y-%m-%dT%H:%M:%S%.6f%:z}t\",\"id\":\"%L\",\
         \"trace_id\":\"%{trace_id}x\",\"client\":\"%h\",\
         \"user\":\"%u\",\"host\":\"%{Host}i\",\"method\":\"%m\",\"uri\":\"%{uri}x\",\
         \"protocol\":\"%H\",\"status\":%>s,\"bytes_in\":%I,\"bytes_out\":%O,\"body_bytes\":%B,\
         \"referer\":\"%{Referer}i\",\"user_agent\":\"%{User-Agent}i\",\"duration_us\":%D,\
         \"receive_us\":%{receive_us}x,\"queue_us\":%{queue_us}x,\"gil_us\":%{gil_us}x,\
         \"app_us\":%{app_us}x,\"first_byte_us\":%^FB,\"app\":\"%n\",\"worker\":%{worker}x,\
         \"pid\":%P,\"attempts\":%{attempts}x,\"outcome\":\"%{outcome}x\",\"why\":\"%{why}x\"}",
    ),
];

/// The format of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pub(super) pieces: Vec<Piece>,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text of the administrator's.
    Literal(Vec<u8>),
    /// A value.
    Value(Placed),
}

/// A field and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) field: Field,
    pub(super) place: Place,
    /// With which statuses it is shown.
    pub(super) only: Option<Statuses>,
}

/// What stands around a value, and so what it must not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing: a space would end it.
    Bare,
    /// Quotes.
    Quoted,
    /// JSON, outside strings: it is a number or null.
    Number,
    /// JSON, all of a string, whose quotes belong to it: it may be null instead.
    String,
    /// JSON, a part of a string.
    InString,
}

/// `%400,501{…}i` or `%!200,304{…}i`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statuses {
    pub(super) listed: Vec<u16>,
    pub(super) shown: bool,
}

/// A format that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}\n    {format}\n    {:>1$}", "^", .at + 1)]
pub struct FormatError {
    format: String,
    /// The place, in characters.
    at: usize,
    problem: String,
}

impl Format {
    /// Parses the name of a format, or one in Apache's way: text with `%`
    /// directives. One that begins with `{` makes JSON objects.
    ///
    /// # Errors
    /// [`FormatError`], whose message points at the place.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let preset = PRESETS.iter().find(|(name, _)| *name == text);
        let text = preset.map_or(text, |(_, format)| format);
        let mut parser = Parser { text, at: 0, json: text.starts_with('{'), ..Parser::default() };
        let done = if text.contains('%') {
            parser.parse()
        } else {
            let names = PRESETS.map(|(name, _)| name).join(", ");
            Err(format!("this is no format of ours ({names}) and has no %"))
        };
        let error = |problem| {
            let at = text.get(..parser.at).map_or(0, |before| before.chars().count());
            FormatError { format: text.to_owned(), at, problem }
        };
        done.map_err(error)?;
        Ok(Self { pieces: parser.pieces })
    }
}

impl Format {
    /// Whether a line tells what its request has cost: to measure that has a price.
    pub fn wants_cost(&self) -> bool {
        let is_cost =
            |piece: &Piece| matches!(piece, Piece::Value(placed) if placed.field.is_cost());
        self.pieces.iter().any(is_cost)
    }
}

#[derive(Default)]
struct Parser<'t> {
    text: &'t str,
    /// Where the directive begins that is being read.
    at: usize,
    json: bool,
    quoted: bool,
    literal: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Parser<'_> {
    fn parse(&mut self) -> Result<(), String> {
        let text = self.text;
        while let Some(next) = text.get(self.at..).and_then(|rest| rest.chars().next()) {
            match next {
                '%' => {
                    let length = self.directive(text.get(self.at + 1..).unwrap_or_default())?;
                    self.at += 1 + length;
                    continue;
                }
                _ if next.is_control() => return Err("a line can hold no control character".into()),
                '\\' if !self.json => {
                    let escaped = text.get(self.at + 1..).and_then(|rest| rest.chars().next());
                    self.literal.push(match escaped {
                        Some('t') => b'\t',
                        Some('"') => b'"',
                        Some('\\') => b'\\',
                        _ => return Err(r#"after \ there can be ", \ or t"#.into()),
                    });
                    self.quoted ^= escaped == Some('"');
                    self.at += 2;
                    continue;
                }
                '"' => self.quoted = !self.quoted,
                _ => {}
            }
            self.literal.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            self.at += next.len_utf8();
        }
        self.end_literal();
        if self.json { self.check_json() } else { Ok(()) }
    }

    /// Reads what comes after a `%`; how long it is.
    fn directive(&mut self, rest: &str) -> Result<usize, String> {
        if rest.starts_with('%') {
            self.literal.push(b'%');
            return Ok(1);
        }
        let letter_at = rest.find(|c: char| !matches!(c, '!' | ',' | '<' | '>' | '0'..='9'));
        let (modifiers, rest_of_it) = rest.split_at(letter_at.unwrap_or(rest.len()));
        let only = Statuses::parse(modifiers.trim_matches(['<', '>']))?;
        let (name, letter) = match rest_of_it.strip_prefix('{') {
            Some(named) => {
                let (name, letter) = named.split_once('}').ok_or("the { has no }")?;
                (Some(name), letter)
            }
            None => (None, rest_of_it),
        };
        let length = match letter.chars().next() {
            Some('^') => letter.char_indices().nth(3).map_or(letter.len(), |(at, _)| at),
            Some(first) => first.len_utf8(),
            None => return Err("the format ends inside a field".into()),
        };
        let (letter, after) = letter.split_at(length);
        let field = Field::of(letter, name)?;
        let place = self.place(&field, after.starts_with('"'))?;
        if place == Place::String {
            self.literal.pop();
        }
        self.end_literal();
        self.pieces.push(Piece::Value(Placed { field, place, only }));
        let closing = usize::from(place == Place::String);
        self.quoted ^= closing == 1;
        Ok(rest.len() - after.len() + closing)
    }

    fn place(&self, field: &Field, then_quote: bool) -> Result<Place, String> {
        Ok(match (self.json, self.quoted) {
            (false, false) => Place::Bare,
            (false, true) => Place::Quoted,
            (true, true) if self.literal.ends_with(b"\"") && then_quote => Place::String,
            (true, true) => Place::InString,
            (true, false) if field.is_number() => Place::Number,
            (true, false) => return Err("in JSON this field needs quotes around it".into()),
        })
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Literal(std::mem::take(&mut self.literal)));
        }
    }

    /// Whether the lines will be JSON objects, whatever the values are.
    fn check_json(&mut self) -> Result<(), String> {
        let sample: Vec<u8> = self
            .pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Value(placed) if placed.place == Place::InString => Vec::new(),
                Piece::Value(_) => b"0".to_vec(),
            })
            .collect();
        let parsed: Result<serde_json::Map<_, _>, _> = serde_json::from_slice(&sample);
        parsed.map(drop).map_err(|error| {
            self.at = 0;
            format!("with values in their places this is no JSON object: {error}")
        })
    }
}

impl Statuses {
    fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let (shown, list) = text.strip_prefix('!').map_or((true, text), |list| (false, list));
        let listed: Result<Vec<u16>, _> = list.split(',').map(str::parse).collect();
        let listed = listed.map_err(|_| format!("{text:?} is no list of statuses: 400,501"))?;
        Ok(Some(Self { listed, shown }))
    }

    /// Whether a value is shown in the line of a request with this status.
    pub(super) fn hold(&self, status: Option<u16>) -> bool {
        status.is_some_and(|status| self.listed.contains(&status)) == self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(format: &str) -> String {
        Format::parse(format).unwrap_err().to_string()
    }

    #[test]
    fn all_presets_are_formats() {
        for (name, text) in PRESETS {
            assert_eq!(Format::parse(name).unwrap(), Format::parse(text).unwrap(), "{name}");
        }
    }

    #[test]
    fn mistakes_are_pointed_at() {
        assert_eq!(
            error(r#"%h é %J "%r""#),
            "no field is called %J\n    %h é %J \"%r\"\n         ^"
        );
        for (format, problem, at) in [
            ("%h %", "the format ends inside a field", 3),
            ("%h %{Referer", "the { has no }", 3),
            ("%s %{}i", "%i needs a name", 3),
            ("%s %40x0s", "%x needs a name", 3),
            ("%s %4,,5s", "is no list of statuses", 3),
            ("%s %99999s", "is no list of statuses", 3),
            ("%h\n%s", "no control character", 2),
            (r"%h \n", "after \\", 3),
            ("%{%Y %Q}t", "no format of strftime(3)", 0),
            (r#"{"a":%U}"#, "needs quotes", 5),
            (r#"{"a":%s"#, "no JSON object", 0),
            ("combned", "no format of ours (common, combined, flupd, php-fpm, json)", 0),
            ("", "no format of ours", 0),
        ] {
            let FormatError { problem: got, at: where_, .. } = Format::parse(format).unwrap_err();
            assert!(got.contains(problem), "{format}: {got}");
            assert_eq!(where_, at, "{format}");
        }
    }

    #[test]
    fn a_value_knows_what_stands_around_it() {
        let places = |format: &str| -> Vec<Place> {
            let pieces = Format::parse(format).unwrap().pieces;
            pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Value(placed) => Some(placed.place),
                    Piece::Literal(_) => None,
                })
                .collect()
        };
        assert_eq!(
            places(r#"%h "%r" \"%U\" %q"#),
            [Place::Bare, Place::Quoted, Place::Quoted, Place::Bare]
        );
        assert_eq!(
            places(r#"{"s":%s,"m":"%m","r":"%m %U","q":"%q"}"#),
            [Place::Number, Place::String, Place::InString, Place::InString, Place::String]
        );
    }

    #[test]
    fn statuses_choose() {
        let hold = |list: &str, status| Statuses::parse(list).unwrap().unwrap().hold(status);
        assert!(hold("400,501", Some(501)) && !hold("400,501", Some(200)));
        assert!(!hold("!200", Some(200)) && hold("!200", Some(404)) && hold("!200", None));
    }
}
