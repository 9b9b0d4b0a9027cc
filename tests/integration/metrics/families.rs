//! What each family of metrics tells, compared with what was sent.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Samples, Status};
use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, is_root, wait};

/// Sends a request of its own connection. What of the answer is its head and body.
fn ask(flupd: &Flupd, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, method, target, body)).unwrap();
    Answer::read(&mut stream, 1).unwrap().stdout
}

fn nap(flupd: &Flupd, body: &[u8]) -> Vec<u8> {
    ask(flupd, "POST", "/nap?seconds=0&status=200", body)
}

/// A request that goes on until `gate` exists.
fn held(flupd: &Flupd, path: &str, name: &str) -> UnixStream {
    let (started, gate) = (flupd.file(name), flupd.file("gate"));
    let target = format!("{path}?started={}&gate={}", started.display(), gate.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    wait::until_exists(&started);
    stream
}

/// Each byte is counted once, as the access log counts them.
#[test]
fn bytes_are_those_that_came_and_went() {
    let status = Status::somewhere();
    let serve = Serve::app(&app("saturated.py")).args(status.option());
    let log = serve.dir().join("access.log");
    let log_option = log.display().to_string();
    let flupd = serve
        .args(["--access-log", &log_option, "--access-log-format", "%I %O"])
        .args(["--max-body", "100000"])
        .on_fastcgi();
    let sent: usize = (0..10).map(|at| nap(&flupd, &vec![b'x'; at * 7001]).len()).sum();
    wait::until("all are counted", || status.samples().sum("requests_total") == 10.0);
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    wait::until("all are logged", || lines().lines().count() == 10);
    let columns = |at: usize| -> f64 {
        lines().lines().map(|line| line.split(' ').nth(at).unwrap().parse::<f64>().unwrap()).sum()
    };
    let samples = status.samples();
    assert_eq!(samples.of("sent_bytes_total"), columns(1));
    assert_eq!(samples.of("received_bytes_total"), columns(0));
    assert_eq!(columns(1), f64::from(u32::try_from(sent).unwrap()));
    assert!(columns(0) > 45.0 * 7001.0, "{}", columns(0));
}

/// Each refusal has its reason, with its app if there was one.
#[test]
fn refusals_have_their_reasons() {
    let status = Status::somewhere();
    let text = format!(
        "status = \"{}\"\n[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.shop]\napp = \"{}\"\n\
         workers = 1\nthreads = 1\nqueue = 1\nmax-body = 10\nmax-params = \"1M\"\nprefix = [\"/nap\", \"/sleep\"]\nscript-name = \"/\"\n",
        status.0,
        app("saturated.py"),
    );
    let flupd = Serve::config(&text).on_its_socket();
    let status_of = |stdout: Vec<u8>| String::from_utf8_lossy(&stdout)[8..11].to_owned();
    assert_eq!(status_of(ask(&flupd, "GET", "/elsewhere", b"")), "404");
    assert_eq!(status_of(nap(&flupd, b"more than ten bytes")), "413");
    let long = format!("/nap?{}", "x".repeat(1_100_000));
    assert_eq!(status_of(ask(&flupd, "GET", &long, b"")), "431");
    let mut garbage = flupd.connect();
    garbage.write_all(&[9; 64]).unwrap();
    flupd.wait_for_log("the peer broke FastCGI");

    let _running = held(&flupd, "/sleep", "one");
    let mut waiting = flupd.connect();
    waiting.write_all(&fcgi::request(1, 0, "GET", "/nap?seconds=0&status=200", b"")).unwrap();
    wait::until("one waits", || status.samples().with("queue_length", "app", "shop") == 1.0);
    assert_eq!(status_of(nap(&flupd, b"")), "503");

    let samples = status.samples();
    for (reason, count) in
        [("no_app", 1.0), ("body_too_large", 1.0), ("params_too_large", 1.0), ("bad_request", 0.0)]
    {
        assert_eq!(samples.with("rejected_total", "reason", reason), count, "{reason}");
    }
    assert_eq!(samples.with("refused_total", "reason", "queue_full"), 1.0);
    assert_eq!((samples.sum("rejected_total"), samples.sum("refused_total")), (3.0, 1.0));
    assert_eq!(samples.sum("protocol_errors_total"), 1.0);
    std::fs::write(flupd.file("gate"), b"").unwrap();
}

/// Idle ones are told apart, and those that may not connect.
#[test]
fn connections_are_counted_in_each_state() {
    let status = Status::somewhere();
    let flupd = Serve::app(&app("saturated.py")).args(status.option()).on_fastcgi();
    let mut kept = flupd.connect();
    let request = fcgi::request(1, fcgi::KEEP_CONN, "GET", "/nap?seconds=0&status=200", b"");
    kept.write_all(&request).unwrap();
    Answer::read(&mut kept, 1).unwrap();
    let running = held(&flupd, "/sleep", "one");
    let stand = |samples: &Samples| (samples.sum("connections"), samples.sum("connections_idle"));
    wait::until("one is idle", || stand(&status.samples()) == (2.0, 1.0));
    kept.write_all(&request).unwrap();
    Answer::read(&mut kept, 1).unwrap();
    wait::until("it is idle again", || stand(&status.samples()) == (2.0, 1.0));
    drop((kept, running));
    std::fs::write(flupd.file("gate"), b"").unwrap();
    wait::until("none is left", || stand(&status.samples()) == (0.0, 0.0));
    drop(flupd);

    let status = Status::somewhere();
    let allow = ["--allow", "uid:4294967000"];
    let flupd = Serve::app(&app("saturated.py")).args(status.option()).args(allow).on_fastcgi();
    drop(flupd.connect());
    wait::until("it is refused", || status.samples().sum("connections_refused_total") >= 1.0);
    assert_eq!(status.samples().sum("accepted_total"), 0.0);
}

/// Time goes on while threads are busy, and not only when their requests end:
/// `rate(busy)` is the utilisation.
#[test]
fn busy_and_idle_time_make_up_all_time() {
    let status = Status::somewhere();
    let serve = Serve::app(&app("saturated.py")).args(status.option());
    let flupd = serve.args(["--workers", "1", "--threads", "4"]).on_fastcgi();
    wait::until("it is ready", || status.samples().of("threads") == 4.0);
    let _running = held(&flupd, "/sleep", "one");
    wait::until("it is counted", || status.samples().of("threads_busy") == 1.0);
    let (before, first) = (status.samples(), SystemTime::now());
    wait::until("time goes on", || first.elapsed().unwrap().as_secs_f64() > 0.3);
    let after = status.samples();
    let passed = |name: &str| after.of(name) - before.of(name);
    let (busy, idle) = (passed("busy_seconds_total"), passed("idle_seconds_total"));
    assert!(busy >= 0.3, "{busy}");
    // Three of the four are idle all the time; the two are read one after the other.
    assert!((2.5..3.5).contains(&(idle / busy)), "{busy} {idle}");
    std::fs::write(flupd.file("gate"), b"").unwrap();
}

/// A thread that holds the interpreter in C keeps the next request of its worker
/// waiting.
#[test]
fn waits_for_the_interpreter_are_counted() {
    let status = Status::somewhere();
    let serve = Serve::app(&app("saturated.py")).args(status.option());
    let flupd = serve.args(["--workers", "1", "--threads", "2"]).on_fastcgi();
    (0..5).for_each(|_| drop(nap(&flupd, b"")));
    wait::until("all are counted", || status.samples().of("gil_wait_seconds_count") == 5.0);
    let _running = held(&flupd, "/c", "one");
    let mut naps = 5.0;
    wait::until("one has waited", || {
        nap(&flupd, b"");
        naps += 1.0;
        let samples = status.samples();
        let all = samples.of("gil_wait_seconds_count");
        assert_eq!(all, naps + 1.0, "each request is counted when its app begins");
        samples.with("gil_wait_seconds_bucket", "le", "0.1") < all
            && samples.of("gil_wait_seconds_sum") > 0.1
    });
    std::fs::write(flupd.file("gate"), b"").unwrap();
}

/// What each process is and takes.
#[test]
fn processes_are_told_one_by_one() {
    let status = Status::somewhere();
    // The kernel tells proportional memory to processes of the same user only.
    let user = if is_root() { "gateway-user = \"root\"\n" } else { "" };
    let text = format!(
        "status = \"{}\"\n{user}[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.shop]\napp = \"{}\"\nworkers = 2\n",
        status.0,
        app("saturated.py"),
    );
    let flupd = Serve::config(&text).on_its_socket();
    let ready = |generation| status.samples().sum_with("workers", "generation", generation);
    wait::until("they are ready", || ready("1") == 2.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let samples = status.samples();
    for worker in ["1", "2"] {
        let of = |name| samples.with(name, "worker", worker);
        assert!((now - 60.0..=now).contains(&of("worker_start_time_seconds")));
        assert!(of("worker_resident_bytes") > 1e6 && of("worker_cpu_seconds_total") > 0.0);
    }
    assert!((now - 60.0..=now).contains(&samples.sum("start_time_seconds")));
    assert!(samples.sum("gateway_resident_bytes") > 1e6);
    let python = samples.0.iter().find(|(name, _, _)| name == "flupd_python_info").unwrap();
    assert_eq!(python.1["app"], "shop");
    assert!(python.1["version"].as_str().unwrap().starts_with("3."), "{python:?}");
    assert!(!status.get("/metrics").text().contains("flupd_worker_proportional_bytes"));
    let proportional = status.get("/metrics?pss").text();
    assert_eq!(proportional.matches("\nflupd_worker_proportional_bytes{").count(), 2);

    flupd.signal(rustix::process::Signal::HUP);
    wait::until("the next generation works", || ready("2") == 2.0 && ready("1") == 0.0);
}
