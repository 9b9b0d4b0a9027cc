//! Apache's table.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::{Case, Row, is_collected, is_full, is_silent, is_stopped, provoke, serve, site_of};
use crate::harness::apache;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::script::Script;
use crate::spawned::guard;
use crate::spawned::way::Way;

const CASES: [Case; 18] = [
    ("No such file", is_stopped),
    ("Permission denied", may_not_open),
    ("`Retry-After`", is_full),
    ("AH00957", |row| {
        let mut site = Front::ApacheTcp.serve("answers.py");
        site.flupd.signal(Signal::TERM);
        site.flupd.wait();
        row.says(&site.get("/hello"), &site.web);
    }),
    ("AH01075", |row| is_silent(row, row.example().with("ProxyTimeout 60", "ProxyTimeout 1"))),
    ("AH01070", long_header),
    ("No protocol handler", no_module),
    ("`%2F`", |row| {
        let site = site_of(row, "echo.py", |example| {
            example.with("    AllowEncodedSlashes NoDecode\n", "")
        });
        row.says(&site.get("/a%2Fb"), &site.web);
    }),
    ("`%3F`", |row| {
        let serve = serve("echo.py");
        fs::create_dir(serve.dir().join("public")).unwrap();
        let example = Example::open("apache-examples/handler.conf").site(serve.dir());
        let site = example.in_front_of(serve);
        row.says(&site.get("/a%3Fb"), &site.web);
    }),
    ("over SCGI", |row| {
        let site = Example::open("apache-examples/scgi.conf").in_front_of(serve("echo.py"));
        let request = Request::post("/", "").chunked(vec![b"x".to_vec()]);
        row.says(&site.send(&request), &site.web);
    }),
    ("`HTTP_AUTHORIZATION`", no_authorization),
    ("no Content-Length", no_length),
    ("nothing for long", |row| is_collected(row, row.example().with(" flushpackets=on", ""))),
    ("MaxRequestLen", |row| {
        let (old, new) = ("FcgidMaxRequestLen 1073741824", "FcgidMaxRequestLen 1000");
        let site = Way::Fcgid.serve_with(|example| example.with(old, new));
        row.says(&site.send(&Request::post("/", vec![b'x'; 5000])), &site.web);
    }),
    ("End of script output", |row| {
        let site = Way::Fcgid.start(Script::with("import no_such_module\n"));
        row.says(&site.get("/"), &site.web);
        site.wait_for_log("No module named 'no_such_module'");
    }),
    ("Access check to access", |row| {
        let site = guard::changed(|text| text.replace("# flupd: --role", "#"), |example| example);
        let (name, value) = guard::COOKIE;
        row.says(&site.send(&Request::get("/members/x").header(name, value)), &site.web);
        site.wait_for_log("its role is for apps with this --role only");
    }),
    ("subrequest nesting", |row| {
        let whole = |example: Example| {
            example
                .with("Alias \"/members\"", "Alias \"/\"")
                .with("app.fcgi\"\n    Alias", "app.fcgi/\"\n    #Alias")
                .with("<Location \"/members\">", "<Location \"/\">")
        };
        let site = guard::changed(|text| text, whole);
        let (name, value) = guard::COOKIE;
        let answer = site.send(&Request::get("/members/x").header(name, value));
        assert_eq!(answer.status, 200);
        row.says_of_the_log(&site.web);
    }),
    ("the wrong site's app", wrong_app),
];

#[test]
fn each_row_is_true() {
    // mod_fcgid tries for a minute.
    provoke("apache-examples", &CASES, &["process slot"]);
}

fn may_not_open(row: &Row) {
    let site = site_of(row, "answers.py", |example| example);
    fs::set_permissions(site.flupd.socket(), fs::Permissions::from_mode(0o000)).unwrap();
    row.says(&site.get("/hello"), &site.web);
}

fn long_header(row: &Row) {
    let serve = Serve::app("long.py");
    fs::write(
        serve.dir().join("long.py"),
        "def application(environ, start_response):\n    \
         start_response('200 OK', [('X-Long', 'l' * int(environ['QUERY_STRING']))])\n    \
         return [b'']\n",
    )
    .unwrap();
    let site = row.example().in_front_of(serve);
    assert_eq!(site.get("/?8000").status, 200);
    row.says(&site.get("/?8300"), &site.web);
}

fn no_module(row: &Row) {
    let site = site_of(row, "answers.py", |example| {
        example.with("a2enmod proxy proxy_fcgi", "a2enmod proxy")
    });
    row.says(&site.get("/hello"), &site.web);
}

fn no_authorization(row: &Row) {
    let request = Request::get("/").header("Authorization", "Basic eDp5");
    for (change, there) in [("CGIPassAuth On", true), ("CGIPassAuth Off", false)] {
        let site = site_of(row, "echo.py", |example| example.with("CGIPassAuth On", change));
        let told = site.send(&request).json();
        assert_eq!(told["environ"].get("HTTP_AUTHORIZATION").is_some(), there, "{change}");
        row.says_of_the_log(&site.web);
    }
}

fn no_length(row: &Row) {
    for (change, there) in [("SetEnv ap_trust_cgilike_cl 1", true), ("", false)] {
        let site =
            site_of(row, "echo.py", |example| example.with("SetEnv ap_trust_cgilike_cl 1", change));
        let answer = site.send(&Request::new("HEAD", "/"));
        assert_eq!(answer.header("Content-Length").is_some(), there, "{change}");
        row.says_of_the_log(&site.web);
    }
}

fn wrong_app(row: &Row) {
    let two = [(); 2].map(|()| apache::admitted(serve("wrong.py")).on_fastcgi());
    for (names, is_right) in [(["localhost", "localhost"], false), (["blog", "shop"], true)] {
        let line = |at: usize, path: &str| {
            let (socket, name) = (two[at].socket(), names[at]);
            format!("ProxyPass \"{path}\" \"unix:{}|fcgi://{name}/\"\n", socket.display())
        };
        let lines = format!("{}{}", line(0, "/blog/"), line(1, "/"));
        let web = row
            .example()
            .with("ProxyPass \"/\" \"unix:", "#ProxyPass \"/\" \"unix:")
            .with("ProxyTimeout 60\n", &lines)
            .boot();
        let pids = ["/blog/pid", "/pid"].map(|target| {
            let text = Request::get(target).send(web.address()).unwrap().text();
            text.parse::<i32>().unwrap()
        });
        let found = (0..2).all(|at| two[at].tree().contains(&pids[at]));
        assert_eq!(found, is_right, "{names:?}");
        row.says_of_the_log(&web);
    }
}
