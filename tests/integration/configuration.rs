//! The configuration file, and what only it can do: several apps in one flupd.

use std::fs;
use std::path::Path;

use crate::harness::example::Example;
use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::front::WebServer;
use crate::harness::http::Request;
use crate::harness::python::{self, Interpreter};
use crate::harness::{app, nginx, source};

/// nginx in front of this flupd, with everything passed on.
fn front(flupd: &Flupd) -> WebServer {
    let socket = flupd.socket();
    nginx::start(|port| Example::open("nginx-examples/fastcgi.conf").listen(port).socket(&socket))
}

/// What `echo.py` and `interpreter.py` tell.
fn told(web: &WebServer, host: &str, target: &str) -> serde_json::Value {
    let response = Request::get(target).header("Host", host).send(web.address()).unwrap();
    assert_eq!(response.status, 200, "{host} {target}: {}", response.text());
    response.json()
}

fn mount(web: &WebServer, host: &str, target: &str) -> (String, String) {
    let told = told(web, host, target);
    let text = |name: &str| told["environ"][name].as_str().unwrap().to_owned();
    (text("SCRIPT_NAME"), text("PATH_INFO"))
}

#[test]
fn two_pythons_at_once_by_path_and_by_host() {
    let pythons = python::interpreters();
    let [
        Interpreter { version: old, path: old_path },
        ..,
        Interpreter { version: new, path: new_path },
    ] = &*pythons
    else {
        println!("skipped: one Python only on this machine");
        return;
    };
    let app = app("interpreter.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.old]\napp = {app:?}\npython = {old_path:?}\nworkers = 1\nprefix = \"/old\"\n\
         [apps.new]\napp = {app:?}\npython = {new_path:?}\nworkers = 1\nhost = \"new.example\"\n"
    ))
    .on_its_socket();
    let web = front(&flupd);
    let version = |host, target| {
        let told = told(&web, host, target);
        let parts: Vec<String> =
            told["version"].as_array().unwrap().iter().map(ToString::to_string).collect();
        parts.join(".")
    };
    assert_eq!(version("any.example", "/old/x"), *old);
    assert_eq!(version("new.example", "/"), *new);
    assert_eq!(version("NEW.example", "/old"), *new, "the host is more exact than any host");
}

#[test]
fn each_app_has_what_is_below_its_prefix() {
    let echo = app("echo.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.site]\napp = {echo:?}\nworkers = 1\n\
         [apps.shop]\napp = {echo:?}\nworkers = 1\nprefix = \"/shop\"\nenv = {{ A = \"b\" }}\n\
         [apps.admin]\napp = {echo:?}\nworkers = 1\nprefix = [\"/shop/admin\", \"/top\"]\n\
         [apps.named]\napp = {echo:?}\nworkers = 1\nprefix = \"/named\"\nscript-name = \"/\"\n"
    ))
    .on_its_socket();
    let web = front(&flupd);
    let table = [
        ("/", "", "/"),
        ("/shopping", "", "/shopping"),
        ("/shop", "/shop", ""),
        ("/shop/x%20y?q", "/shop", "/x y"),
        ("/shop/admin/", "/shop/admin", "/"),
        ("/top/x", "/top", "/x"),
        ("/shop/../top/x", "/top", "/x"),
        ("/named/x", "", "/named/x"),
    ];
    for (target, script_name, path_info) in table {
        let expected = (script_name.to_owned(), path_info.to_owned());
        assert_eq!(mount(&web, "x", target), expected, "{target}");
    }
}

#[test]
fn a_request_of_no_app_is_404_and_logged() {
    let hello = app("wrong.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.shop]\napp = {hello:?}\nworkers = 1\nhost = [\"a.example\", \"*.b.example\"]\n"
    ))
    .on_its_socket();
    let web = front(&flupd);
    let status = |host: &str| {
        Request::get("/hello").header("Host", host).send(web.address()).unwrap().status
    };
    assert_eq!((status("a.example"), status("x.b.example")), (200, 200));
    assert_eq!((status("b.example"), status("c.example")), (404, 404));
    flupd.wait_for_log("no app has the host c.example and the path /hello");
}

#[test]
fn a_listener_of_its_own() {
    let echo = app("echo.py");
    let interpreter = app("interpreter.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [[listen]]\nfastcgi = \"unix:own.sock\"\nmode = \"0600\"\napps = [\"own\"]\n\
         [apps.site]\napp = {echo:?}\nworkers = 1\n\
         [apps.own]\napp = {interpreter:?}\nworkers = 1\n"
    ))
    .on_its_socket();
    let own = flupd.file("own.sock");
    let ask = |socket: &Path| {
        let mut command = flupd::command();
        command.arg("request").arg(format!("unix:{}", socket.display())).arg("/");
        let output = command.output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (told["environ"].is_object(), told["version"].is_array())
    };
    assert_eq!(ask(&own), (false, true));
    assert_eq!(ask(&flupd.socket()), (true, false));
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(own).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_broken_app_leaves_the_others_alone() {
    let hello = app("wrong.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.good]\napp = {hello:?}\nworkers = 1\n\
         [apps.broken]\napp = \"DIR/broken.py\"\nworkers = 1\nprefix = \"/broken\"\n"
    ));
    fs::write(flupd.dir().join("broken.py"), "import no_such_module\n").unwrap();
    let flupd = flupd.on_its_socket();
    flupd.wait_for_log("ready");
    flupd.wait_for_log("the app can't be imported app=\"broken\"");
    let web = front(&flupd);
    let status = |target: &str| Request::get(target).send(web.address()).unwrap().status;
    assert_eq!((status("/hello"), status("/broken")), (200, 503));
    // It is tried again and again.
    let mends = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'mended']\n";
    fs::write(flupd.file("broken.py"), mends).unwrap();
    crate::harness::wait::until("it is mended", || status("/broken") == 200);
}

#[test]
fn an_app_has_the_environment_that_is_written() {
    let script = "import json, os\n\
        def application(environ, start_response):\n    start_response('200 OK', [])\n    \
        return [json.dumps(dict(os.environ)).encode()]\n";
    let serve = Serve::config(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.all]\napp = \"env.py\"\nworkers = 1\nenv = { GIVEN = \"1\", HIDDEN = \"2\" }\n\
         [apps.some]\napp = \"env.py\"\nworkers = 1\nprefix = \"/some\"\ninherit-env = [\"PATH\", \"NOT_THERE\"]\n\
         [apps.none]\napp = \"env.py\"\nworkers = 1\nprefix = \"/none\"\ninherit-env = false\nenv = { A = \"b\" }\n",
    );
    fs::write(serve.dir().join("env.py"), script).unwrap();
    let flupd = serve.env("HIDDEN", "0").env("PLAIN", "3").on_its_socket();
    let web = front(&flupd);
    let all = told(&web, "x", "/");
    assert_eq!(
        (&all["GIVEN"], &all["HIDDEN"], &all["PLAIN"]),
        (&"1".into(), &"2".into(), &"3".into())
    );
    let names = |target: &str| {
        let told = told(&web, "x", target);
        // Python sets this one itself in some locales.
        let names = told.as_object().unwrap().keys().filter(|name| *name != "LC_CTYPE");
        names.cloned().collect::<Vec<_>>()
    };
    assert_eq!(names("/some"), ["PATH"]);
    assert_eq!(names("/none"), ["A"]);
}

#[test]
fn a_mistake_is_said_with_its_line_and_nothing_is_started() {
    let (code, output) = Serve::config("[apps.shop]\napp = \"x\"\nwokers = 2\n").refused();
    assert_eq!(code, Some(2), "{output}");
    assert!(output.ends_with(": there is no key wokers here; did you mean workers?\n"));
    let mut command = flupd::command();
    let output = command.args(["serve", "--config", "a.toml", "--workers", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("'--config <FILE>' cannot be used with"), "{text}");
}

/// Bodies over 24 KiB are received in memory that workers share: each app has
/// its own.
#[test]
fn large_bodies_of_two_apps() {
    let echo = app("echo.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.small]\napp = {echo:?}\nworkers = 1\nprefix = \"/small\"\nmax-body = \"64K\"\n\
         [apps.large]\napp = {echo:?}\nworkers = 1\n"
    ))
    .on_its_socket();
    let web = front(&flupd);
    for _ in 0..3 {
        for target in ["/small", "/large"] {
            let response = Request::post(target, vec![b'x'; 60_000]).send(web.address()).unwrap();
            assert_eq!(response.json()["body_length"], 60_000);
        }
    }
    let status =
        |target| Request::post(target, vec![b'x'; 100_000]).send(web.address()).unwrap().status;
    assert_eq!((status("/small"), status("/large")), (413, 200));
}

/// The file that users copy, with their sites in place.
#[test]
fn the_example_is_served() {
    let (django, flask) = (source("demo/djangosite"), source("demo/flaskapp"));
    let venv = python::frameworks();
    let example = Example::open("examples/flupd.toml")
        .with("/run/flupd/app.sock", "DIR/app.sock")
        .site(&django)
        .with("/srv/tools", flask.to_str().unwrap())
        .with("python = \"venv\"", &format!("python = {venv:?}"));
    let serve = Serve::config(example.text());
    let database = serve.dir().to_owned();
    let flupd = serve.env("DEMO_DATA", database).on_its_socket();
    let web = front(&flupd);
    let get = |target: &str| Request::get(target).send(web.address()).unwrap();
    let tools = get("/tools/");
    assert_eq!(tools.status, 200, "{}", tools.text());
    // Its links begin where it is mounted.
    assert!(tools.text().contains("action=\"/tools/login\""), "{}", tools.text());
    let site = get("/none");
    assert_eq!(site.status, 404, "{}", site.text());
    assert!(!flupd.log().contains("no app has"), "{}", flupd.log());
}
