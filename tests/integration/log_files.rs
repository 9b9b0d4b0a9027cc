//! Where the log goes: files that are moved away under load, standard error that
//! nobody reads, systemd's journal.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::harness::flupd::Serve;
use crate::harness::front::{Front, Site};
use crate::harness::{app, wait};

fn serve(args: &[&str]) -> Serve {
    Serve::app(&app("prints.py")).args(args)
}

fn lines_in(dir: &Path, prefix: &str) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let ours = files.filter(|file| file.file_name().to_str().unwrap().starts_with(prefix));
    let texts = ours.map(|file| fs::read_to_string(file.path()).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Moves `file` away `times`, as logrotate does, and waits for the new one.
pub fn rotate(site: &Site, file: &str, times: usize) {
    let path = site.flupd.file(file);
    for number in 0..times {
        wait::until_exists(&path);
        fs::rename(&path, site.flupd.file(&format!("{file}.{number}"))).unwrap();
        site.flupd.signal(Signal::USR1);
        wait::until_exists(&path);
    }
}

#[test]
fn rotation_under_load_loses_no_line_and_tears_none() {
    let site = &Front::NginxFastcgi.serve_with(serve(&["--log", "app.log", "--workers", "2"]));
    let (done, sent) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mark = sent.fetch_add(1, Ordering::Relaxed);
                    let target = format!("/numbered?count=20&mark=m{mark}");
                    assert_eq!(site.get(&target).text(), "printed\n");
                }
            });
        }
        rotate(site, "app.log", 40);
        done.store(true, Ordering::Relaxed);
    });
    let sent = sent.load(Ordering::Relaxed);
    let dir = site.flupd.file("");
    let marked = |lines: &[String]| lines.iter().filter(|line| line.ends_with(" end")).count();
    wait::until("all lines are written", || marked(&lines_in(&dir, "app.log")) >= sent * 40);
    let lines = lines_in(&dir, "app.log");
    let mut texts: Vec<&str> = lines
        .iter()
        .map(|line| {
            assert!(line.starts_with("20") && line.contains("Z "), "torn: {line:?}");
            line.split_once("line=").map_or("", |(_, text)| text)
        })
        .filter(|text| text.ends_with(" end"))
        .collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), sent * 40, "each line once");
    assert_eq!(lines.iter().filter(|line| line.contains("log reopened")).count(), 40);
    let mode = fs::metadata(site.flupd.file("app.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// The directory has gone: the old file stays in use, and the log says so.
#[test]
fn a_log_that_cannot_be_reopened_goes_on() {
    let serve = serve(&["--log", "logs/app.log"]);
    fs::create_dir(serve.dir().join("logs")).unwrap();
    let site = Front::NginxFastcgi.serve_with(serve);
    fs::rename(site.flupd.file("logs"), site.flupd.file("moved")).unwrap();
    site.flupd.signal(Signal::USR1);
    let log = || fs::read_to_string(site.flupd.file("moved/app.log")).unwrap();
    wait::until("it is said", || log().contains("log can't be reopened"));
    site.get("/from-c");
    wait::until("lines go on", || log().contains("printed by a library"));
}

#[test]
fn a_log_that_cannot_be_opened_is_said_at_once() {
    let (code, output) = serve(&["--log", "no/such/dir/app.log"]).refused();
    assert_eq!(code, Some(1));
    assert!(
        output.contains("error: the log can't be written")
            && output.contains("no/such/dir/app.log"),
        "{output}"
    );
}

/// A full pipe that nobody reads: requests are answered, the app can print, and
/// flupd can be stopped. What was lost is counted once there is a reader.
#[test]
fn standard_error_that_nobody_reads_stops_nothing() {
    for front in [Front::NginxFastcgi, Front::NginxSolo] {
        let (output, theirs) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(output.as_fd(), 4096).unwrap();
        let serve = serve(&["--workers", "1"]).stderr(theirs.into());
        let site = front.serve_with(serve);
        for _ in 0..4 {
            // More than all buffers together hold: 4 MiB and two pipes.
            assert_eq!(site.get("/flood?count=30000").text(), "printed\n", "{front:?}");
        }
        for _ in 0..20 {
            assert_eq!(site.get("/hello").text(), "hello\n");
            assert!(matches!(site.get("/nowhere").status, 500), "its traceback goes to the log");
        }
        let mut lines = BufReader::new(output).lines().map(Result::unwrap);
        let lost = lines.find(|line| line.contains("lost=")).unwrap();
        assert!(lost.contains(" WARN log lines were lost"), "{lost}");
        let count: u64 = lost.rsplit_once("lost=").unwrap().1.parse().unwrap();
        assert!(count > 1000, "{lost}");
        // Someone reads again, so nothing more is lost.
        let reader = std::thread::spawn(move || lines.find(|line| line.contains("by a library")));
        assert_eq!(site.get("/from-c").text(), "printed\n");
        assert!(reader.join().unwrap().is_some());
    }
}

#[test]
fn flupd_ends_although_nobody_reads_its_standard_error() {
    let (output, theirs) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(output.as_fd(), 4096).unwrap();
    let mut site = Front::NginxFastcgi.serve_with(serve(&[]).stderr(theirs.into()));
    assert_eq!(site.get("/flood?count=1000").text(), "printed\n");
    site.flupd.signal(Signal::TERM);
    assert_eq!(site.flupd.wait().code(), Some(0));
}

/// `JOURNAL_STREAM` names the very pipe that is standard error: no time, and each
/// line's level in front, also inside a traceback.
#[test]
fn the_journal_gets_levels_and_no_times() {
    let (mut output, theirs) = std::io::pipe().unwrap();
    let stat = rustix::fs::fstat(&theirs).unwrap();
    let stream = format!("{}:{}", stat.st_dev, stat.st_ino);
    let serve = serve(&[]).stderr(theirs.into()).env("JOURNAL_STREAM", stream);
    let mut site = Front::NginxFastcgi.serve_with(serve);
    assert_eq!(site.get("/nowhere").status, 500);
    assert_eq!(site.get("/from-c").text(), "printed\n");
    site.flupd.signal(Signal::TERM);
    assert_eq!(site.flupd.wait().code(), Some(0));
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    for line in text.lines() {
        let level = line.get(..3).unwrap();
        assert!(["<3>", "<4>", "<6>", "<7>"].contains(&level), "{line:?}");
        assert!(!line[3..].trim_start().starts_with("20"), "no time: {line:?}");
    }
    assert!(text.contains("<6>") && text.contains("INFO ready\n"), "{text}");
    assert!(text.contains("\n<3>    Traceback (most recent call last):\n"), "{text}");
    assert!(text.contains("line=printed by a library\n"), "{text}");
}

/// Another process's `JOURNAL_STREAM` was inherited: this is no journal.
#[test]
fn a_journal_that_is_not_ours_changes_nothing() {
    let flupd = serve(&[]).env("JOURNAL_STREAM", "1:1").on_fastcgi();
    flupd.wait_for_log("INFO ready");
    assert!(flupd.log().lines().all(|line| line.starts_with("20")), "{}", flupd.log());
}
