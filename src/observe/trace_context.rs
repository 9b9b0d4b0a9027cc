//! The trace that a request belongs to, as `traceparent` says it (W3C Trace Context).
//!
//! ```text
//! 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//! version · trace · parent · flags
//! ```

use std::fmt;

use cgi::Params;

/// The param in which `traceparent` comes.
pub const TRACEPARENT: &[u8] = b"HTTP_TRACEPARENT";

/// The one in which `tracestate` comes.
pub const TRACESTATE: &[u8] = b"HTTP_TRACESTATE";

/// The flags that are known: sampled, and that the trace's id is random. What else is
/// set means nothing to us and is not passed on (section 3.2.2.5).
const KNOWN_FLAGS: u8 = SAMPLED | RANDOM;
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// The length of version 00, in bytes; a later version is no shorter.
const LENGTH: usize = 55;

/// The id of a trace. Not all of it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span. Not all of it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

/// A place in a trace: what a caller says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span of who calls.
    pub span: SpanId,
    /// Those that are known, as they travel.
    pub flags: u8,
}

impl TraceParent {
    /// Where a new trace begins.
    #[must_use]
    pub const fn root(trace: TraceId, span: SpanId, sampled: bool) -> Self {
        Self { trace, span, flags: RANDOM | sampled as u8 }
    }

    /// The same trace, in this span of it.
    #[must_use]
    pub const fn child(self, span: SpanId, sampled: bool) -> Self {
        Self { span, flags: self.flags & !SAMPLED | sampled as u8, ..self }
    }

    /// Whether who calls records the trace.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What a header says; `None` if it says nothing that can be used. Of versions that
    /// are not known yet the part that version 00 has is read (section 3.2.3).
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (known, rest) = header.split_at_checked(LENGTH)?;
        let [a, b, b'-', known @ ..] = known else { return None };
        let [version] = hex([*a, *b].as_slice())?;
        match (version, rest) {
            (0, [_, ..]) | (0xff, _) => return None,
            (_, [] | [b'-', ..]) => {}
            _ => return None,
        }
        let (trace, known) = known.split_at_checked(32)?;
        let (dash, known) = known.split_first()?;
        let (span, known) = known.split_at_checked(16)?;
        let (other_dash, flags) = known.split_first()?;
        if (*dash, *other_dash) != (b'-', b'-') {
            return None;
        }
        let [flags] = hex(flags)?;
        let (trace, span) = (TraceId(hex(trace)?), SpanId(hex(span)?));
        let is_one = trace.0 != [0; 16] && span.0 != [0; 8];
        is_one.then_some(Self { trace, span, flags: flags & KNOWN_FLAGS })
    }

    /// What the params of a request say.
    #[must_use]
    pub fn of(params: &Params) -> Option<Self> {
        Self::parse(params.get(TRACEPARENT)?)
    }
}

/// Lower-case digits, as many as the bytes need: others are forbidden.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    (pairs.len() == N).then_some(bytes)
}

/// As a header of version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn parse(text: &str) -> Option<String> {
        TraceParent::parse(text.as_bytes()).map(|parent| parent.to_string())
    }

    #[test]
    fn what_the_specification_allows_is_read() {
        for (version, flags, rest, kept) in [
            ("00", "01", "", "01"),
            ("00", "00", "", "00"),
            ("00", "03", "", "03"),
            // Unknown flags are not passed on.
            ("00", "ff", "", "03"),
            ("00", "09", "", "01"),
            // Later versions are read as far as they are known.
            ("01", "01", "", "01"),
            ("cc", "01", "-", "01"),
            ("fe", "00", "-what-the-future-will-be-like", "00"),
        ] {
            let text = format!("{version}-{TRACE}-{SPAN}-{flags}{rest}");
            assert_eq!(parse(&text), Some(format!("00-{TRACE}-{SPAN}-{kept}")), "{text}");
        }
    }

    #[test]
    fn what_it_forbids_is_nothing() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        let zeros = "0".repeat(32);
        let table = [
            String::new(),
            "00".into(),
            format!("{good}-"),
            format!("{good}-x"),
            format!("{good} "),
            format!(" {good}"),
            format!("{good}, {good}"),
            // The versions that are none.
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-001"),
            format!("0x-{TRACE}-{SPAN}-01"),
            // What follows in a later version is set off.
            format!("cc-{TRACE}-{SPAN}-01.what"),
            format!("cc-{TRACE}-{SPAN}-012"),
            // Ids of zeros.
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            // Digits: no capitals, no others, no fewer.
            good.to_uppercase(),
            good.replace('a', "A"),
            good.replace('a', "g"),
            good.replace('a', "."),
            good.replace('a', "+"),
            format!("00-{TRACE}-{SPAN}-0X"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{}-{SPAN}0-01", &TRACE[1..]),
            format!("00-{TRACE}0-{}-01", &SPAN[1..]),
            good.replace('-', "_"),
            format!("00-{TRACE}-{SPAN}_01"),
            good.replacen("00-", "00\0", 1),
        ];
        for text in table {
            assert_eq!(parse(&text), None, "{text}");
        }
        assert!(parse(&good).is_some());
        for cut in 0..good.len() {
            assert_eq!(parse(&good[..cut]), None, "{cut}");
        }
        assert_eq!(TraceParent::parse("00-\u{fc}".repeat(20).as_bytes()), None);
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let parent = TraceParent::parse(format!("00-{TRACE}-{SPAN}-03").as_bytes()).unwrap();
        let (span, hex) = (SpanId([0, 1, 2, 3, 4, 5, 6, 7]), "0001020304050607");
        assert!(parent.is_sampled());
        assert_eq!(parent.child(span, true).to_string(), format!("00-{TRACE}-{hex}-03"));
        assert_eq!(parent.child(span, false).to_string(), format!("00-{TRACE}-{hex}-02"));
        let root = TraceParent::root(parent.trace, span, true);
        assert_eq!(root.to_string(), format!("00-{TRACE}-{hex}-03"));
    }

    #[test]
    fn params_say_it() {
        let header = format!("00-{TRACE}-{SPAN}-01");
        let params = [(&b"A"[..], &b"1"[..]), (TRACEPARENT, header.as_bytes())];
        assert_eq!(TraceParent::of(&params.into_iter().collect()).unwrap().to_string(), header);
        assert_eq!(TraceParent::of(&Params::new()), None);
    }
}
