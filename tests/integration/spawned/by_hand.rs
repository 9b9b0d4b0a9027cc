//! `flupd SCRIPT` without a web server: what it tells a person, and CGI.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::harness::flupd::command;
use crate::harness::process::Process;
use crate::harness::script::Script;
use crate::harness::{fcgi, wait};

/// Runs the script as a web server would, with this environment and body.
fn cgi(script: &Script, params: &[(&str, &str)], body: &[u8]) -> Output {
    let mut command = Command::new(script.path());
    command
        .env("PATH", script.search_path())
        .env_remove("VIRTUAL_ENV")
        .envs(params.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(body));
        child.wait_with_output().unwrap()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn body(output: &Output) -> String {
    let answer = text(&output.stdout);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{output:?}"));
    body.to_owned()
}

const GET: [(&str, &str); 2] = [("GATEWAY_INTERFACE", "CGI/1.1"), ("REQUEST_METHOD", "GET")];

#[test]
fn without_socket_and_request_it_says_how_to_run_it() {
    let script = Script::of("echo.py", "");
    let output = command().arg(script.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("app.fcgi: standard input is not a listening socket"), "{said}");
    assert!(said.contains("flupd run --fastcgi unix:./app.sock"), "{said}");
}

#[test]
fn a_script_that_is_not_there_is_told_from_a_wrong_command() {
    for (word, says) in [
        ("./no-such.fcgi", "flupd: ./no-such.fcgi: the script can't be read: No such file"),
        ("no-such", "unrecognized subcommand 'no-such'"),
        ("/", "flupd: /: this is a directory"),
    ] {
        let output = command().arg(word).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.contains(says), "{said}");
        assert_eq!(output.status.code(), Some(2), "{said}");
    }
}

#[test]
fn one_cgi_request_is_answered() {
    let script = Script::of("echo.py", "");
    let params = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "POST"),
        ("SERVER_SOFTWARE", "Apache/2.4"),
        ("SCRIPT_NAME", "/cgi-bin/app.cgi"),
        ("PATH_INFO", "/a b"),
        ("QUERY_STRING", "x=1"),
        ("CONTENT_LENGTH", "3"),
    ];
    let output = cgi(&script, &params, b"abc, and what is no part of the body");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).starts_with("Status: 200 OK\r\n"), "{output:?}");
    let told: serde_json::Value = serde_json::from_str(&body(&output)).unwrap();
    assert_eq!(told["body_length"], 3);
    let environ = &told["environ"];
    for (name, value) in params {
        assert_eq!(environ[name], value);
    }
    for (name, value) in [
        ("wsgi.run_once", true),
        ("wsgi.multithread", false),
        ("wsgi.multiprocess", true),
        ("wsgi.input_terminated", true),
    ] {
        assert_eq!(environ[name], value, "{name}");
    }
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn large_bodies_pass_through_cgi() {
    let script = Script::of("answers.py", "");
    let sent: Vec<u8> = (0..9_000_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    let length = sent.len().to_string();
    let params = [
        ("REQUEST_METHOD", "POST"),
        ("PATH_INFO", "/repeat"),
        ("QUERY_STRING", "token=t"),
        ("CONTENT_LENGTH", &length),
    ];
    let output = cgi(&script, &params, &sent);
    assert!(body(&output).as_bytes() == [b"t|", &*sent].concat(), "{:?}", text(&output.stderr));
}

#[test]
fn what_a_cgi_script_prints_does_not_spoil_the_answer() {
    let script = Script::with(
        "import os, sys\n\
         print('printed at import')\n\
         def application(environ, start_response):\n\
        \x20   print('printed in the request', flush=True)\n\
        \x20   os.system('echo printed by a child')\n\
        \x20   environ['wsgi.errors'].write('written to wsgi.errors')\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   return [b'clean']\n",
    );
    let output = cgi(&script, &GET, b"");
    assert_eq!(body(&output), "clean");
    let said = text(&output.stderr);
    for part in ["at import", "in the request", "by a child", "to wsgi.errors"] {
        assert_eq!(said.matches(part).count(), 1, "{part}: {said}");
    }
}

#[test]
fn a_cgi_script_that_fails_answers_500_and_says_why() {
    for (code, says) in [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def application(:\n", "SyntaxError: invalid syntax"),
        ("x = 1\n", "has ended without serving an app"),
        ("raise SystemExit(3)\n", "was ended by SystemExit"),
        ("# flupd: --python /no/such/python\n", "there is no Python at /no/such/python"),
        ("# flupd: --colour\n", "unexpected argument '--colour'"),
        ("# flupd: stray\n", "hold a word that is no option"),
        ("# flupd: --path 'x\n", "a quote is not closed"),
    ] {
        let output = cgi(&Script::with(code), &GET, b"");
        let (answer, said) = (text(&output.stdout), text(&output.stderr));
        assert!(said.contains(says), "{code}: {said}");
        assert!(answer.starts_with("Status: 500 Internal Server Error\r\n"), "{code}: {answer}");
        assert!(!answer.contains(says), "{answer}");
        assert_ne!(output.status.code(), Some(0), "{code}");
    }
}

#[test]
fn a_script_runs_as_main() {
    let script = Script::with(
        "# flupd: --path lib\n\
         import sys, pickle, extra\n\
         class Own: pass\n\
         def application(environ, start_response):\n\
        \x20   told = [__name__, __file__, sys.argv, sys.path[:2], extra.__name__,\n\
        \x20           type(pickle.loads(pickle.dumps(Own()))).__module__, __spec__]\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   return [repr(told).encode()]\n",
    );
    std::fs::create_dir(script.file("lib")).unwrap();
    std::fs::write(script.file("lib/extra.py"), "").unwrap();
    let mut command = Command::new(script.path());
    command.args(["--workers", "-x", "word"]).env("PATH", script.search_path()).envs(GET);
    let output = command.stdin(Stdio::null()).current_dir("/").output().unwrap();
    let (dir, path) = (script.dir().display(), script.path());
    let path = path.display();
    let expected = format!(
        "['__main__', '{path}', ['{path}', '--workers', '-x', 'word'], \
         ['{dir}/lib', '{dir}'], 'extra', '__main__', None]"
    );
    assert_eq!(body(&output), expected);
}

/// A client that goes away ends the answer, and close() is called.
#[test]
fn a_cgi_answer_that_nobody_reads_is_given_up() {
    let script = Script::of("waiting.py", "");
    let closed = script.file("closed");
    let mut command = Command::new(script.path());
    command.env("PATH", script.search_path()).envs(GET).env("PATH_INFO", "/endless");
    command.env("QUERY_STRING", format!("closed={}", closed.display()));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut answer = child.stdout.take().unwrap();
    answer.read_exact(&mut [0; 100_000]).unwrap();
    drop(answer);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(closed.exists());
}

/// As spawn-fcgi and mod_fcgid start it: a socket as fd 0, others closed or left
/// open by accident.
pub fn started(script: &Script, shell: &str) -> (Process, UnixStream) {
    let socket = script.file("app.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(shell).arg(script.path()).env("PATH", script.search_path());
    command.stdin(OwnedFd::from(listener)).env_remove("VIRTUAL_ENV");
    let process = Process::start("script", &mut command, script.file("log"));
    let stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    (process, stream)
}

fn ask(stream: &mut UnixStream, target: &str) -> String {
    stream.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "GET", target, b"")).unwrap();
    fcgi::Answer::read(stream, 1).unwrap().body()
}

#[test]
fn closed_streams_are_nobodys_numbers() {
    let script = Script::with(
        "import os\n\
         def application(environ, start_response):\n\
        \x20   print('to nobody', flush=True)\n\
        \x20   environ['wsgi.errors'].write('to nobody')\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   return [' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3)).encode()]\n",
    );
    let (_process, mut stream) = started(&script, "exec \"$0\" >&- 2>&-");
    assert_eq!(ask(&mut stream, "/"), "/dev/null /dev/null /dev/null");
    assert_eq!(ask(&mut stream, "/"), "/dev/null /dev/null /dev/null");
}

#[test]
fn descriptors_of_the_web_server_are_not_kept() {
    let script = Script::with(
        "import os\n\
         def application(environ, start_response):\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   open_fds = [os.readlink(f'/proc/self/fd/{n}') for n in range(3, 1000)\n\
        \x20               if os.path.exists(f'/proc/self/fd/{n}')]\n\
        \x20   return ['\\n'.join(open_fds).encode()]\n",
    );
    let (_process, mut stream) =
        started(&script, "cd \"${0%/*}\" && exec \"$0\" 9>leaked 8<leaked");
    assert!(!ask(&mut stream, "/").contains("leaked"));
}

#[test]
fn one_request_at_a_time_is_what_it_says() {
    let script = Script::of("echo.py", "");
    let (_process, mut stream) = started(&script, "exec \"$0\"");
    let names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"];
    let asked = fcgi::pairs(&names.map(|name| (name, "")));
    stream.write_all(&fcgi::record(fcgi::GET_VALUES, 0, &asked)).unwrap();
    let told = fcgi::next(&mut stream).unwrap().unwrap();
    let expected =
        fcgi::pairs(&[("FCGI_MAX_CONNS", "1"), ("FCGI_MAX_REQS", "1"), ("FCGI_MPXS_CONNS", "0")]);
    assert_eq!(told.content, expected);
}

#[test]
fn signals_end_it_in_order() {
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 0), (Signal::HUP, 0), (Signal::USR1, 0)]
    {
        let script = Script::of("echo.py", "");
        let (mut process, mut stream) = started(&script, "exec \"$0\"");
        ask(&mut stream, "/");
        process.signal(signal);
        fcgi::expect_end(stream);
        assert_eq!(process.wait().code(), Some(code), "{signal:?}");
    }
}

#[test]
fn a_request_that_does_not_end_is_given_up() {
    for (signals, code) in [(1, 0), (2, 1)] {
        let grace = if signals == 1 { "0.2" } else { "60" };
        let script = Script::of("waiting.py", &format!("--graceful-timeout {grace}"));
        let (mut process, mut stream) = started(&script, "exec \"$0\"");
        let begun = script.file("started");
        let target = format!("/hold?started={}&gate=/no/such", begun.display());
        stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
        wait::until_exists(&begun);
        for _ in 0..signals {
            process.signal(Signal::TERM);
            // One that is pending already is not counted twice.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(process.wait().code(), Some(code));
        assert_eq!(process.log().contains("--graceful-timeout"), signals == 1, "{}", process.log());
    }
}

/// What an app forks is a process as any other: SIGTERM ends it.
#[test]
fn children_of_the_app_have_the_usual_signals() {
    let script = Script::with(
        "import os, signal, time\n\
         def application(environ, start_response):\n\
        \x20   child = os.fork()\n\
        \x20   if not child:\n\
        \x20       time.sleep(60)\n\
        \x20       os._exit(9)\n\
        \x20   os.kill(child, signal.SIGTERM)\n\
        \x20   _, status = os.waitpid(child, 0)\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   return [str(os.WTERMSIG(status)).encode()]\n",
    );
    let (_process, mut stream) = started(&script, "exec \"$0\"");
    // Some are met before they have run a line of their own.
    for _ in 0..50 {
        assert_eq!(ask(&mut stream, "/"), "15");
    }
}
