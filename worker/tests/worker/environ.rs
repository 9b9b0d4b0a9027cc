//! The environ.

use std::collections::BTreeMap;

use flupd_channel::gateway::Body;

use crate::support::{Start, params, pythons};

type Shown = (String, BTreeMap<String, (String, String)>);

#[test]
fn values_are_native_strings_and_the_wsgi_keys_are_there() {
    for python in pythons() {
        let mut worker = Start::app("environs").ready(python);
        // Twice, and once in another order: the guessed keys must not show.
        for round in 0..3 {
            let mut sent = params("GET", "/environ", 0);
            let more: [(&[u8], &[u8]); 5] = [
                (b"HTTP_X_LATIN", b"caf\xc3\xa9 \xff"),
                (b"HTTP_X_EMPTY", b""),
                (b"HTTPS", b"on"),
                (b"wsgi.multithread", b"forged"),
                (b"HTTP_X_ODD_\xe9", b"1"),
            ];
            for place in 0..5 {
                let (name, value) = more[(place + round) % 5];
                sent.push(name, value);
            }
            worker.send(0, &sent, &Body::Memory(Vec::new()));
            let answer = worker.receive(0);
            let (kind, shown): Shown = serde_json::from_str(answer.text()).unwrap();
            assert_eq!(kind, "dict");
            let value = |key: &str| {
                let (kind, value) = shown.get(key).unwrap_or_else(|| panic!("{python}: {key}"));
                (kind.as_str(), value.as_str())
            };
            for (key, expected) in [
                ("REQUEST_METHOD", ("str", "'GET'")),
                ("SCRIPT_NAME", ("str", "''")),
                ("PATH_INFO", ("str", "'/environ'")),
                ("HTTP_X_LATIN", ("str", "'cafÃ© ÿ'")),
                ("HTTP_X_EMPTY", ("str", "''")),
                ("HTTP_X_ODD_é", ("str", "'1'")),
                ("wsgi.version", ("tuple", "(1, 0)")),
                ("wsgi.url_scheme", ("str", "'https'")),
                ("wsgi.multithread", ("bool", "False")),
                ("wsgi.multiprocess", ("bool", "False")),
                ("wsgi.run_once", ("bool", "False")),
                ("wsgi.input_terminated", ("bool", "True")),
                ("flupd.role", ("str", "'responder'")),
                ("wsgi.file_wrapper", ("type", "<class 'flupd_worker.FileWrapper'>")),
            ] {
                assert_eq!(value(key), expected, "{python}: {key}");
            }
            assert_eq!(value("wsgi.input").0, "Input");
            assert_eq!(value("wsgi.errors").0, "Errors");
            assert_eq!(value("flupd.cancelled").0, "Cancelled");
            assert_eq!(shown.len(), sent.len() - 1 + 11, "{python}: {shown:?}");
        }
        let (_, shown): Shown = serde_json::from_str(worker.get("/environ").text()).unwrap();
        assert_eq!(shown["wsgi.url_scheme"].1, "'http'");
        assert!(!shown.contains_key("HTTP_X_EMPTY"), "nothing is left of the last request");
    }
}

#[test]
fn very_many_and_very_long_params_arrive() {
    for python in pythons() {
        let mut worker = Start::app("environs").ready(python);
        for _ in 0..2 {
            let mut sent = params("GET", "/environ", 0);
            for number in 0..2000 {
                sent.push(format!("HTTP_X_{number}").as_bytes(), number.to_string().as_bytes());
            }
            let name = format!("HTTP_{}", "N".repeat(3000));
            sent.push(name.as_bytes(), &[b'v'; 100_000]);
            worker.send(0, &sent, &Body::Memory(Vec::new()));
            let answer = worker.receive(0);
            let (_, shown): Shown = serde_json::from_str(answer.text()).unwrap();
            for number in [0, 511, 512, 1999] {
                assert_eq!(shown[&format!("HTTP_X_{number}")].1, format!("'{number}'"));
            }
            assert_eq!(shown[&name].1.len(), 100_002);
        }
    }
}

/// Requests that name the same params share the memory of their environs.
#[test]
fn each_environ_is_that_of_its_request_alone() {
    for python in pythons() {
        let mut worker = Start::app("environs").ready(python);
        for (pairs, expected) in [
            (&[("HTTP_X_A", "1"), ("HTTP_X_B", "2")][..], "[('HTTP_X_A', '1'), ('HTTP_X_B', '2')]"),
            (&[("HTTP_X_A", "1"), ("HTTP_X_B", "2")], "[('HTTP_X_A', '1'), ('HTTP_X_B', '2')]"),
            (&[("HTTP_X_A", ""), ("HTTP_X_B", "22")], "[('HTTP_X_A', ''), ('HTTP_X_B', '22')]"),
            (&[("HTTP_X_A", "1"), ("HTTP_X_C", "2")], "[('HTTP_X_A', '1'), ('HTTP_X_C', '2')]"),
            (&[("HTTP_X_B", "1"), ("HTTP_X_A", "2")], "[('HTTP_X_A', '2'), ('HTTP_X_B', '1')]"),
            (&[("HTTP_X_A", "x"), ("HTTP_X_A", "y")], "[('HTTP_X_A', 'y')]"),
            (&[("HTTP_X_A", "z"), ("HTTP_X_A", "y")], "[('HTTP_X_A', 'y')]"),
            (&[("HTTP_X_A", "y"), ("HTTP_X_A", "")], "[('HTTP_X_A', '')]"),
            (&[("HTTP_X_AB", "")], "[('HTTP_X_AB', '')]"),
            (&[("HTTP_X_A", "Bclear")], "[('HTTP_X_A', 'Bclear')]"),
            (&[("HTTP_X_A", "B")], "[('HTTP_X_A', 'B')]"),
            (&[], "[]"),
            (&[("HTTP_X_A", "1"), ("HTTP_X_B", "2")], "[('HTTP_X_A', '1'), ('HTTP_X_B', '2')]"),
        ] {
            let mut sent = params("GET", "/spoil", 0);
            for (name, value) in pairs {
                sent.push(name.as_bytes(), value.as_bytes());
            }
            worker.send(0, &sent, &Body::Memory(Vec::new()));
            assert_eq!(worker.receive(0).text(), expected, "{python}: {pairs:?}");
        }
        // More kinds of clients than are remembered, and all of them again.
        for round in 0..60 {
            let name = format!("HTTP_X_{}", "N".repeat(round % 20));
            let mut sent = params("GET", "/spoil", 0);
            sent.push(name.as_bytes(), round.to_string().as_bytes());
            worker.send(0, &sent, &Body::Memory(Vec::new()));
            assert_eq!(worker.receive(0).text(), format!("[('{name}', '{round}')]"), "{python}");
        }
        for scheme in ["http", "https", "https", "http"] {
            let mut sent = params("GET", "/environ", 0);
            sent.push(b"REQUEST_SCHEME", scheme.as_bytes());
            worker.send(0, &sent, &Body::Memory(Vec::new()));
            let answer = worker.receive(0);
            let (_, shown): Shown = serde_json::from_str(answer.text()).unwrap();
            assert_eq!(shown["wsgi.url_scheme"].1, format!("'{scheme}'"), "{python}");
        }
    }
}

/// What nobody has kept is given to the next request, so it must be seen who has.
#[test]
fn what_an_app_keeps_is_not_given_to_the_next_request() {
    for python in pythons() {
        for (which, said, path) in [
            ("0", "[]", "['0']"),
            ("1", "['the request has ended']", "[]"),
            ("2", "['the request has ended']", "[]"),
            ("3", "[]", "[]"),
        ] {
            let mut worker = Start::app("environs").ready(python);
            for round in 1..=2 {
                let mut sent = params("GET", "/keep", 0);
                sent.push(b"HTTP_X_WHICH", which.as_bytes());
                worker.send(0, &sent, &Body::Memory(Vec::new()));
                assert_eq!(worker.receive(0).text(), "kept");
                let sent = params("GET", "/kept_ones", 0);
                worker.send(0, &sent, &Body::Memory(Vec::new()));
                let (said, path) = match round {
                    1 => (said.to_owned(), path.to_owned()),
                    _ => (twice(said), twice(path)),
                };
                let expected = format!("({round}, 0, {said}, {path})");
                assert_eq!(worker.receive(0).text(), expected, "{python}: {which}");
            }
        }
    }
}

/// A list of one item, as Python shows it, with that item twice.
fn twice(list: &str) -> String {
    let item = list.trim_matches(['[', ']']);
    if item.is_empty() { list.to_owned() } else { format!("[{item}, {item}]") }
}
