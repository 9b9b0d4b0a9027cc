//! What one end encodes, the other end decodes, however the bytes are cut.

use bytes::BytesMut;
use cgi::Params;
use fastcgi_server::{
    Capabilities, Decoder, Event, Limits, Outcome, ProtocolStatus, Role, Roles, client, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes of many sizes: mostly short, sometimes past one record.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..300),
        1 => (any::<u8>(), 65_520..131_100usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn params() -> impl Strategy<Value = Params> {
    vec((vec(any::<u8>(), 0..140), content()), 0..8)
        .prop_map(|pairs| pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect())
}

/// Cuts the bytes into parts of these lengths, again and again.
fn cut<'b>(mut bytes: &'b [u8], lengths: &[usize]) -> Vec<&'b [u8]> {
    let mut parts = Vec::new();
    for &length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (part, rest) = bytes.split_at(length.min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts
}

proptest! {
    #[test]
    fn a_request_arrives_as_it_was_sent(
        id in 1..=u16::MAX,
        keep_conn: bool,
        sent in params(),
        body in content(),
        lengths in vec(1..5000usize, 1..20),
    ) {
        let mut wire = BytesMut::new();
        client::begin(&mut wire, id, Role::Filter, keep_conn);
        client::params(&mut wire, id, &sent);
        client::stdin(&mut wire, id, &body);
        client::stdin_end(&mut wire, id);
        client::data(&mut wire, id, &body);
        client::data_end(&mut wire, id);
        client::abort(&mut wire, id);

        let limits = Limits { max_params: 8 << 20, ..Limits::default() };
        let capabilities =
            Capabilities { max_conns: 1, max_reqs: 1, mpxs_conns: false, roles: Roles::ALL };
        let mut decoder = Decoder::new(limits, capabilities);
        let (mut stdin, mut data, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut owed = BytesMut::new();
        for mut part in cut(&wire, &lengths) {
            while let (n, Outcome::Event(event)) = decoder.decode(part, &mut owed).unwrap() {
                part = &part[n..];
                match event {
                    Event::Stdin { bytes, .. } => stdin.extend_from_slice(bytes),
                    Event::Data { bytes, .. } => data.extend_from_slice(bytes),
                    Event::Begin { id, role, keep_conn } => {
                        others.push(Event::Begin { id, role, keep_conn });
                    }
                    Event::Params { id, params } => others.push(Event::Params { id, params }),
                    Event::StdinEnd { id } => others.push(Event::StdinEnd { id }),
                    Event::DataEnd { id } => others.push(Event::DataEnd { id }),
                    Event::Abort { id } => others.push(Event::Abort { id }),
                    refused @ (Event::Refused { .. } | Event::UnknownRole { .. }) => {
                        panic!("{refused:?}")
                    }
                }
            }
        }
        prop_assert_eq!(others, [
            Event::Begin { id, role: Role::Filter, keep_conn },
            Event::Params { id, params: sent },
            Event::StdinEnd { id },
            Event::DataEnd { id },
            Event::Abort { id },
        ]);
        prop_assert_eq!(&stdin, &body);
        prop_assert_eq!(&data, &body);
        prop_assert!(owed.is_empty());
        decoder.finish(id);
        prop_assert!(decoder.is_idle());
    }

    #[test]
    fn a_response_arrives_as_it_was_sent(
        id in 1..=u16::MAX,
        app_status: u32,
        body in content(),
        errors in content(),
        lengths in vec(1..5000usize, 1..20),
    ) {
        let mut wire = BytesMut::new();
        encode::stdout(&mut wire, id, &body);
        encode::stderr(&mut wire, id, &errors);
        encode::stderr_end(&mut wire, id);
        encode::stdout_end(&mut wire, id);
        encode::end_request(&mut wire, id, app_status, ProtocolStatus::RequestComplete);

        let mut decoder = client::Decoder::new();
        let (mut stdout, mut stderr, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for mut part in cut(&wire, &lengths) {
            while let (n, client::Outcome::Event(event)) = decoder.decode(part).unwrap() {
                part = &part[n..];
                match event {
                    client::Event::Stdout { bytes, .. } => stdout.extend_from_slice(bytes),
                    client::Event::Stderr { bytes, .. } => stderr.extend_from_slice(bytes),
                    client::Event::End { id, app_status, protocol_status } => {
                        ends.push((id, app_status, protocol_status));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        prop_assert_eq!(stdout, body);
        prop_assert_eq!(stderr, errors);
        prop_assert_eq!(ends, [(id, app_status, ProtocolStatus::RequestComplete)]);
        prop_assert!(decoder.at_boundary());
    }
}

/// The promise of `Limits::default`: 1 MiB of params is taken, one byte more is not.
#[test]
fn one_mebibyte_of_params_is_taken() {
    for (extra, taken) in [(0, true), (1, false)] {
        // One pair: a name length of 1 byte, a value length of 4, a name of 1.
        let value = vec![b'v'; (1 << 20) - 6 + extra];
        let mut wire = BytesMut::new();
        client::begin(&mut wire, 1, Role::Responder, false);
        client::params(&mut wire, 1, &[(&b"N"[..], &value[..])].into_iter().collect());

        let capabilities =
            Capabilities { max_conns: 1, max_reqs: 1, mpxs_conns: true, roles: Roles::RESPONDER };
        let mut decoder = Decoder::new(Limits::default(), capabilities);
        let mut owed = BytesMut::new();
        let (begun, _) = decoder.decode(&wire, &mut owed).unwrap();
        match decoder.decode(&wire[begun..], &mut owed).unwrap().1 {
            Outcome::Event(Event::Params { params, .. }) => {
                assert!(taken);
                assert_eq!(params.get(b"N"), Some(&value[..]));
            }
            Outcome::Event(Event::Refused { .. }) => assert!(!taken),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn values_and_unknown_types_go_round() {
    let mut wire = BytesMut::new();
    client::get_values(&mut wire, &[b"FCGI_MPXS_CONNS", b"FCGI_MAX_CONNS"]);
    wire.extend_from_slice(&[1, 99, 0, 0, 0, 0, 0, 0]);
    let capabilities =
        Capabilities { max_conns: 7, max_reqs: 9, mpxs_conns: false, roles: Roles::RESPONDER };
    let mut owed = BytesMut::new();
    let outcome = Decoder::new(Limits::default(), capabilities).decode(&wire, &mut owed).unwrap();
    assert_eq!(outcome, (wire.len(), Outcome::NeedMore));

    let mut decoder = client::Decoder::new();
    let (n, outcome) = decoder.decode(&owed).unwrap();
    let values = [(&b"FCGI_MAX_CONNS"[..], &b"7"[..]), (b"FCGI_MPXS_CONNS", b"0")];
    let values = client::Event::Values(values.into_iter().collect());
    assert_eq!(outcome, client::Outcome::Event(values));
    let outcome = decoder.decode(&owed[n..]).unwrap().1;
    assert_eq!(outcome, client::Outcome::Event(client::Event::UnknownType { kind: 99 }));
}
