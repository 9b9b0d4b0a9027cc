//! What a new flupd gets from the old one: addresses, orders, systemd's attention.

use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::*;
use crate::harness::ports;

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    stream
}

/// Listeners of every kind, and what the file says of them now.
#[test]
fn listeners_and_configuration() {
    let (port, status) = (ports::free(), ports::free());
    let app = app("versioned.py");
    let text = |listeners: &str, prefix: &str| {
        format!(
            "status = \"127.0.0.1:{status}\"\n{listeners}\
             [[listen]]\nfastcgi = \"127.0.0.1:{port}\"\n\
             [apps.app]\napp = \"{app}\"\nworkers = 1\n\
             [apps.other]\napp = \"{app}\"\nworkers = 1\nprefix = \"{prefix}\"\n"
        )
    };
    let first = "[[listen]]\nfastcgi = \"unix:app.sock\"\n";
    let second = "[[listen]]\nfastcgi = \"unix:second.sock\"\n";
    let installed = Installed::new();
    let flupd = Serve::config(&text(&format!("{first}{second}"), "/a")).installed(&installed);
    let flupd = flupd.on_its_socket();
    flupd.wait_for_log("ready");
    let mut kept = tcp(port);
    ask(&mut kept, "/");

    flupd.write_config(&text(first, "/b"));
    installed.upgrade(&flupd);
    installed.the_one();
    ask(&mut kept, "/b");
    ask(&mut tcp(port), "/");
    ask(&mut flupd.connect(), "/");
    let metrics = Request::get("/metrics").send(([127, 0, 0, 1], status).into()).unwrap();
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("app=\"other\""), "{}", metrics.text());
    // What is not in the file any more goes with the old one.
    assert!(!flupd.file("second.sock").exists());
    assert!(UnixStream::connect(flupd.file("second.sock")).is_err());
}

/// A socket that flupd was given at its start is there after it.
#[test]
fn an_inherited_socket() {
    let installed = Installed::new();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let serve = deployed(&installed);
    let flupd = serve.stdin(socket.into()).args(["--fastcgi", "fd:0"]).start();
    flupd.wait_for_log("ready");
    let before = ask(&mut tcp(port), "/");
    for _ in 0..2 {
        installed.upgrade(&flupd);
        installed.the_one();
    }
    assert_ne!(ask(&mut tcp(port), "/"), before);
}

/// The app sees the limits that it saw before.
#[test]
fn limits_stay() {
    let installed = Installed::new();
    let serve = deployed(&installed);
    fs::write(
        serve.dir().join("versioned.py"),
        "import resource\ndef application(environ, start_response):\n    \
         start_response('200 OK', [])\n    \
         return [repr(resource.getrlimit(resource.RLIMIT_NOFILE)).encode()]\n",
    )
    .unwrap();
    let flupd = serve.on_fastcgi();
    flupd.wait_for_log("ready");
    let before = ask(&mut flupd.connect(), "/");
    installed.upgrade(&flupd);
    installed.the_one();
    assert_eq!(ask(&mut flupd.connect(), "/"), before);
}

/// A reload that comes in between is done by the new one, for whoever waits for it.
#[test]
fn a_reload_in_between() {
    let installed = &Installed::new();
    let serve = deployed(installed);
    let gate = serve.dir().join("gate");
    let flupd = &serve.on_fastcgi();
    flupd.wait_for_log("ready");
    let (old, path) =
        (fs::read_to_string(app("versioned.py")).unwrap(), flupd.file("versioned.py"));
    replace(&path, &super::failures::waits_for(&gate));
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| installed.upgrade(flupd));
        let second = scope.spawn(|| installed.upgrade(flupd));
        wait::until("the new one starts", || count(flupd, "INFO starting ") == 2);
        let reload = scope.spawn(|| installed.order(flupd, &["reload"]));
        flupd.signal(Signal::HUP);
        thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(count(flupd, "reloading"), 0);
        replace(&path, &old.replace("VERSION = \"1\"", "VERSION = \"2\""));
        fs::write(gate, "").unwrap();
        upgrade.join().unwrap();
        second.join().unwrap();
        let reload = reload.join().unwrap();
        assert!(reload.status.success(), "{reload:?}");
    });
    let answer = ask(&mut flupd.connect(), "/");
    assert!(answer.starts_with("2 "), "{answer}");
}

/// systemd is told who flupd is now, by the process that it knows.
#[test]
fn systemd_follows() {
    let installed = Installed::new();
    let serve = deployed(&installed);
    let path = serve.dir().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    let (said, heard) = std::sync::mpsc::channel();
    // As systemd does: who speaks to it never waits.
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.send(text).is_err() {
                return;
            }
        }
    });
    let mut all = Vec::new();
    let mut hears = |wanted: &str| loop {
        let text = heard.recv_timeout(wait::DEADLINE).unwrap_or_else(|e| panic!("{wanted}: {e}"));
        all.push(text.clone());
        if text.lines().any(|line| line == wanted) {
            return all.clone();
        }
    };
    let serve = serve.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    let mut flupd = serve.on_fastcgi();
    hears(&format!("MAINPID={}", flupd.pid()));
    installed.upgrade(&flupd);
    let new = installed.the_one();
    hears(&format!("MAINPID={new}"));
    assert!(flupd.wait().success());
    // It says nothing that could be taken for the end of the service.
    hears("WATCHDOG=1");
    let all = hears("WATCHDOG=1");
    assert!(!all.iter().any(|text| text.contains("STOPPING=1")), "{all:?}");
    kill_process(new, Signal::TERM).unwrap();
    hears("STOPPING=1");
}

/// In solo mode the status is told by a process of its own, which the new flupd has, too.
#[test]
fn the_status_of_solo_workers() {
    let status = ports::free();
    let installed = Installed::new();
    let serve = deployed(&installed).args(["--solo", "--status", &format!("127.0.0.1:{status}")]);
    let flupd = serve.on_fastcgi();
    let text = || {
        let told = wait::until_some("the status is told", || {
            Request::get("/metrics").send(([127, 0, 0, 1], status).into()).ok()
        });
        told.text()
    };
    let counted = "flupd_requests_total{app=\"app\",status=\"2xx\"} ";
    flupd.wait_for_log("ready");
    ask(&mut flupd.connect(), "/");
    wait::until("it is counted", || text().contains(&format!("{counted}1\n")));
    installed.upgrade(&flupd);
    installed.the_one();
    // The new one counts anew.
    wait::until("the new one tells", || text().contains(&format!("{counted}0\n")));
    ask(&mut flupd.connect(), "/");
    wait::until("it counts", || text().contains(&format!("{counted}1\n")));
}
