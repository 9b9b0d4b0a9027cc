//! What apps print becomes lines of flupd's log, and whoever prints cannot hold
//! up or forge anything.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::{Front, Site};
use crate::harness::{app, wait};

fn prints(args: &[&str]) -> Serve {
    Serve::app(&app("prints.py")).args(args)
}

fn behind_nginx(args: &[&str]) -> Site {
    Front::NginxFastcgi.serve_with(prints(args))
}

fn ask(site: &Site, target: &str) {
    let answer = site.get(target);
    assert_eq!((answer.status, answer.text().as_str()), (200, "printed\n"), "{target}");
}

/// The lines of a JSON log that an app has printed. The last one may be about to
/// be written.
fn printed(flupd: &Flupd) -> Vec<Value> {
    let log = flupd.log();
    let whole = &log[..log.rfind('\n').map_or(0, |end| end + 1)];
    let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    lines.filter(|line| line["message"] == "app output").collect()
}

/// All lines are there once, whole, in order, with the worker that printed them.
fn expect_all_lines(serve: Serve, front: Front, requests: usize) {
    let site = &front.serve_with(serve);
    let marks: Vec<String> = (0..requests).map(|number| format!("m{number}")).collect();
    std::thread::scope(|scope| {
        for mark in &marks {
            scope.spawn(move || ask(site, &format!("/numbered?count=100&mark={mark}")));
        }
    });
    let count = |stream: &str| {
        let ours = |line: &Value| {
            line["stream"] == stream && line["line"].as_str().unwrap().ends_with(" end")
        };
        printed(&site.flupd).iter().filter(|line| ours(line)).count()
    };
    wait::until("all lines are logged", || {
        count("stdout") >= requests * 100 && count("stderr") >= requests * 100
    });
    let mut next: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut workers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for line in printed(&site.flupd) {
        let text = line["line"].as_str().unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let [stream, mark, number, "end"] = words[..] else {
            assert_eq!(text, "printed at import", "a torn line");
            continue;
        };
        assert_eq!(line["stream"], if stream == "out" { "stdout" } else { "stderr" });
        let expected = next.entry((stream.to_owned(), mark.to_owned())).or_default();
        assert_eq!(number, expected.to_string(), "{text}");
        *expected += 1;
        workers.entry(mark.to_owned()).or_default().insert(line["worker"].as_u64().unwrap());
    }
    assert_eq!(next.len(), 2 * requests);
    assert!(next.values().all(|count| *count == 100), "{next:?}");
    assert!(workers.values().all(|workers| workers.len() == 1), "{workers:?}");
}

const JSON: [&str; 2] = ["--log-format", "json"];

#[test]
fn lines_of_several_workers_and_threads() {
    let serve = prints(&JSON).args(["--workers", "2", "--threads", "4"]);
    expect_all_lines(serve, Front::NginxFastcgi, 12);
}

#[test]
fn lines_of_forked_workers() {
    let serve = prints(&JSON).args(["--workers", "2", "--threads", "2", "--preload"]);
    expect_all_lines(serve, Front::NginxFastcgi, 8);
}

#[test]
fn lines_in_solo_mode() {
    expect_all_lines(prints(&JSON).args(["--workers", "2"]), Front::NginxSolo, 8);
}

#[test]
fn a_zygote_is_named() {
    let flupd = prints(&JSON).args(["--preload"]).on_fastcgi();
    wait::until("the import is logged", || !printed(&flupd).is_empty());
    let lines = printed(&flupd);
    assert_eq!(
        (&lines[0]["process"], &lines[0]["line"]),
        (&"zygote".into(), &"printed at import".into())
    );
    assert!(lines[0].get("worker").is_none());
}

#[test]
fn libraries_and_children_are_heard() {
    let site = behind_nginx(&[]);
    ask(&site, "/from-c");
    ask(&site, "/from-child");
    for (stream, line) in [
        ("stdout", "printed by a library"),
        ("stderr", "written to the descriptor"),
        ("stdout", "out of a child"),
        ("stderr", "error of a child"),
    ] {
        let expected = format!("INFO app output worker=1 stream=\"{stream}\" line={line}\n");
        site.flupd.wait_for_log(&expected);
    }
}

/// Whatever `--log-level` says: an app's words are not ours to drop.
#[test]
fn the_level_does_not_matter() {
    let site = behind_nginx(&["--log-level", "error"]);
    ask(&site, "/from-c");
    site.flupd.wait_for_log("printed by a library");
    assert!(!site.flupd.log().contains("ready"), "{}", site.flupd.log());
}

#[test]
fn a_line_without_an_end_is_not_waited_for() {
    let site = behind_nginx(&[]);
    ask(&site, "/partial");
    site.flupd.wait_for_log("line=no end of line\n");
}

#[test]
fn a_long_line_comes_in_marked_pieces() {
    let site = behind_nginx(&JSON);
    ask(&site, "/long?length=100000");
    let long = || {
        let lines = printed(&site.flupd);
        let pieces = lines.iter().filter(|line| line["line"].as_str().unwrap().contains('x'));
        pieces.cloned().collect::<Vec<_>>()
    };
    wait::until("the end is logged", || {
        long().last().is_some_and(|piece| piece["line"].as_str().unwrap().ends_with('>'))
    });
    let pieces = long();
    let text: String = pieces.iter().map(|piece| piece["line"].as_str().unwrap()).collect();
    assert_eq!(text, format!("<{}>", "x".repeat(100_000)));
    let (last, before) = pieces.split_last().unwrap();
    assert!(last.get("continues").is_none());
    assert!(before.len() == 6 && before.iter().all(|piece| piece["continues"] == true));
}

#[test]
fn nothing_printed_can_pass_for_a_line_of_ours() {
    let site = behind_nginx(&[]);
    ask(&site, "/raw");
    site.flupd.wait_for_log("line=\\u{1b}[2J\\rERROR worker died \u{fffd}\n");
    site.flupd.wait_for_log("line=2026-01-01T00:00:00Z  INFO ready\n");
    let log = site.flupd.log();
    assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log:?}");
    assert_eq!(log.lines().filter(|line| line.ends_with(" INFO ready")).count(), 2, "{log}");
}

/// faulthandler's text to its end, and what stood in front of it.
#[test]
fn the_last_words_of_a_crash_are_complete() {
    for args in [&[][..], &["--preload"]] {
        let site = behind_nginx(args);
        assert!(matches!(site.get("/crash").status, 502 | 503));
        site.flupd.wait_for_log("SIGSEGV");
        for words in [
            "last words",
            "Fatal Python error: Segmentation fault",
            "most recent call first",
            "prints.py\", line",
            "in application",
        ] {
            site.flupd.wait_for_log(words);
        }
        let log = site.flupd.log();
        let fatal = log.lines().find(|line| line.contains("Fatal Python error")).unwrap();
        assert!(
            fatal.contains(" INFO app output worker=1 stream=\"stderr\" line=Fatal"),
            "{fatal}"
        );
    }
}

/// Who prints without end is slowed down by the log, and nobody else: others are
/// answered, and no line is lost.
#[test]
fn a_flood_holds_up_nobody_and_loses_nothing() {
    let site = &behind_nginx(&["--workers", "2"]);
    const LINES: usize = 50_000;
    std::thread::scope(|scope| {
        let flood = scope.spawn(move || ask(site, &format!("/flood?count={LINES}")));
        while !flood.is_finished() {
            assert_eq!(site.get("/hello").text(), "hello\n");
        }
    });
    wait::until("the flood is logged", || {
        site.flupd.log().matches("line=flood xx").count() == LINES
    });
    assert!(!site.flupd.log().contains("lost"), "nothing was lost");
}

#[test]
fn capture_can_be_switched_off() {
    let (mut output, theirs) = std::io::pipe().unwrap();
    let mut flupd = prints(&["--capture-output", "off"]).stderr(theirs.into()).on_fastcgi();
    let mut stream = flupd.connect();
    std::io::Write::write_all(
        &mut stream,
        &crate::harness::fcgi::request(1, 0, "GET", "/raw", b""),
    )
    .unwrap();
    crate::harness::fcgi::Answer::read(&mut stream, 1).unwrap();
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes).unwrap();
    let raw = b"\x1b[2J\rERROR worker died \xff\n2026-01-01T00:00:00Z  INFO ready\n";
    assert!(bytes.windows(raw.len()).any(|window| window == raw), "as it is");
    assert!(flupd.log().contains("printed at import\n"), "stdout is flupd's own: {}", flupd.log());
}
