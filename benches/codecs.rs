//! What the codecs cost: a request of nginx in, an answer out. No I/O.

mod micro;

use std::hint::black_box;

use bytes::BytesMut;
use cgi::{ResponseHead, environ};
use divan::Bencher;
use fastcgi_server::{Capabilities, Limits, ProtocolStatus, Role, Roles};

const HEAD: &[u8] = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n";
const ANSWER: &[u8] =
    b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";

fn main() {
    divan::main();
}

/// All events of one request on a kept connection, with `body` bytes of STDIN. The
/// body is passed on where it lies, so its length hardly counts.
#[divan::bench(args = [0, 1024, 1024 * 1024])]
fn fastcgi_decode(bencher: Bencher<'_, '_>, body: usize) {
    use fastcgi_server::{Decoder, Event, Outcome, client};
    let mut input = BytesMut::new();
    client::begin(&mut input, 1, Role::Responder, true);
    client::params(&mut input, 1, &micro::nginx_params());
    client::stdin(&mut input, 1, &vec![b'x'; body]);
    client::stdin_end(&mut input, 1);
    let capabilities =
        Capabilities { max_conns: 64, max_reqs: 64, mpxs_conns: true, roles: Roles::RESPONDER };
    let mut decoder = Decoder::new(Limits::default(), capabilities);
    let mut owed = BytesMut::new();
    bencher.bench_local(|| {
        let mut rest = &input[..];
        while let Ok((consumed, Outcome::Event(event))) = decoder.decode(rest, &mut owed) {
            rest = &rest[consumed..];
            if let Event::StdinEnd { id } = event {
                decoder.finish(id);
            }
            black_box(event);
        }
    });
}

/// All events of one request.
#[divan::bench]
fn scgi_decode(bencher: Bencher<'_, '_>) {
    use scgi_server::{Decoder, Limits, Outcome, client};
    let mut input = BytesMut::new();
    client::request(&mut input, &micro::nginx_params(), 0);
    bencher.bench_local(|| {
        let mut decoder = Decoder::new(Limits::default());
        let mut rest = &input[..];
        while let Ok((consumed, Outcome::Event(event))) = decoder.decode(rest) {
            rest = &rest[consumed..];
            black_box(event);
        }
    });
}

/// From what nginx sends to what WSGI asks for.
#[divan::bench]
fn normalise(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(micro::nginx_params)
        .bench_local_values(|params| environ::normalise(black_box(params), None));
}

/// The head that an application's answer begins with.
#[divan::bench]
fn response_head() -> bool {
    matches!(ResponseHead::parse(black_box(HEAD)), Ok(Some(_)))
}

/// A small answer in one record, and its end.
#[divan::bench]
fn fastcgi_encode(bencher: Bencher<'_, '_>) {
    use fastcgi_server::encode;
    let mut out = BytesMut::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        encode::stdout(&mut out, 1, black_box(ANSWER));
        encode::stdout_end(&mut out, 1);
        encode::end_request(&mut out, 1, 0, ProtocolStatus::RequestComplete);
        black_box(out.len())
    });
}
