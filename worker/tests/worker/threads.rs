//! Several app threads.

use cgi::Params;
use flupd_channel::gateway::Body;

use crate::support::{Start, params, pythons};

#[test]
fn requests_run_side_by_side() {
    for python in pythons() {
        let mut worker = Start::app("side_by_side").threads(4).ready(python);
        for port in 0..4 {
            worker.send(port, &params("GET", "/together", 0), &Body::Memory(Vec::new()));
        }
        let names: Vec<String> =
            (0..4).map(|port| worker.receive(port).text().to_owned()).collect();
        assert_eq!(names, ["flupd-1", "flupd-2", "flupd-3", "flupd-4"], "{python}");
    }
}

#[test]
fn the_environ_says_so() {
    for python in pythons() {
        for (threads, multiprocess, flags) in
            [(1, false, "[False, False, False]"), (2, true, "[True, True, False]")]
        {
            let start = Start { multiprocess, ..Start::app("side_by_side").threads(threads) };
            assert_eq!(start.ready(python).get("/flags").text(), flags, "{python}");
        }
    }
}

#[test]
fn answers_do_not_cross() {
    for python in pythons() {
        let mut worker = Start::app("side_by_side").threads(4).ready(python);
        for round in 0..25 {
            for port in 0..4 {
                let number = (round * 4 + port).to_string();
                let mut sent: Params = params("POST", "/echo", number.len());
                sent.push(b"HTTP_X_NUMBER", number.as_bytes());
                worker.send(port, &sent, &Body::Memory(number.into_bytes()));
            }
            for port in 0..4 {
                let number = round * 4 + port;
                let answer = worker.receive(port);
                assert_eq!(answer.text(), format!("{number}:{number}"), "{python}");
            }
        }
        let (status, stdout, stderr) = worker.leave();
        assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""), "{python}");
    }
}
