//! Addresses: unix sockets with their life cycle, TCP, and sockets handed over.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{FLUPD, Flupd, Serve};
use crate::harness::process::Process;
use crate::harness::{app, is_root, ports, temp_dir, wait};

fn hello() -> Serve {
    Serve::app(&app("wrong.py"))
}

/// A FastCGI request over this connection is answered.
fn expect_hello(mut stream: impl std::io::Read + Write) {
    stream.write_all(&fcgi::request(1, 0, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
}

fn tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    stream
}

fn mode(flupd: &Flupd) -> u32 {
    fs::metadata(flupd.socket()).unwrap().mode() & 0o7777
}

#[test]
fn default_address() {
    let serve = hello();
    let address = format!("unix:{}/flupd.sock", serve.dir().display());
    let mut flupd = serve.start();
    flupd.wait_until_accepting(&address);
    flupd.wait_for_log("flupd.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(flupd.file("flupd.sock")).unwrap();
    stream.write_all(&fcgi::request(1, 0, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
}

#[test]
fn start_up_is_told() {
    let flupd = hello().on_fastcgi();
    expect_hello(flupd.connect());
    let log = flupd.log();
    for fact in ["wrong.py", "app.sock", "python"] {
        assert!(log.contains(fact), "{fact:?} is not said at start:\n{log}");
    }
}

#[test]
fn unix_socket_mode() {
    assert_eq!(mode(&hello().on_fastcgi()), 0o660, "by default");
    let flupd = hello().args(["--socket-mode", "0600"]).on_fastcgi();
    assert_eq!(mode(&flupd), 0o600);
    let flupd = hello().args(["--socket-mode", "666"]).on_scgi();
    assert_eq!(mode(&flupd), 0o666);
}

#[test]
fn unix_socket_group_and_owner() {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let name = |program: &str| {
        let output = Command::new("id").arg(program).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let serve = hello().args(["--socket-owner", &name("-un"), "--socket-group", &name("-gn")]);
    let flupd = serve.on_fastcgi();
    let socket = fs::metadata(flupd.socket()).unwrap();
    assert_eq!((socket.uid(), socket.gid()), (uid.as_raw(), gid.as_raw()));
    drop(flupd);

    let (code, output) = hello().args(["--socket-group", "no-such-group-here"]).refused();
    assert!(matches!(code, Some(1 | 2)), "{code:?}");
    assert!(output.contains("no-such-group-here"), "{output}");
}

#[test]
fn stale_socket_is_replaced() {
    let serve = hello();
    // Dropped without unlink: what a daemon leaves behind that was killed.
    drop(UnixListener::bind(serve.dir().join("app.sock")).unwrap());
    expect_hello(serve.on_fastcgi().connect());
}

#[test]
fn live_socket_is_refused() {
    let first = hello().on_fastcgi();
    let (code, output) = hello().args(["--fastcgi", &first.address()]).refused();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(first.socket().to_str().unwrap()), "{output}");
    expect_hello(first.connect());
}

/// Something else of that name is the user's, and stays.
#[test]
fn a_file_is_not_replaced() {
    let serve = hello();
    let file = serve.dir().join("precious");
    fs::write(&file, "data").unwrap();
    let (code, output) = serve.args(["--fastcgi", &format!("unix:{}", file.display())]).refused();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("precious"), "{output}");
}

#[test]
fn socket_is_removed_at_exit() {
    let mut flupd = hello().on_fastcgi();
    assert!(fs::metadata(flupd.socket()).unwrap().file_type().is_socket());
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
    assert!(!flupd.socket().exists());
}

#[test]
fn several_addresses_of_both_protocols() {
    let serve = hello();
    let unix = |name: &str| format!("unix:{}/{name}", serve.dir().display());
    let (one, two, scgi) = (unix("one"), unix("two"), unix("scgi"));
    let port = format!("127.0.0.1:{}", ports::free());
    let mut flupd = serve
        .args(["--fastcgi", &one, "--fastcgi", &two, "--scgi", &scgi, "--fastcgi", &port])
        .start();
    for address in [&one, &two, &scgi, &port] {
        flupd.wait_until_accepting(address);
    }
    for name in ["one", "two"] {
        expect_hello(std::os::unix::net::UnixStream::connect(flupd.file(name)).unwrap());
    }
    expect_hello(tcp(&port));
}

#[test]
fn tcp_v4_and_v6() {
    for host in ["127.0.0.1", "[::1]"] {
        if TcpListener::bind(format!("{host}:0")).is_err() {
            println!("{host} is not there on this machine");
            continue;
        }
        let address = format!("{host}:{}", ports::free());
        let mut flupd = hello().args(["--fastcgi", &address]).start();
        flupd.wait_until_accepting(&address);
        expect_hello(tcp(&address));
    }
}

#[test]
fn tcp_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, output) = hello().args(["--fastcgi", &address]).refused();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&address), "{output}");
}

#[test]
fn bad_addresses_are_refused() {
    for address in ["unix:", "nonsense", "127.0.0.1:99999", "fd:77"] {
        let (code, output) = hello().args(["--fastcgi", address]).refused();
        assert!(matches!(code, Some(1 | 2)), "{address}: {code:?}");
        assert!(output.contains(address), "{address} is not named:\n{output}");
    }
}

/// As lighttpd's bin-path, mod_fcgid and spawn-fcgi start their programs.
#[test]
fn listening_socket_on_descriptor_0() {
    let dir = temp_dir();
    let path = dir.path().join("handed-over.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut flupd = hello().args(["--fastcgi", "fd:0"]).stdin(listener.into()).start();
    let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    expect_hello(stream);

    // The socket belongs to whoever made it, so it stays.
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
    assert!(path.exists());
}

/// systemd's socket activation: LISTEN_FDS sockets from descriptor 3 on, meant
/// for the process LISTEN_PID.
#[test]
fn sockets_from_systemd() {
    let dir = temp_dir();
    let path = dir.path().join("systemd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // The shell becomes flupd, so its process id is flupd's.
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", FLUPD, "serve", &app("wrong.py"), "--workers", "1"]);
    command.args(["--fastcgi", "systemd"]);
    if is_root() {
        command.args(["--user", "root"]);
    }
    command.current_dir(dir.path()).env_remove("VIRTUAL_ENV");
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    let mut process = Process::start("flupd", &mut command, dir.path().join("flupd.log"));

    let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    expect_hello(stream);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
}
