//! The web server's end, for debugging clients, load generators and tests. The
//! answer is a bare CGI response; see `cgi::ResponseHead`.

use bytes::{BufMut, BytesMut};
use cgi::Params;

/// Appends the header netstring of a request with a body of `body_len` bytes,
/// which the driver sends right after.
///
/// CONTENT_LENGTH and SCGI are put in front and those of `params` are left out,
/// as is a pair that the format cannot carry: an empty name, or a NUL in either.
pub fn request(out: &mut BytesMut, params: &Params, body_len: u64) {
    let mut block = BytesMut::with_capacity(params.bytes().len() + 2 * params.len() + 48);
    let mut pair = |name: &[u8], value: &[u8]| {
        block.put_slice(name);
        block.put_u8(0);
        block.put_slice(value);
        block.put_u8(0);
    };
    pair(b"CONTENT_LENGTH", body_len.to_string().as_bytes());
    pair(b"SCGI", b"1");
    for (name, value) in params {
        let ours = name == b"CONTENT_LENGTH" || name == b"SCGI";
        if !ours && !name.is_empty() && !name.contains(&0) && !value.contains(&0) {
            pair(name, value);
        }
    }
    out.put_slice(block.len().to_string().as_bytes());
    out.put_u8(b':');
    out.put_slice(&block);
    out.put_u8(b',');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let pairs: [(&[u8], &[u8]); 3] = [
            (b"CONTENT_LENGTH", b"99"),
            (b"REQUEST_METHOD", b"POST"),
            (b"REQUEST_URI", b"/deepthought"),
        ];
        let mut out = BytesMut::new();
        request(&mut out, &pairs.into_iter().collect(), 27);
        assert_eq!(
            &out[..],
            b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,"
        );
    }
}
