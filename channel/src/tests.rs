//! Both ends against each other, and the gateway's end against garbage.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use cgi::Params;

use crate::frame::{HEADER, Header, Kind, MAX_REPLY};
use crate::gateway::{Body, Memory, Port, Reply, Size, size};
use crate::layout::{self, RING, ThreadHead};
use crate::memory::Mapping;
use crate::sync::Ordering;
use crate::times::{self, Times};
use crate::worker::{self, Received};
use crate::{ChannelError, LogLevel, Outcome, bell, create};

fn params(uri: &str) -> Params {
    [(&b"REQUEST_METHOD"[..], &b"POST"[..]), (b"EMPTY", b""), (b"URI", uri.as_bytes())]
        .into_iter()
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A worker of one thread that runs `app` for each request, and its gateway end.
fn worker(
    app: impl Fn(&mut worker::Port, worker::Request) + Send + 'static,
) -> (Memory, Port, JoinHandle<()>) {
    let ends = create(1, &bell().unwrap()).unwrap();
    let thread = std::thread::spawn(move || {
        let mut port = worker::open(ends.worker).unwrap().pop().unwrap();
        loop {
            match port.receive().unwrap() {
                Received::Request(request) => app(&mut port, request),
                Received::Interrupted => {}
                Received::Closed => return,
            }
        }
    });
    let (memory, mut ports) = crate::gateway::open(ends.gateway).unwrap();
    (memory, ports.pop().unwrap(), thread)
}

/// What a request was answered: head, body, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    head: BytesMut,
    body: BytesMut,
    stderr: BytesMut,
    log: Vec<(u8, String)>,
    times: Option<Times>,
    end: Option<u8>,
}

/// Takes replies until the end of the answer in front.
fn answer(port: &mut Port) -> Result<Answer, ChannelError> {
    let mut answer = Answer::default();
    while answer.end.is_none() {
        let mut replies = port.replies();
        while let Some(reply) = replies.look()? {
            match reply {
                Reply::Head { text, .. } => text.append_to(&mut answer.head),
                Reply::Body { part, .. } => part.append_to(&mut answer.body),
                Reply::Stderr(text) => text.append_to(&mut answer.stderr),
                Reply::Log(level, text) => answer.log.push((level as u8, text.to_text())),
                Reply::Times(times) => answer.times = Some(times),
                Reply::End(outcome) => answer.end = Some(outcome as u8),
            }
        }
        let taken = replies.taken();
        port.consume(taken);
        std::thread::yield_now();
    }
    Ok(answer)
}

fn echo(port: &mut worker::Port, request: worker::Request) {
    let body = match request.body {
        worker::Body::Memory(bytes) => bytes,
        worker::Body::Shared(shared) => {
            let mut bytes = Vec::new();
            assert!(shared.append_to(0, shared.len(), &mut bytes));
            bytes
        }
        worker::Body::File { file, length } => {
            let mut bytes = vec![0; usize::try_from(length).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        }
    };
    port.head(request.params.get(b"URI").unwrap(), false).unwrap();
    port.body(&body, true).unwrap();
    port.end(Outcome::Complete).unwrap();
}

#[test]
fn requests_of_every_size_and_their_answers_arrive_whole() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (_memory, mut port, thread) = worker(echo);
    let long = "u".repeat(layout::AREA);
    for (uri, length, expected) in [
        ("/", 0, Size::Small),
        ("/small", 20_000, Size::Small),
        ("/body", 300_000, Size::Large),
        ("/beyond-the-ring", RING * 3 + 5, Size::Large),
        (&long, 10, Size::Large),
        (&long, 100_000, Size::Large),
    ] {
        let (params, bytes) = (params(uri), (0..length).map(|n| n as u8).collect::<Vec<_>>());
        let body = Body::Memory(bytes.clone());
        assert_eq!(size(&params, &body), expected);
        port.stage(&params, &body).unwrap();
        port.wake();
        let answer = answer(&mut port).unwrap();
        assert_eq!(answer.head, uri.as_bytes());
        assert!(answer.body == bytes, "{length} bytes");
        assert_eq!(answer.end, Some(Outcome::Complete as u8));
    }
    port.close();
    thread.join().unwrap();
}

#[test]
fn times_are_told_if_they_are_asked_for() {
    let runtime = runtime();
    let _entered = runtime.enter();
    const LONG: Duration = Duration::from_millis(20);
    let (_memory, mut port, thread) = worker(|port, request| {
        std::thread::sleep(LONG);
        port.app_begins();
        std::thread::sleep(LONG);
        assert!(port.can_end());
        echo(port, request);
    });
    for (timed, costed) in [(true, false), (false, false), (true, true)] {
        let before = times::now();
        (port.timed, port.costed) = (timed, costed);
        // Small and large ones alike.
        for size in [0, layout::AREA] {
            port.stage(&params("/"), &Body::Memory(vec![0; size])).unwrap();
            port.wake();
            let answer = answer(&mut port).unwrap();
            assert_eq!(answer.end, Some(Outcome::Complete as u8));
            assert_eq!(answer.times.is_some(), timed);
            if let Some(Times { claimed, begun, ended, cost }) = answer.times {
                let long = u64::try_from(LONG.as_nanos()).unwrap();
                assert!(before <= claimed && claimed + long <= begun && begun + long <= ended);
                assert!(ended <= times::now());
                assert_eq!(cost.is_some(), costed);
            }
        }
    }
    port.close();
    thread.join().unwrap();
}

#[test]
fn a_full_ring_has_no_room_for_the_end() {
    let runtime = runtime();
    let _entered = runtime.enter();
    // As many bytes as fill the ring to the last one, with the headers.
    const EXACT: usize = RING - (HEADER + 8) - RING.div_ceil(MAX_REPLY) * HEADER;
    let (_memory, mut port, thread) = worker(|port, _| {
        port.head(b"8 bytes.", false).unwrap();
        port.body(&[7; EXACT], false).unwrap();
        port.end(Outcome::Complete).unwrap();
    });
    port.stage(&params("/"), &Body::Memory(Vec::new())).unwrap();
    port.wake();
    std::thread::sleep(Duration::from_millis(50));
    let answer = answer(&mut port).unwrap();
    assert!(answer.body == vec![7; EXACT]);
    assert_eq!(answer.end, Some(Outcome::Complete as u8));
    port.close();
    thread.join().unwrap();
}

#[test]
fn many_small_answers_in_a_row_keep_their_order() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (_memory, mut port, thread) = worker(echo);
    let (mut asked, mut answered) = (0, 0);
    while answered < 20_000 {
        while asked < 20_000 && port.has_room() {
            let body = vec![0; asked % 700];
            port.stage(&params(&asked.to_string()), &Body::Memory(body)).unwrap();
            asked += 1;
        }
        port.wake();
        let answer = answer(&mut port).unwrap();
        assert_eq!(answer.head, answered.to_string().as_bytes());
        assert_eq!(answer.body.len(), answered % 700);
        answered += 1;
    }
    port.close();
    thread.join().unwrap();
}

#[test]
fn what_is_staged_can_be_taken_back_and_what_runs_cannot() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (_memory, mut port, thread) = worker(move |port, request| {
        port.log(LogLevel::Info, "running").unwrap();
        port.flush();
        gate.lock().unwrap().recv().unwrap();
        echo(port, request);
    });
    for uri in ["/0", "/1", "/2"] {
        // Of one of them the access log wants to know everything.
        (port.timed, port.costed) = (uri == "/1", uri == "/1");
        port.stage(&params(uri), &Body::Memory(vec![])).unwrap();
    }
    port.wake();
    while port.is_untouched() {
        std::thread::yield_now();
    }
    assert!(port.stage(&params("/large"), &Body::Memory(vec![0; layout::AREA])).is_err());
    assert!(port.take_back());
    assert!(port.take_back());
    assert!(!port.take_back());
    port.stage(&params("/3"), &Body::Memory(vec![])).unwrap();
    for uri in ["/0", "/3"] {
        go.send(()).unwrap();
        let answer = answer(&mut port).unwrap();
        assert_eq!(answer.head, uri.as_bytes());
        assert_eq!(answer.log, [(LogLevel::Info as u8, "running".to_owned())]);
    }
    port.close();
    thread.join().unwrap();
}

#[test]
fn a_cancelled_request_is_seen_and_the_next_one_is_not_cancelled() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (_memory, mut port, thread) = worker(|port, request| {
        if request.params.get(b"URI") == Some(b"/stuck") {
            while !port.cancelled() {
                std::thread::yield_now();
            }
            port.end(Outcome::Cut).unwrap();
        } else {
            assert!(!port.cancelled());
            echo(port, request);
        }
    });
    for (uri, outcome) in [("/stuck", Outcome::Cut), ("/", Outcome::Complete)] {
        port.stage(&params(uri), &Body::Memory(vec![])).unwrap();
        port.wake();
        if uri == "/stuck" {
            port.cancel(0);
        }
        assert_eq!(answer(&mut port).unwrap().end, Some(outcome as u8));
    }
    port.close();
    thread.join().unwrap();
}

/// Requests 0 to 2 are staged; 1 is given up before the worker has begun it.
#[test]
fn a_request_is_cancelled_where_it_stands() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (go, gone) = std::sync::mpsc::channel();
    let (_memory, mut port, thread) = worker(move |port, _| {
        gone.recv().unwrap();
        let outcome = if port.is_cancelled() { Outcome::Cut } else { Outcome::Failed };
        port.end(outcome).unwrap();
    });
    for uri in ["/0", "/1", "/2"] {
        port.stage(&params(uri), &Body::Memory(vec![])).unwrap();
    }
    port.cancel(1);
    port.cancel(3);
    port.wake();
    for outcome in [Outcome::Failed, Outcome::Cut, Outcome::Failed] {
        go.send(()).unwrap();
        assert_eq!(answer(&mut port).unwrap().end, Some(outcome as u8));
    }
    port.close();
    thread.join().unwrap();
}

/// The thread that watches is woken at once, and not for what came before.
#[test]
fn a_cancelled_request_wakes_the_thread_that_watches_it() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (watch, watched) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel();
    let (_memory, mut port, thread) = worker(move |port, _| {
        watch.send(port.running()).unwrap();
        gone.recv().unwrap();
        port.end(Outcome::Cut).unwrap();
    });
    port.stage(&params("/"), &Body::Memory(vec![])).unwrap();
    port.wake();
    let running = watched.recv().unwrap();
    assert!(!running.is_cancelled());
    let begun = std::time::Instant::now();
    let watcher = std::thread::spawn(move || {
        while !running.is_cancelled() {
            running.sleep(Duration::from_secs(60), || running.is_cancelled());
        }
    });
    port.cancel(0);
    watcher.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    go.send(()).unwrap();
    answer(&mut port).unwrap();
    port.close();
    thread.join().unwrap();
}

#[test]
fn the_bell_rings_only_for_a_gateway_that_sleeps() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let bell = bell().unwrap();
    let ends = create(1, &bell).unwrap();
    let (memory, _ports) = crate::gateway::open(ends.gateway).unwrap();
    let mut port = worker::open(ends.worker).unwrap().pop().unwrap();
    let rung = || {
        let mut count = [0; 8];
        std::fs::File::from(bell.try_clone().unwrap()).read(&mut count).is_ok()
    };
    port.flush();
    assert!(!rung());
    assert!(memory.about_to_sleep(), "there is news already");
    let mut news = Vec::new();
    memory.news(|thread| news.push(thread));
    assert_eq!(news, [0]);
    // The news was stale, so the gateway sleeps all the same.
    port.flush();
    assert!(rung());
    port.flush();
    assert!(!rung(), "once is enough");
    memory.awake();
    memory.news(|_| {});
    assert!(!memory.about_to_sleep());
    port.flush();
    assert!(rung());
}

#[test]
fn a_worker_sees_that_the_gateway_has_gone() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (memory, port, thread) = worker(echo);
    drop((memory, port));
    thread.join().unwrap();
}

#[test]
fn a_gateway_sees_that_a_worker_has_gone() {
    let ends = create(1, &bell().unwrap()).unwrap();
    runtime().block_on(async {
        let (_memory, ports) = crate::gateway::open(ends.gateway).unwrap();
        drop(ends.worker);
        ports[0].gone().await;
    });
}

/// What the gateway says when a worker writes this into its shared memory.
fn verdict(staged: bool, garble: impl FnOnce(&Mapping, &ThreadHead)) -> ChannelError {
    let runtime = runtime();
    let _entered = runtime.enter();
    let ends = create(1, &bell().unwrap()).unwrap();
    let (_memory, mut ports) = crate::gateway::open(ends.gateway).unwrap();
    let mut port = ports.pop().unwrap();
    if staged {
        port.stage(&params("/"), &Body::Memory(vec![])).unwrap();
    }
    let memory: &OwnedFd = &ends.worker[0];
    let mapping = Mapping::new(memory, layout::length(1)).unwrap();
    garble(&mapping, mapping.at(layout::thread(0)));
    answer(&mut port).unwrap_err()
}

#[test]
fn garbage_from_a_worker_is_named_and_harmless() {
    let frames = |frames: &'static [(usize, Kind, u8)]| {
        move |memory: &Mapping, head: &ThreadHead| {
            let mut at = 0;
            for &(length, kind, detail) in frames {
                memory.write(layout::ring(0) + at, &Header { length, kind, detail }.encode());
                at += 8 + length.next_multiple_of(8).min(64);
            }
            head.written.0.store(at as u64, Ordering::Release);
        }
    };
    let rule = |staged, garble: &dyn Fn(&Mapping, &ThreadHead)| match verdict(staged, garble) {
        ChannelError::Broken(rule) => rule,
        other => panic!("{other}"),
    };
    for written in [RING as u64 + 8, u64::MAX, 3] {
        let said = rule(true, &|_, head| head.written.0.store(written, Ordering::Release));
        assert_eq!(said, "impossible position in a ring");
    }
    let zeros = |_: &Mapping, head: &ThreadHead| head.written.0.store(8, Ordering::Release);
    assert_eq!(rule(true, &zeros), "unknown frame kind");
    for (given, expected) in [
        (&[(1 << 30, Kind::Body, 0)][..], "a reply is longer than allowed"),
        (&[(100, Kind::Body, 0)], "a reply is longer than allowed"),
        (&[(0, Kind::Body, 0)], "a body before its head"),
        (&[(0, Kind::Head, 0), (0, Kind::Head, 0)], "a second head"),
        (&[(0, Kind::Head, 1), (0, Kind::End, 0)], "an end inside a head"),
        (&[(0, Kind::End, 9)], "unknown outcome"),
        (&[(0, Kind::Log, 9)], "unknown log level"),
    ] {
        assert_eq!(rule(true, &frames(given)), expected, "{given:?}");
    }
    assert_eq!(rule(false, &frames(&[(0, Kind::Head, 0)])), "a reply without a request");
}

#[test]
fn any_bytes_in_the_shared_memory_only_cost_the_worker() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..300 {
        let runtime = runtime();
        let _entered = runtime.enter();
        let ends = create(1, &bell().unwrap()).unwrap();
        let (memory, mut ports) = crate::gateway::open(ends.gateway).unwrap();
        let mut port = ports.pop().unwrap();
        port.stage(&params("/"), &Body::Memory(vec![])).unwrap();
        let mapping = Mapping::new(&ends.worker[0], layout::length(1)).unwrap();
        let mut bytes = vec![0; 4096];
        for byte in &mut bytes {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            // Mostly small numbers, so that some frames make sense.
            *byte = if seed.is_multiple_of(3) { (seed >> 8) as u8 } else { (seed >> 8) as u8 % 8 };
        }
        for at in [0, layout::thread(0), layout::ring(0)] {
            mapping.write(at, &bytes);
        }
        let head: &ThreadHead = mapping.at(layout::thread(0));
        head.written.0.store(seed % 512 * 8, Ordering::Release);
        memory.news(|thread| assert_eq!(thread, 0));
        let _ = memory.about_to_sleep();
        let mut replies = port.replies();
        while let Ok(Some(reply)) = replies.look() {
            if let Reply::Body { part, .. } = reply {
                part.append_to(&mut BytesMut::new());
            }
        }
        let taken = replies.taken();
        port.consume(taken);
        while port.take_back() {}
    }
}

#[test]
fn only_our_own_memory_is_mapped() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[0; 8192]).unwrap();
    assert!(Mapping::new(&file, 8192).is_err(), "a file that can shrink");
    let memory = crate::memory::create("test", 4096).unwrap();
    assert!(Mapping::new(&memory, 8192).is_err(), "too short");
    assert!(rustix::fs::ftruncate(&memory, 0).is_err(), "sealed");
}
