//! nginx: jobs that only its examples show.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::http::Request;
use crate::harness::{app, ports};

/// An app that does not tell nginx to pass its answer on piece by piece.
#[test]
fn streaming() {
    let text = fs::read_to_string(app("waiting.py")).unwrap();
    let quiet = text.replace(", (\"X-Accel-Buffering\", \"no\")", "");
    assert!(quiet.len() < text.len());
    let serve = Serve::app("quiet.py").args(["--script-name", "/events"]);
    fs::write(serve.dir().join("quiet.py"), quiet).unwrap();
    let site = Example::open("nginx-examples/streaming.conf").in_front_of(serve);

    let gate = site.flupd.file("gate");
    let request = Request::get(&format!("/events/stream?gate={}", gate.display()));
    let mut answer = request.open(site.web.address()).unwrap();
    assert_eq!(answer.line().unwrap(), "first\n");
    fs::write(gate, "").unwrap();
    assert_eq!(answer.line().unwrap(), "second\n");
    assert_eq!(site.get("/pid").status, 200, "the other location");
}

/// The app lets a client have a file, and nginx sends it.
pub fn accel() {
    let serve = Serve::app(&app("answers.py"));
    let dir = serve.dir().to_owned();
    fs::create_dir(dir.join("protected")).unwrap();
    fs::write(dir.join("protected/invoice 7.txt"), "1 200.00\n").unwrap();
    let site = Example::open("nginx-examples/accel.conf").site(&dir).in_front_of(serve);

    let answer = site.get("/accel?file=/protected/invoice%25207.txt");
    assert_eq!((answer.status, answer.text().as_str()), (200, "1 200.00\n"));
    assert_eq!(answer.header("X-Accel-Redirect"), None);
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    assert_eq!(site.get("/protected/invoice%207.txt").status, 404, "asked for directly");
}

pub fn openssl(dir: &Path, name: &str, subject: &str) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", subject])
        .args(["-addext", "subjectAltName=DNS:example.org"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn curl(dir: &Path, port: u16, args: &[&str]) -> Output {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--cacert", "server.pem"])
        .args(["--resolve", &format!("example.org:{port}:127.0.0.1")])
        .args(args)
        .arg(format!("https://example.org:{port}/x"))
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// HTTPS and client certificates: the app knows of both, and nobody can pretend.
pub fn tls() {
    let serve = Serve::app(&app("echo.py"));
    let dir = serve.dir().to_owned();
    openssl(&dir, "server", "/CN=example.org");
    openssl(&dir, "client", "/CN=Zoe");
    let port = ports::free();
    let site = Example::open("nginx-examples/tls.conf")
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
        .replace("/etc/ssl/example.org.pem", dir.join("server.pem").to_str().unwrap())
        .replace("/etc/ssl/example.org.key", dir.join("server.key").to_str().unwrap())
        .replace("/etc/ssl/clients-ca.pem", dir.join("client.pem").to_str().unwrap())
        .in_front_of(serve);

    let answer = site.send(&Request::get("/x"));
    assert_eq!(answer.status, 301);
    assert_eq!(answer.header("Location"), Some("https://127.0.0.1/x"));

    let environ = |args: &[&str]| {
        let told: serde_json::Value =
            serde_json::from_slice(&curl(&dir, port, args).stdout).unwrap();
        told["environ"].clone()
    };
    let stranger =
        environ(&["-H", "SSL_CLIENT_VERIFY: SUCCESS", "-H", "Ssl-Client-Verify: SUCCESS"]);
    assert_eq!(stranger["wsgi.url_scheme"], "https");
    assert_eq!(stranger["SERVER_PORT"], port.to_string());
    assert_eq!(stranger["SSL_CLIENT_VERIFY"], "NONE");

    let zoe = environ(&["--cert", "client.pem", "--key", "client.key"]);
    assert_eq!(zoe["SSL_CLIENT_VERIFY"], "SUCCESS");
    assert_eq!(zoe["SSL_CLIENT_S_DN"], "CN=Zoe");
}
