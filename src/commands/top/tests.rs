//! Pictures of `flupd top`, and what keys do to them.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{Page, Top, Wish};
use super::{rows, view};
use crate::observe::snapshot::{
    AppSnapshot, Bucket, RequestSnapshot, Snapshot, Totals, WorkerSnapshot, WorkerState,
};

fn worker(worker: u64, state: WorkerState, served: u64) -> WorkerSnapshot {
    WorkerSnapshot {
        worker,
        pid: 18516 + u32::try_from(worker).unwrap(),
        age_ms: 60_000,
        state,
        threads: 2,
        busy: 1,
        served,
        memory: Some(32_715_571),
        cpu_ms: Some(served * 5),
    }
}

fn app(name: &str, generation: u64, served: u64) -> AppSnapshot {
    let buckets = [(Some(10), served), (Some(100), 0), (None, 0)];
    let durations = buckets.map(|(up_to_ms, count)| Bucket { up_to_ms, count }).to_vec();
    AppSnapshot {
        app: Some(name.to_owned()),
        generation,
        waiting: 1,
        waiting_ms: 40,
        workers: vec![
            worker(generation, WorkerState::Ready, served),
            worker(generation + 1, WorkerState::Stuck, served),
        ],
        totals: Totals { requests: served, errors: 0, refused: 0, durations },
        ..AppSnapshot::default()
    }
}

fn running(url: &str, age_ms: u64, cpu_ms: u64) -> RequestSnapshot {
    RequestSnapshot {
        app: Some("shop".into()),
        worker: Some(1),
        pid: Some(18517),
        thread: Some(2),
        method: "GET".into(),
        url: url.into(),
        phase: "in the app".into(),
        age_ms,
        cpu_ms: Some(cpu_ms),
        frames: Some((1..=9).map(|line| format!("File \"shop.py\", line {line}, in f")).collect()),
        ..Default::default()
    }
}

fn snapshot(served: u64) -> Snapshot {
    let queued = RequestSnapshot {
        app: Some("blog".into()),
        method: "GET".into(),
        url: "/\u{1b}[2J".into(),
        phase: "queued".into(),
        age_ms: 40,
        ..Default::default()
    };
    Snapshot {
        connections: 5,
        reading: 0,
        apps: vec![app("blog", 1, served), app("shop", 3, 0)],
        requests: vec![running("/report", 4192, 4180), running("/order", 9000, 20), queued],
        more: 0,
    }
}

/// After two looks, a second apart.
fn top() -> (Top, Instant) {
    let (mut top, start) = (Top::new(Duration::from_secs(1), None), Instant::now());
    top.told(start, Ok(snapshot(100)));
    let now = start + Duration::from_secs(1);
    top.told(now, Ok(snapshot(200)));
    (top, now)
}

fn picture(top: &Top, now: Instant, (width, height): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, top, now)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = buffer.content.chunks(usize::from(width));
    let text = lines.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    text.map(|line| line.trim_end().to_owned()).collect()
}

fn press(top: &mut Top, keys: &str) -> Wish {
    let press = |top: &mut Top, code| top.key(KeyEvent::new(code, KeyModifiers::NONE));
    keys.chars().fold(Wish::Nothing, |_, key| {
        let code = match key {
            '\n' => KeyCode::Enter,
            'v' => KeyCode::Down,
            '^' => KeyCode::Up,
            '\u{1b}' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        press(top, code)
    })
}

#[test]
fn a_small_terminal_has_all_of_it() {
    let (top, now) = top();
    let expected = "\
flupd top  5 connections, 2 queued, 0 arriving; by age
APP            GEN    BUSY QUEUE   REQ/S  ERR/S      P50      P95      P99
blog             1     2/4     1     100    0.0   5.0 ms   9.5 ms   9.9 ms
shop             3     2/4     1     0.0    0.0        -        -        -
WORKER      PID STATE       BUSY     MEMORY   CPU%   REQ/S   REQUESTS APP
1         18517 ready        1/2   31.2 MiB     50     100        200 blog
2         18518 stuck        1/2   31.2 MiB     50     100        200 blog
3         18519 ready        1/2   31.2 MiB      0     0.0          0 shop
4         18520 stuck        1/2   31.2 MiB      0     0.0          0 shop
      AGE       CPU APP         W/T PHASE       REQUEST
   9.00 s    0.02 s shop        1/2 in the app  GET /order
   4.19 s    4.18 s shop        1/2 in the app  GET /report
   0.04 s         - blog          - queued      GET /?[2J";
    let lines = picture(&top, now, (80, 24));
    assert_eq!(lines[..13].join("\n"), expected);
    assert!(lines[13..23].iter().all(String::is_empty));
    assert_eq!(
        lines[23],
        "q quit  Up/Down select  Enter frames  t trace  s sort  a app  p pause  h help"
    );
}

#[test]
fn what_has_no_room_is_counted() {
    let (mut top, now) = top();
    let mut many = snapshot(300);
    many.apps[0].workers = (1..=40).map(|n| worker(n, WorkerState::Ready, n)).collect();
    many.requests = (0..90).map(|n| running(&format!("/{n}"), 1000 - n, 1)).collect();
    top.told(now, Ok(many));
    let lines = picture(&top, now, (80, 24));
    assert!(lines.iter().any(|line| line == "and 36 more"), "{lines:#?}");
    // The list of requests goes where the selection is.
    assert!(!lines.iter().any(|line| line.ends_with("GET /60")), "{lines:#?}");
    press(&mut top, &"v".repeat(60));
    let lines = picture(&top, now, (80, 24));
    assert!(lines.iter().any(|line| line.ends_with("GET /60")), "{lines:#?}");
}

#[test]
fn the_selected_request_is_seen_with_its_innermost_frames() {
    let (mut top, now) = top();
    assert!(!top.wants_frames());
    assert_eq!(press(&mut top, "v\n"), Wish::Look);
    assert!(top.wants_frames());
    let lines = picture(&top, now, (80, 24));
    let at = lines.iter().rposition(|line| line == "GET /report").unwrap();
    assert_eq!(lines[22], "File \"shop.py\", line 9, in f");
    assert_eq!(at, 16);
    // It stays the same one, wherever it stands.
    top.told(now, Ok(Snapshot { requests: vec![running("/report", 1, 1)], ..snapshot(300) }));
    assert_eq!(top.selected(), Some(0));
    press(&mut top, "\n");
    assert_eq!(top.page, Page::Overview);
}

#[test]
fn keys_sort_filter_and_pause() {
    let (mut top, now) = top();
    let urls = |top: &Top| top.requests().iter().map(|one| one.url.clone()).collect::<Vec<_>>();
    assert_eq!(urls(&top), ["/order", "/report", "/\u{1b}[2J"]);
    press(&mut top, "s");
    assert_eq!(urls(&top), ["/report", "/order", "/\u{1b}[2J"]);
    press(&mut top, "s");
    assert_eq!(urls(&top)[0], "/\u{1b}[2J");
    press(&mut top, "ss");

    press(&mut top, "a");
    assert_eq!((urls(&top).len(), top.apps().len()), (1, 1));
    assert!(picture(&top, now, (80, 24))[0].ends_with("; only blog"));
    press(&mut top, "a");
    assert_eq!(urls(&top).len(), 2);
    press(&mut top, "a");
    assert_eq!(urls(&top).len(), 3);

    press(&mut top, "p");
    top.told(now, Ok(Snapshot::default()));
    assert_eq!(urls(&top).len(), 3);
    assert!(picture(&top, now, (80, 24))[0].ends_with("PAUSED"));
    press(&mut top, "p");
    top.told(now, Ok(Snapshot::default()));
    assert!(urls(&top).is_empty());
}

#[test]
fn pages_are_left_before_the_program() {
    let (mut top, now) = top();
    press(&mut top, "h");
    assert!(picture(&top, now, (80, 24))[1].starts_with("q, Esc      leave"));
    press(&mut top, "vvv^");
    assert!(picture(&top, now, (80, 24))[1].starts_with("Enter"));
    assert_eq!(press(&mut top, "\u{1b}"), Wish::Nothing);
    assert_eq!(press(&mut top, "t"), Wish::Look);
    let lines = picture(&top, now, (80, 24));
    assert_eq!(lines[1], "GET /order");
    assert!(lines[2].contains("worker 1 (pid 18517), thread 2, 0.020 s CPU"), "{lines:#?}");
    assert_eq!(press(&mut top, "\u{1b}"), Wish::Nothing);
    assert_eq!(press(&mut top, "\u{1b}"), Wish::Quit);
    assert_eq!(press(&mut top, "q"), Wish::Quit);
    let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
    assert_eq!([top.key(control('c')), top.key(control('z'))], [Wish::Quit, Wish::Suspend]);
}

#[test]
fn trouble_is_said_and_what_was_seen_stays() {
    let (mut top, now) = top();
    let later = now + Duration::from_secs(7);
    assert!(picture(&top, later, (80, 24))[0].ends_with("no answer for 7 s"));
    top.told(now, Err("no flupd".to_owned()));
    top.told(later, Err("no flupd\u{1b}".to_owned()));
    let lines = picture(&top, later, (80, 24));
    assert!(lines[0].ends_with("7 s: no flupd?"), "{}", lines[0]);
    assert_eq!(lines[2].split_whitespace().next(), Some("blog"));
    top.told(later, Ok(snapshot(300)));
    assert!(picture(&top, later, (80, 24))[0].ends_with("by age"));
}

#[test]
fn every_size_has_a_picture() {
    let (mut top, now) = top();
    for width in [1, 20, 71, 72, 80, 200] {
        for height in [1, 5, 11, 12, 24, 60] {
            for page in ["", "\n", "\u{1b}t", "\u{1b}h"] {
                press(&mut top, page);
                let text = picture(&top, now, (width, height)).join(" ");
                let is_small = width < 72 || height < 12;
                assert_eq!(text.contains("q quit"), !is_small, "{width}x{height}");
            }
            press(&mut top, "\u{1b}");
        }
    }
    let why = picture(&top, now, (40, 5)).join(" ");
    assert_eq!(why.trim(), "flupd top needs 72 columns and 12 lines; here are 40 and 5");
}

#[test]
fn without_a_terminal_it_is_plain_text() {
    let (top, _) = top();
    let text = rows::requests(&top).to_text();
    let expected = [
        "   AGE     CPU  APP   W/T  PHASE       REQUEST",
        "9.00 s  0.02 s  shop  1/2  in the app  GET /order",
        "4.19 s  4.18 s  shop  1/2  in the app  GET /report",
        "0.04 s       -  blog    -  queued      GET /?[2J",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}
