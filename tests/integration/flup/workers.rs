//! Scripts for flup under flupd with workers: flup's hooks around a request, and
//! what becomes of its arguments about threads and processes.

use std::os::unix::net::UnixStream;
use std::thread;

use super::hosted::{ask, by_hand};
use crate::harness::script::Script;
use crate::harness::wait;

/// Ways in which flupd serves in the place of the script's own server.
const OPTIONS: [&str; 4] =
    ["--workers 2 --threads 4", "--workers 2 --preload", "--workers 2 --solo", "--solo"];

fn script(options: &str, kind: &str, text: &str) -> Script {
    Script::with(&format!(
        "# flupd: {options}\nimport os, time\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\n\
         from flup.server.{kind} import WSGIServer\n{text}"
    ))
}

#[test]
fn hooks_count() {
    let text = "\
class Mine(WSGIServer):
    def handler(self, request):
        if request.params['PATH_INFO'] == '/handler':
            request.stdout.write('Status: 404 Mine\\r\\n\\r\\nmine')
            return 0, 0
        return super().handler(request)
    def error(self, request):
        request.stdout.write('Status: 503 Sorry\\r\\n\\r\\nsorry')
    def _sanitizeEnv(self, environ):
        environ['PATH_INFO'] += '!'
    def _mainloopPeriodic(self):
        with open('tick', 'a') as file:
            file.write('%d\\n' % os.getpid())

def app(environ, start_response):
    if environ['PATH_INFO'] == '/raise!':
        raise ValueError
    start_response('200 OK', [])
    return [environ['PATH_INFO'], str(os.getpid())]

Mine(app).run()
";
    for options in OPTIONS {
        // What they do takes some seconds, of which nearly all is waiting.
        let running = ["fcgi", "fcgi_fork", "fcgi_single"].map(|kind| {
            let script = script(options, kind, text);
            let (process, mut stream) = by_hand(&script);
            assert!(ask(&mut stream, "/a").body().starts_with("/a!"), "{options} {kind}");
            let answer = ask(&mut stream, "/handler");
            assert!(answer.text().starts_with("Status: 404"), "{}", answer.text());
            assert_eq!(answer.body(), "mine");
            let answer = ask(&mut stream, "/raise");
            assert!(answer.text().starts_with("Status: 503"), "{}", answer.text());
            assert_eq!(answer.body(), "sorry");
            (stream, process, script)
        });
        for (_, _, script) in &running {
            wait::until("it is called periodically", || {
                let ticks = std::fs::read_to_string(script.file("tick")).unwrap_or_default();
                ticks.lines().any(|pid| ticks.lines().filter(|other| *other == pid).count() >= 3)
            });
        }
    }
}

/// Each of them says that the app is not made for threads.
#[test]
fn an_app_that_is_not_made_for_threads_gets_none() {
    let text = "\
now = most = 0
def app(environ, start_response):
    global now, most
    now += 1
    most = max(now, most)
    start_response('200 OK', [])
    yield ''
    time.sleep(0.05)
    now -= 1
    yield '%d %s' % (most, environ['wsgi.multithread'])
";
    for (kind, run) in [
        ("fcgi", "WSGIServer(app, multithreaded=False).run()\n"),
        ("fcgi_fork", "WSGIServer(app).run()\n"),
        ("fcgi_single", "WSGIServer(app).run()\n"),
    ] {
        let script = script("--workers 1 --threads 4", kind, &format!("{text}{run}"));
        let (_process, _stream) = by_hand(&script);
        let socket = script.file("app.sock");
        let asking: Vec<_> = (0..6)
            .map(|_| {
                let mut stream = UnixStream::connect(&socket).unwrap();
                thread::spawn(move || ask(&mut stream, "/").body())
            })
            .collect();
        for asked in asking {
            assert_eq!(asked.join().unwrap(), "1 False", "{kind}");
        }
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let app =
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return ['x']\n";
    for (kind, arguments, said) in [
        (
            "fcgi",
            "maxThreads=20",
            "minSpare, maxSpare, maxThreads: has no effect here, flupd's --threads has",
        ),
        (
            "fcgi_fork",
            "maxChildren=20",
            "minSpare, maxSpare, maxChildren: has no effect here, flupd's --workers has",
        ),
        (
            "fcgi_fork",
            "maxRequests=500",
            "maxRequests: has no effect here, flupd's --max-requests has",
        ),
        (
            "fcgi_fork",
            "sockTimeout=5",
            "sockTimeout: has no effect here, flupd's --read-timeout has",
        ),
        ("fcgi", "roles=(1, 2)", "roles: has no effect here, flupd's --role has"),
    ] {
        let script =
            script("--workers 1", kind, &format!("{app}WSGIServer(app, {arguments}).run()\n"));
        let (process, mut stream) = by_hand(&script);
        assert_eq!(ask(&mut stream, "/").body(), "x");
        wait::until(said, || process.log().contains(said));
    }
    let script = script("--workers 1", "fcgi", &format!("{app}WSGIServer(app).run()\n"));
    let (process, mut stream) = by_hand(&script);
    assert_eq!(ask(&mut stream, "/").body(), "x");
    assert!(!process.log().contains("no effect"), "{}", process.log());
}

/// Who may connect is no matter to be lenient about: it does not start.
#[test]
fn whom_nobody_would_turn_away_is_not_served() {
    let app =
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return ['x']\n";
    let hook = "WSGIServer._isClientAllowed = lambda self, address: False\nWSGIServer(app).run()\n";
    let list = "WSGIServer(app, bindAddress=None, allowedServers=['10.0.0.1']).run()\n";
    for (kind, run) in [("fcgi", hook), ("scgi", list)] {
        let options = if kind == "scgi" { "--workers 1 --scgi fd:0" } else { "--workers 1" };
        let script = script(options, kind, &format!("{app}{run}"));
        let (mut process, _stream) = by_hand(&script);
        process.wait();
        assert!(process.log().contains("say it with --allow"), "{}", process.log());
    }
}
