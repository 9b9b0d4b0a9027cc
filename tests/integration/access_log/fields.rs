//! Each field against what was sent, and the lines by parsers of others.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{FILE, logging, objects, seconds_now, wait_for_lines};
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::python::frameworks;
use crate::harness::wait;

/// A request with something in every place that a field shows.
fn rich() -> Request {
    Request::post("/created?x=1&y=%20", "0123456789")
        .header("User-Agent", "curl/8 \"quoted\"")
        .header("Referer", "http://example.net/a")
        .header("Cookie", "a=1; session=s-7")
        .header("X-Request-Id", "r-42")
        .header("Content-Type", "text/plain")
        .header("Authorization", "Basic YW5uOnNlY3JldA==")
}

#[test]
fn every_field_shows_what_was_sent() {
    // Each is followed by a tabulator, which no value can hold.
    let table: [(&str, &str); 35] = [
        ("%h", "127.0.0.1"),
        ("%a", "127.0.0.1"),
        ("%R", "127.0.0.1"),
        ("%A", "127.0.0.1"),
        ("%l", "-"),
        ("%u", "ann"),
        ("%m", "POST"),
        ("%r", r"POST\x20/created?x=1&y=%20\x20HTTP/1.1"),
        ("%U", "/created"),
        ("%q", "?x=1&y=%20"),
        ("%{uri}x", "/created?x=1&y=%20"),
        ("%H", "HTTP/1.1"),
        ("%s", "201"),
        ("%>s", "201"),
        ("%b", "5"),
        ("%B", "5"),
        ("%{Referer}i", "http://example.net/a"),
        ("%{User-Agent}i", r#"curl/8\x20\"quoted\""#),
        ("%{Content-Type}i", "text/plain"),
        ("%{Content-Length}i", "10"),
        ("%{X-Nothing}i", "-"),
        ("%{Location}o", "/things/1"),
        ("%{x-method}o", "POST"),
        ("%{session}C", "s-7"),
        ("%{REQUEST_SCHEME}e", "http"),
        ("%v", "example.org"),
        ("%L", "r-42"),
        ("%X", "-"),
        ("%n", "-"),
        ("%{worker}x", "1"),
        ("%{outcome}x", "complete"),
        ("%{why}x", "-"),
        ("%{attempts}x", "1"),
        ("%201{Referer}i", "http://example.net/a"),
        ("%!201{Referer}i", "-"),
    ];
    let format = table.map(|(field, _)| field).join("\\t");
    let site = Front::NginxFastcgi.serve_with(logging("answers.py", &format));
    let answer = site.send(&rich());
    assert_eq!((answer.status, answer.text().as_str()), (201, "made\n"));
    let line = wait_for_lines(&site.flupd, 1).remove(0);
    let values: Vec<&str> = line.split('\t').collect();
    let shown: Vec<(&str, &str)> = table.map(|(field, _)| field).into_iter().zip(values).collect();
    assert_eq!(shown, table);
}

/// Those whose value is not known beforehand.
#[test]
fn numbers_and_times_are_true() {
    let format = "%I %O %S %D %T %{ms}T %d %^FB %{sec}t %{end:msec}t %p %{remote}p %P %{tid}P \
                  %{receive_us}x %{queue_us}x";
    let site = Front::NginxFastcgi.serve_with(logging("waiting.py", format));
    // Nobody shall wait for the first worker.
    site.flupd.wait_for_log("INFO ready");
    let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
    let before = seconds_now();
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(site.get(&target).text(), "held\n"));
        wait::until_exists(&started);
        std::thread::sleep(Duration::from_millis(1100));
        fs::write(&gate, "").unwrap();
    });
    let line = wait_for_lines(&site.flupd, 1).remove(0);
    let values: Vec<f64> = line.split(' ').map(|value| value.parse().expect(&line)).collect();
    let [
        bytes_in,
        bytes_out,
        both,
        micros,
        seconds,
        millis,
        decimal,
        first_byte,
        begin,
        end,
        port,
        remote,
        pid,
        thread,
        receive,
        queue,
    ] = values[..]
    else {
        panic!("{line}")
    };
    assert!(bytes_in > 200.0 && bytes_out > 30.0 && both == bytes_in + bytes_out, "{line}");
    assert!((1_100_000.0..30_000_000.0).contains(&micros), "{line}");
    assert_eq!((seconds, millis), ((micros / 1e6).floor(), (micros / 1e3).floor()));
    assert!((decimal - micros / 1e6).abs() < 0.001, "{line}");
    assert!(first_byte > 1_000_000.0 && first_byte <= micros, "{line}");
    assert!((before as f64..=seconds_now() as f64).contains(&begin), "{line}");
    assert!((end - begin * 1e3 - micros / 1e3).abs() <= 1001.0, "{line}");
    assert!(port > 0.0 && remote > 0.0 && port != remote, "{line}");
    assert!(site.flupd.tree().contains(&(pid as i32)), "{line}");
    assert!(thread == 1.0 || thread == 2.0, "{line}");
    assert!(receive + queue <= micros - 1_000_000.0, "{line}");
}

/// The time that a request waits for an app thread is told apart from its run.
#[test]
fn waiting_for_a_thread_is_told_apart() {
    let serve = logging("waiting.py", "%{uri}x %D %{queue_us}x %{gil_us}x %{app_us}x");
    let serve = serve.args(["--workers", "1", "--threads", "1"]);
    let site = &Front::NginxFastcgi.serve_with(serve);
    // Nobody shall wait for the first worker.
    site.flupd.wait_for_log("INFO ready");
    let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
    let target = &format!("/hold?started={}&gate={}", started.display(), gate.display());
    std::thread::scope(|scope| {
        scope.spawn(move || site.get(target));
        wait::until_exists(&started);
        scope.spawn(move || site.get("/pid"));
        std::thread::sleep(Duration::from_millis(500));
        fs::write(&gate, "").unwrap();
    });
    for line in wait_for_lines(&site.flupd, 2) {
        let words: Vec<&str> = line.split(' ').collect();
        let numbers: Vec<u64> = words[1..].iter().map(|word| word.parse().expect(&line)).collect();
        let [whole, queue, gil, app] = numbers[..] else { panic!("{line}") };
        assert!(queue + gil + app <= whole, "{line}");
        if line.starts_with("/pid") {
            assert!(queue > 300_000 && app < queue, "{line}");
        } else {
            assert!(queue < app && app > 400_000, "{line}");
        }
    }
}

/// A thread that has a request and waits for the interpreter, which another one
/// keeps.
#[test]
fn waiting_for_the_interpreter_is_told_apart() {
    let serve = logging("busy.py", "%U %{queue_us}x %{gil_us}x %{app_us}x");
    let serve = serve.args(["--workers", "1", "--threads", "2"]);
    let site = &Front::NginxFastcgi.serve_with(serve);
    // Nobody shall wait for the first worker.
    site.flupd.wait_for_log("INFO ready");
    let started = site.flupd.file("started");
    std::thread::scope(|scope| {
        let target = format!("/keep?started={}", started.display());
        scope.spawn(move || assert_eq!(site.get(&target).text(), "kept\n"));
        wait::until_exists(&started);
        assert_eq!(site.get("/quick").text(), "quick\n");
    });
    let lines = wait_for_lines(&site.flupd, 2);
    let quick = lines.iter().find(|line| line.starts_with("/quick")).unwrap();
    let numbers: Vec<u64> = quick.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
    let [queue, gil, app] = numbers[..] else { panic!("{quick}") };
    assert!(gil > 300_000, "it waited for the interpreter: {quick}");
    assert!(queue < gil && app < gil, "{quick}");
}

/// By a parser of others', from the very format strings of Apache.
#[test]
fn apachelogs_reads_the_lines() {
    for (name, apache) in [
        ("common", r#"%h %l %u %t "%r" %>s %b"#),
        ("combined", r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#),
        (
            "%h %l %u %t \"%r\" %>s %B %D %{ms}T %X %P %v %p %m %U %q %H \"%{Location}o\" %I %O",
            "%h %l %u %t \"%r\" %>s %B %D %{ms}T %X %P %v %p %m %U %q %H \"%{Location}o\" %I %O",
        ),
    ] {
        let site = Front::NginxFastcgi.serve_with(logging("answers.py", name));
        assert_eq!(site.send(&rich()).status, 201);
        assert_eq!(site.get("/hello").status, 200);
        assert_eq!(site.send(&Request::get("/no-content")).status, 204);
        wait_for_lines(&site.flupd, 3);
        let script = "import sys, apachelogs\n\
            lines = apachelogs.LogParser(sys.argv[1]).parse_lines(open(sys.argv[2]))\n\
            for e in lines: print(e.remote_host, e.final_status, e.bytes_sent, e.request_line, \
            e.request_time.timestamp(), sep='|')\n";
        let output = Command::new(frameworks().join("bin/python"))
            .args(["-c", script, apache])
            .arg(site.flupd.file(FILE))
            .output()
            .unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> = read.lines().map(|line| line.split('|').collect()).collect();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(lines.len(), 3, "{name}: {error}");
        let told: Vec<&[&str]> = lines.iter().map(|line| &line[..4]).collect();
        assert_eq!(told[0], ["127.0.0.1", "201", "5", "POST /created?x=1&y=%20 HTTP/1.1"]);
        assert_eq!(told[1], ["127.0.0.1", "200", "6", "GET /hello HTTP/1.1"]);
        assert_eq!(
            told[2][1..],
            ["204", if apache.contains("%B") { "0" } else { "None" }, "GET /no-content HTTP/1.1"]
        );
        for line in &lines {
            let time: f64 = line[4].parse().unwrap();
            assert!((seconds_now() as f64 - time).abs() < 60.0, "{line:?}");
        }
    }
}

#[test]
fn json_is_one_object_a_line() {
    for front in [Front::NginxKeepConn, Front::NginxSolo, Front::NginxScgi] {
        let site = front.serve_with(logging("answers.py", "json"));
        assert_eq!(site.send(&rich()).status, 201);
        let object = objects(&site.flupd, 1).remove(0);
        for (name, expected) in [
            ("id", "r-42"),
            ("client", "127.0.0.1"),
            ("method", "POST"),
            ("uri", "/created?x=1&y=%20"),
            ("protocol", "HTTP/1.1"),
            ("referer", "http://example.net/a"),
            ("user_agent", "curl/8 \"quoted\""),
            ("outcome", "complete"),
        ] {
            assert_eq!(object[name], expected, "{front:?} {name}");
        }
        assert_eq!((&object["status"], &object["body_bytes"]), (&201.into(), &5.into()));
        assert_eq!((&object["worker"], &object["attempts"]), (&1.into(), &1.into()));
        for name in [
            "duration_us",
            "receive_us",
            "queue_us",
            "gil_us",
            "app_us",
            "first_byte_us",
            "pid",
            "bytes_in",
            "bytes_out",
        ] {
            assert!(object[name].is_u64(), "{front:?} {name}: {object}");
        }
        assert!(object["app"].is_null() && object["why"].is_null(), "{object}");
        let time = object["time"].as_str().unwrap();
        assert!(time.len() >= 32 && time.contains('T'), "{time}");
    }
}
