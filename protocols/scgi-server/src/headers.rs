//! The header block, once it has arrived whole.

use cgi::Params;
use memchr::memchr;

use crate::Error;

/// Reads the block: its pairs, and the length of the body in bytes. The buffer
/// becomes the params; no pair is copied.
pub(crate) fn decode(block: Vec<u8>) -> Result<(Params, u64), Error> {
    // The specification wants CONTENT_LENGTH first, "so that it can be found
    // without parsing the rest".
    let rest = block.strip_prefix(b"CONTENT_LENGTH\0").ok_or(Error::ContentLengthFirst)?;
    let end = memchr(0, rest).ok_or(Error::Unterminated)?;
    let content_length = number(rest.get(..end).unwrap_or_default())?;
    if block.last() != Some(&0) {
        return Err(Error::Unterminated);
    }

    let mut params = Params::over(block);
    params.reserve(32);
    let mut at = 0;
    while at < params.bytes().len() {
        let name = at..until_nul(params.bytes(), at).ok_or(Error::Unterminated)?;
        if name.is_empty() {
            return Err(Error::EmptyName { index: params.len() });
        }
        let value_at = name.end + 1;
        let value = value_at..until_nul(params.bytes(), value_at).ok_or(Error::ValueMissing)?;
        at = value.end + 1;
        // The ranges lie inside the block, and no limit reaches 4 GiB.
        let _ = params.push_span(name, value);
    }
    if params.get(b"SCGI") != Some(b"1") {
        return Err(Error::Version);
    }
    refuse_duplicates(&params)?;
    Ok((params, content_length))
}

fn until_nul(block: &[u8], from: usize) -> Option<usize> {
    memchr(0, block.get(from..)?).map(|len| from + len)
}

fn number(value: &[u8]) -> Result<u64, Error> {
    let digit = |n: u64, &b: &u8| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    };
    (!value.is_empty())
        .then(|| value.iter().try_fold(0, digit))
        .flatten()
        .ok_or_else(|| Error::ContentLength { value: excerpt(value) })
}

/// "Duplicate names are not allowed in the headers." HTTP_* names are let
/// through all the same: nginx before 1.23 sends a repeated request header as a
/// repeated name.
fn refuse_duplicates(params: &Params) -> Result<(), Error> {
    let mut names: Vec<_> =
        params.iter().map(|(name, _)| name).filter(|name| !name.starts_with(b"HTTP_")).collect();
    // Sorted, not compared each with each: the block may hold 100,000 names.
    names.sort_unstable();
    let twice = names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b);
    twice.map_or(Ok(()), |(name, _)| Err(Error::Duplicate { name: excerpt(name) }))
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..32).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(block: &[u8]) -> Error {
        decode(block.to_vec()).unwrap_err()
    }

    #[test]
    fn the_example_of_the_specification() {
        let block =
            b"CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0";
        assert_eq!(block.len(), 70);
        let (params, content_length) = decode(block.to_vec()).unwrap();
        assert_eq!(content_length, 27);
        let pairs: Vec<_> = params.iter().collect();
        assert_eq!(
            pairs,
            [
                (&b"CONTENT_LENGTH"[..], &b"27"[..]),
                (b"SCGI", b"1"),
                (b"REQUEST_METHOD", b"POST"),
                (b"REQUEST_URI", b"/deepthought"),
            ]
        );
    }

    #[test]
    fn each_rule_has_its_error() {
        assert_eq!(error(b""), Error::ContentLengthFirst);
        assert_eq!(error(b"SCGI\x001\0CONTENT_LENGTH\x000\0"), Error::ContentLengthFirst);
        assert_eq!(error(b"CONTENT_LENGTH\x000\0SCGI\x001"), Error::Unterminated);
        assert_eq!(error(b"CONTENT_LENGTH\x000\0SCGI\0"), Error::ValueMissing);
        assert_eq!(error(b"CONTENT_LENGTH\x000\0\0x\0SCGI\x001\0"), Error::EmptyName { index: 1 });
        assert_eq!(error(b"CONTENT_LENGTH\x000\0"), Error::Version);
        assert_eq!(error(b"CONTENT_LENGTH\x000\0SCGI\x002\0"), Error::Version);
        let duplicate = Error::Duplicate { name: "A".into() };
        assert_eq!(error(b"CONTENT_LENGTH\x000\0SCGI\x001\0A\0x\0B\0x\0A\0x\0"), duplicate);
        for value in ["", "-1", "+1", "1 ", "0x1", "18446744073709551616"] {
            let block = format!("CONTENT_LENGTH\0{value}\0SCGI\x001\0");
            assert_eq!(error(block.as_bytes()), Error::ContentLength { value: value.into() });
        }
    }

    #[test]
    fn a_repeated_request_header_is_taken() {
        let block = b"CONTENT_LENGTH\x000\0SCGI\x001\0HTTP_X\0a\0HTTP_X\0b\0";
        assert_eq!(decode(block.to_vec()).unwrap().0.len(), 4);
    }
}
