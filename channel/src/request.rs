//! How params travel: the number of pairs, all their lengths, then the bytes.

use cgi::Params;

use crate::ChannelError;

/// The encoded length of params in bytes.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) fn encoded_length(params: &Params) -> usize {
    4 + params.len() * 8
        + params.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

/// Appends the encoded params.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) fn encode(params: &Params, out: &mut Vec<u8>) {
    // Codecs bound params to far below 4 GiB.
    let word = |n: usize| (n as u32).to_le_bytes();
    out.extend_from_slice(&word(params.len()));
    for (name, value) in params {
        out.extend_from_slice(&word(name.len()));
        out.extend_from_slice(&word(value.len()));
    }
    for (name, value) in params {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
}

/// Reads encoded params; the buffer becomes theirs.
///
/// # Errors
/// [`ChannelError::Broken`] when they end early.
pub(crate) fn decode(encoded: Vec<u8>) -> Result<Params, ChannelError> {
    const SHORT: ChannelError = ChannelError::Broken("a request's params end early");
    let mut params = Params::over(encoded);
    let (count, rest) = params.bytes().split_first_chunk::<4>().ok_or(SHORT)?;
    let count = u32::from_le_bytes(*count) as usize;
    let index = count.checked_mul(8).filter(|&length| length <= rest.len()).ok_or(SHORT)?;
    let mut at = 4 + index;
    params.reserve(count);
    for pair in 0..count {
        let mut lengths = [0; 8];
        lengths.copy_from_slice(&params.bytes()[4 + pair * 8..12 + pair * 8]);
        let [a, b, c, d, e, f, g, h] = lengths;
        let name = at + u32::from_le_bytes([a, b, c, d]) as usize;
        let value = name + u32::from_le_bytes([e, f, g, h]) as usize;
        params.push_span(at..name, name..value).map_err(|_| SHORT)?;
        at = value;
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_survive_the_way() {
        let params: Params =
            [(&b"A"[..], &b"1"[..]), (b"EMPTY", b""), (b"X", b"\xff\x00")].into_iter().collect();
        let mut encoded = Vec::new();
        encode(&params, &mut encoded);
        assert_eq!(encoded.len(), encoded_length(&params));
        let back = decode(encoded.clone()).unwrap();
        assert_eq!(back.iter().collect::<Vec<_>>(), params.iter().collect::<Vec<_>>());
        for cut in 0..encoded.len() {
            assert!(decode(encoded[..cut].to_vec()).is_err(), "{cut}");
        }
    }
}
