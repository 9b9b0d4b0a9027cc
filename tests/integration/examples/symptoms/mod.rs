//! The READMEs' tables "When something does not work": each row is provoked with the
//! real web server, and must say what the client sees and what the log says.

mod apache;
mod caddy;
mod h2o;
mod haproxy;
mod lighttpd;
mod nginx;

use std::fs;
use std::io::{ErrorKind, Read};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::table;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::front::{Site, WebServer};
use crate::harness::http::{Request, Response};
use crate::harness::{app, source, wait};

/// A row's telling words, and what makes it come true.
type Case = (&'static str, fn(&Row));

/// Provokes all rows of a folder's table, side by side. Those of `by_hand` were seen
/// without a test.
fn provoke(folder: &'static str, cases: &[Case], by_hand: &[&str]) {
    let readme = fs::read_to_string(source(folder).join("README.md")).unwrap();
    let rows = table::rows(&readme, "## When something does not work");
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let words = cases.iter().map(|(words, _)| words).chain(by_hand);
        let named = words.filter(|words| row.join("|").contains(**words)).count();
        assert_eq!(named, 1, "{folder}/README.md: {row:?}");
    }
    assert_eq!(rows.len(), cases.len() + by_hand.len(), "{folder}/README.md");
    thread::scope(|scope| {
        for (words, case) in cases {
            let cells = rows.iter().find(|row| row.join("|").contains(words)).unwrap();
            let row = Row { folder, cells: cells.clone() };
            scope.spawn(move || case(&row));
        }
    });
}

/// A row: what the client sees, what the log says, the cause, the fix.
struct Row {
    folder: &'static str,
    cells: Vec<String>,
}

impl Row {
    /// The folder's example for the whole site.
    fn example(&self) -> Example {
        let ending = match self.folder {
            "haproxy-examples" => "cfg",
            "caddy-examples" => "caddyfile",
            _ => "conf",
        };
        Example::open(&format!("{}/fastcgi.{ending}", self.folder))
    }

    /// What happened is what the row says.
    fn says(&self, answer: &Response, web: &WebServer) {
        let status = answer.status.to_string();
        assert!(self.cells[0].contains(&status), "{status}, not {}", self.cells[0]);
        self.says_of_the_log(web);
    }

    /// The log has what is quoted, a quotation a line; or it has no complaint.
    fn says_of_the_log(&self, web: &WebServer) {
        let said = &self.cells[1];
        if matches!(&**said, "nothing" | "") {
            let is_usual = |line: &str| {
                ["notice]", "server started", "\"level\":\"info\"", "\"level\":\"warn\"", " 200 "]
                    .iter()
                    .any(|usual| line.contains(usual))
            };
            let log = web.error_log();
            let complaint = log.lines().find(|line| !is_usual(line) && line.contains("error"));
            assert_eq!(complaint, None, "{:?}", self.cells);
            return;
        }
        let quoted: Vec<_> = said.split('`').skip(1).step_by(2).collect();
        assert!(!quoted.is_empty(), "{said}");
        for words in quoted {
            wait::until(&format!("the log says {words}"), || {
                web.error_log().lines().any(|line| contains(line, words))
            });
        }
    }
}

/// Whether the line has these words; `…` stands for any others.
fn contains(mut line: &str, words: &str) -> bool {
    words.split('…').map(str::trim).all(|part| match line.split_once(part) {
        Some((_, rest)) => {
            line = rest;
            true
        }
        None => false,
    })
}

fn serve(name: &str) -> Serve {
    Serve::app(&app(name))
}

/// flupd has been stopped.
fn is_stopped(row: &Row) {
    let mut site = row.example().in_front_of(serve("answers.py"));
    site.flupd.signal(Signal::TERM);
    site.flupd.wait();
    row.says(&site.get("/hello"), &site.web);
}

/// One request runs, one waits, and there is no place for more.
fn is_full(row: &Row) {
    let serve = serve("waiting.py").args(["--threads", "1", "--queue", "1"]);
    let site = &row.example().in_front_of(serve);
    let gate = &site.flupd.file("gate");
    let target = &format!("/hold?gate={}", gate.display());
    thread::scope(|scope| {
        // Up to eight that come at once may stand behind each other before it is known
        // that the first one takes long; none of those is refused any more.
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(move || site.get(target))).collect();
        wait::until("some are refused", || clients.iter().any(|client| client.is_finished()));
        fs::write(gate, "").unwrap();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        let (served, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
        assert!(!served.is_empty());
        for answer in refused {
            assert!(answer.header("Retry-After").is_some());
            row.says(&answer, &site.web);
        }
    });
}

/// The app says nothing for longer than the web server waits.
fn is_silent(row: &Row, example: Example) {
    let site = example.in_front_of(serve("waiting.py"));
    let gate = site.flupd.file("gate");
    let answer = site.get(&format!("/hold?gate={}", gate.display()));
    fs::write(gate, "").unwrap();
    row.says(&answer, &site.web);
}

/// An upload of 5000 bytes is too large.
fn is_too_large(row: &Row, example: Example) {
    let site = example.in_front_of(serve("echo.py"));
    assert_eq!(site.send(&Request::post("/", "few")).status, 200);
    row.says(&site.send(&Request::post("/", vec![b'x'; 5000])), &site.web);
}

/// The mount point is not known.
fn is_mounted_unknown(row: &Row, example: &str) {
    let serve = serve("echo.py");
    let example = Example::open(example).with(" --script-name /shop", "");
    let has_files = example.text().contains("/srv/mysite");
    let example = if has_files { example.site(serve.dir()) } else { example };
    let site = example.in_front_of(serve);
    assert_eq!(site.get("/shop/cart").json()["environ"]["SCRIPT_NAME"], "");
    row.says_of_the_log(&site.web);
}

/// The first part of an answer reaches the client only with the last.
fn is_collected(row: &Row, example: Example) {
    let text = fs::read_to_string(app("waiting.py")).unwrap();
    let serve = Serve::app("quiet.py");
    fs::write(serve.dir().join("quiet.py"), text.replace(", (\"X-Accel-Buffering\", \"no\")", ""))
        .unwrap();
    let site = example.in_front_of(serve);
    assert_eq!(site.get("/pid").status, 200);
    let gate = site.flupd.file("gate");
    let request = Request::get(&format!("/stream?gate={}", gate.display()));
    let mut stream = request.start(site.web.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => panic!("the app waits, and its answer ends"),
            Ok(length) => seen.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(!String::from_utf8_lossy(&seen).contains("first"), "it came piece by piece");
    fs::write(gate, "").unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    stream.read_to_end(&mut seen).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("first\n") && seen.contains("second\n"), "{seen}");
    row.says_of_the_log(&site.web);
}

/// An answer that the app cuts short looks whole.
fn is_cut_unseen(row: &Row) {
    let site = row.example().in_front_of(serve("wrong.py"));
    let answer = site.get("/raises-late");
    assert_eq!((answer.status, answer.text().starts_with("begun\n")), (200, true));
    site.flupd.wait_for_log("Mishap");
    row.says_of_the_log(&site.web);
}

/// A site of this app, with the whole-site example changed.
fn site_of(row: &Row, name: &str, change: impl FnOnce(Example) -> Example) -> Site {
    change(row.example()).in_front_of(serve(name))
}
