//! Section 3.4: name/value pairs, each length in one byte or four.

use bytes::{BufMut, BytesMut};
use cgi::Params;

/// What is wrong with a block of name/value pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The block ends inside a length.
    #[error("the block ends inside the lengths of the pair at byte {at}")]
    LengthCut {
        /// Where the pair begins, in bytes from the start of the block.
        at: usize,
    },
    /// A name and value reach past the end of the block.
    #[error("the pair at byte {at} needs {need} bytes, only {have} are left")]
    PairCut {
        /// Where the pair begins, in bytes from the start of the block.
        at: usize,
        /// The sum of both lengths.
        need: u64,
        /// The bytes left after the lengths.
        have: usize,
    },
}

/// Reads a whole block. The buffer becomes the params; no pair is copied.
pub(crate) fn decode(block: Vec<u8>) -> Result<Params, Malformed> {
    // Web servers' pairs take 30 bytes and more: one allocation does for them.
    let pairs = block.len() / 24 + 8;
    let mut params = Params::over(block);
    params.reserve(pairs);
    let mut at = 0;
    while let Some(rest) = params.bytes().get(at..).filter(|rest| !rest.is_empty()) {
        let ((name, value), rest) = lengths(rest).ok_or(Malformed::LengthCut { at })?;
        let have = rest.len();
        // Two lengths below 2^31: their sum is exact in 64 bits.
        let need = u64::from(name) + u64::from(value);
        let name_at = params.bytes().len() - have;
        let pair = params.push_adjacent(name_at, name, value);
        at = pair.map_err(|_| Malformed::PairCut { at, need, have })?;
    }
    Ok(params)
}

/// The two lengths in front of a pair, and what follows them.
#[inline]
fn lengths(block: &[u8]) -> Option<((u32, u32), &[u8])> {
    match block {
        &[name @ ..0x80, value @ ..0x80, ref rest @ ..] => {
            Some(((u32::from(name), u32::from(value)), rest))
        }
        mut rest => {
            let lengths = (length(&mut rest)?, length(&mut rest)?);
            Some((lengths, rest))
        }
    }
}

/// One length, below 2^31.
fn length(input: &mut &[u8]) -> Option<u32> {
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        *input = rest;
        return Some(u32::from(first));
    }
    let (&long, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(u32::from_be_bytes(long) & 0x7fff_ffff)
}

/// Appends one pair. One that cannot be encoded (2 GiB or more) is left out.
pub(crate) fn encode(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    const LONGEST: usize = 0x7fff_ffff;
    if name.len() > LONGEST || value.len() > LONGEST {
        return;
    }
    out.reserve(8 + name.len() + value.len());
    for len in [name.len(), value.len()] {
        if len < 0x80 {
            out.put_u8(len as u8);
        } else {
            out.put_u32(len as u32 | 0x8000_0000);
        }
    }
    out.put_slice(name);
    out.put_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_lengths_mix() {
        let long = vec![b'x'; 128];
        let mut block = BytesMut::new();
        for (name, value) in [(&b"A"[..], &b""[..]), (&long, b"v"), (b"", &long), (b"B", b"2")] {
            encode(&mut block, name, value);
        }
        assert_eq!(&block[..8], b"\x01\0A\x80\0\0\x80\x01");
        let params = decode(block.to_vec()).unwrap();
        let pairs: Vec<_> = params.iter().collect();
        assert_eq!(
            pairs,
            [(&b"A"[..], &b""[..]), (&long[..], b"v"), (b"", &long[..]), (b"B", b"2")]
        );
    }

    #[test]
    fn a_short_length_may_be_sent_in_four_bytes() {
        let params = decode(b"\x80\0\0\x01\x80\0\0\x02Aok".to_vec()).unwrap();
        assert_eq!(params.get(b"A"), Some(&b"ok"[..]));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let cut = |at| Err(Malformed::LengthCut { at });
        let pair = |at, need, have| Err(Malformed::PairCut { at, need, have });
        assert_eq!(decode(b"\x01".to_vec()), cut(0));
        assert_eq!(decode(b"\x01\x01AB\x01\x80\0\0".to_vec()), cut(4));
        assert_eq!(decode(b"\x01\x02AB".to_vec()), pair(0, 3, 2));
        // CVE-2025-23016: the sum of the lengths overflows 32 bits.
        assert_eq!(decode(b"\xff\xff\xff\xff\xff\xff\xff\xffA".to_vec()), pair(0, 0xffff_fffe, 1));
        assert!(decode(Vec::new()).unwrap().is_empty());
    }
}
