//! Runs every stream of `protocols/corpus/fastcgi`: whole, byte by byte, and cut
//! in two at every place.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use fastcgi_server::{Capabilities, Decoder, Event, Limits, Outcome, Role, Roles, client};

use crate::script::{Script, Step, show, show_pair};

/// How the bytes of a script arrive.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    Bytes,
    /// The n-th send, in two parts.
    At(usize, usize),
}

#[test]
fn every_stream_means_the_same_however_it_is_cut() {
    for (path, script) in files() {
        let is_invalid = script.expected.iter().any(|line| line.starts_with('!'));
        assert_eq!(is_invalid, path.to_string_lossy().contains("invalid"), "{path:?}");
        for cut in cuts(&script) {
            assert_eq!(run(&script, cut), script.expected, "{path:?}, {cut:?}");
        }
    }
}

/// Every file of the corpus.
pub(crate) fn files() -> Vec<(PathBuf, Script)> {
    let mut files = Vec::new();
    for folder in ["valid", "invalid"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/fastcgi").join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let script = Script::read(&fs::read_to_string(&path).unwrap());
            files.push((path, script));
        }
    }
    assert!(files.len() >= 30, "only {} files found", files.len());
    files
}

/// Streams above 8 KiB are cut at every 61st place only.
fn cuts(script: &Script) -> Vec<Cut> {
    let mut cuts = vec![Cut::Whole, Cut::Bytes];
    for (index, step) in script.steps.iter().enumerate() {
        if let Step::Send(bytes) = step {
            let stride = if bytes.len() > 8192 { 61 } else { 1 };
            cuts.extend((1..bytes.len()).step_by(stride).map(|at| Cut::At(index, at)));
        }
    }
    cuts
}

fn run(script: &Script, cut: Cut) -> Vec<String> {
    let mut connection = Connection::new(script);
    for (index, step) in script.steps.iter().enumerate() {
        let sent = match step {
            Step::Finish(id) => {
                connection.decoder.finish(*id);
                continue;
            }
            Step::Send(bytes) => match cut {
                Cut::Bytes => bytes.chunks(1).collect(),
                Cut::At(at, place) if at == index => {
                    let (a, b) = bytes.split_at(place);
                    vec![a, b]
                }
                _ => vec![bytes.as_slice()],
            },
        };
        for part in sent {
            if let Err(error) = connection.take(part) {
                connection.say(format!("! {error}"));
                let again = connection.decoder.decode(b"", &mut BytesMut::new());
                assert_eq!(again.unwrap_err(), error, "an error is final");
                return connection.lines;
            }
        }
    }
    connection.end()
}

struct Connection {
    decoder: Decoder,
    owed: client::Decoder,
    lines: Vec<String>,
    /// A stream whose parts are being joined.
    body: Option<(String, Vec<u8>)>,
}

impl Connection {
    fn new(script: &Script) -> Self {
        let number = |name, default| {
            script.setting(name).map_or(default, |value| value.parse::<usize>().unwrap())
        };
        let limits = Limits {
            max_params: number("max_params", Limits::default().max_params),
            max_requests: number("max_requests", 128) as u16,
        };
        let capabilities = Capabilities {
            max_conns: 512,
            max_reqs: 1024,
            mpxs_conns: script.setting("mpxs_conns") != Some("no"),
            roles: if script.setting("roles") == Some("responder") {
                Roles::RESPONDER
            } else {
                Roles::ALL
            },
        };
        Self {
            decoder: Decoder::new(limits, capabilities),
            owed: client::Decoder::new(),
            lines: Vec::new(),
            body: None,
        }
    }

    fn take(&mut self, mut input: &[u8]) -> Result<(), fastcgi_server::Error> {
        loop {
            let mut owed = BytesMut::new();
            let result = self.decoder.decode(input, &mut owed);
            self.owe(&owed);
            let (consumed, outcome) = result?;
            input = &input[consumed..];
            match outcome {
                Outcome::NeedMore => {
                    assert!(input.is_empty(), "NeedMore leaves nothing");
                    return Ok(());
                }
                Outcome::Event(event) => self.event(event),
            }
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let keep = |keep_conn| if keep_conn { "keep_conn" } else { "close" };
        self.say(match event {
            Event::Begin { id, role, keep_conn } => {
                let role = match role {
                    Role::Responder => "responder",
                    Role::Authorizer => "authorizer",
                    Role::Filter => "filter",
                };
                format!("> begin {id} {role} {}", keep(keep_conn))
            }
            Event::Params { id, params } => {
                let pairs: String = params.iter().map(|(n, v)| show_pair(n, v)).collect();
                format!("> params {id}{pairs}")
            }
            Event::Stdin { id, bytes } => return self.part(format!("> stdin {id}"), bytes),
            Event::StdinEnd { id } => format!("> stdin_end {id}"),
            Event::Data { id, bytes } => return self.part(format!("> data {id}"), bytes),
            Event::DataEnd { id } => format!("> data_end {id}"),
            Event::Abort { id } => format!("> abort {id}"),
            Event::Refused { id, keep_conn, reason } => {
                format!("> refused {id} {}: {reason}", keep(keep_conn))
            }
            Event::UnknownRole { role } => format!("> unknown_role {role}"),
        });
    }

    fn owe(&mut self, mut bytes: &[u8]) {
        while let (consumed, client::Outcome::Event(event)) = self.owed.decode(bytes).unwrap() {
            let line = match event {
                client::Event::Values(values) => {
                    let pairs: String = values.iter().map(|(n, v)| show_pair(n, v)).collect();
                    format!("= values{pairs}")
                }
                client::Event::UnknownType { kind } => format!("= unknown_type {kind}"),
                client::Event::End { id, app_status, protocol_status } => {
                    format!("= end {id} {protocol_status:?} {app_status}")
                }
                other => panic!("the decoder owes no {other:?}"),
            };
            self.say(line);
            bytes = &bytes[consumed..];
        }
        assert!(self.owed.at_boundary(), "whole records are owed");
    }

    fn part(&mut self, stream: String, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "{stream} with nothing in it");
        match &mut self.body {
            Some((last, gathered)) if *last == stream => gathered.extend_from_slice(bytes),
            _ => {
                self.flush();
                self.body = Some((stream, bytes.to_vec()));
            }
        }
    }

    fn say(&mut self, line: String) {
        self.flush();
        self.lines.push(line);
    }

    fn flush(&mut self) {
        if let Some((stream, bytes)) = self.body.take() {
            self.lines.push(format!("{stream} {}", show(&bytes)));
        }
    }

    fn end(mut self) -> Vec<String> {
        let mut state = format!(". open={}", self.decoder.open_requests());
        let facts = [
            (self.decoder.is_idle(), " idle"),
            (self.decoder.is_receiving(), " receiving"),
            (self.decoder.wants_close(), " wants_close"),
        ];
        for (_, word) in facts.into_iter().filter(|(holds, _)| *holds) {
            state.push_str(word);
        }
        self.say(state);
        self.lines
    }
}
