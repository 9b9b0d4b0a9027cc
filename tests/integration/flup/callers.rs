//! What is written for flup and still kept, as its makers have it, behind real
//! web servers, in each way in which it can be started.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use super::HOWTO;
use super::site::{Script, get, nginx_on, page};
use crate::harness::example::Example;
use crate::harness::front::WebServer;
use crate::harness::http::Request;
use crate::harness::process::Process;
use crate::harness::{nginx, wait};

#[test]
fn the_demo_of_pythons_howto_started_by_lighttpd() {
    for kind in ["fcgi", "fcgi_fork", "fcgi_single"] {
        let text = HOWTO.replace("flup.server.fcgi", &format!("flup.server.{kind}"));
        Script::new("").in_each_way(&format!("{text}WSGIServer(app).run()\n"), |web, way| {
            let page = page(web, "/some/where?a=b&c=d");
            assert!(page.starts_with("<h1>FastCGI Environment</h1><table><tr><th>"), "{page}");
            for row in [
                "<tr><th>QUERY_STRING</th><td>a=b&amp;c=d</td></tr>",
                "<tr><th>PATH_INFO</th><td>/some/where</td></tr>",
                "<tr><th>SCRIPT_NAME</th><td></td></tr>",
            ] {
                assert!(page.contains(row), "{kind} {way:?}: {row} in {page}");
            }
        });
    }
}

#[test]
fn the_demo_of_pythons_howto_behind_nginx() {
    for (kind, example, says) in [
        ("fcgi", "nginx-examples/fastcgi.conf", "run returned True"),
        ("fcgi_fork", "nginx-examples/fastcgi-keepconn.conf", "run returned True"),
        ("fcgi_single", "nginx-examples/fastcgi-keepconn.conf", "run returned True"),
        ("scgi", "nginx-examples/scgi.conf", "run returned True"),
        ("scgi_fork", "nginx-examples/scgi.conf", "run returned True"),
    ] {
        let text = HOWTO.replace("flup.server.fcgi", &format!("flup.server.{kind}"));
        let run = "print('run returned', WSGIServer(app, bindAddress='app.sock').run())\n";
        let (web, served) = Script::new(&format!("{text}{run}")).behind_nginx(example);
        for _ in 0..5 {
            let page = page(&web, "/some/where?a=b");
            assert!(page.contains("<tr><th>PATH_INFO</th><td>/some/where</td></tr>"), "{page}");
            assert!(page.contains("<tr><th>HTTP_HOST</th>"), "{page}");
        }
        served.stop(Signal::HUP, says);
    }
}

#[test]
fn bottle() {
    let app = "\
import bottle

@bottle.get('/hello/<name>')
def hello(name):
    return bottle.template('Hello {{name}}', name=name)

@bottle.post('/upload')
def upload():
    return str(len(bottle.request.files['file'].file.read()))

";
    let run = "bottle.run(server=bottle.FlupFCGIServer, bindAddress='app.sock')\n";
    let script = Script::new(&format!("{app}{run}"));
    let (web, _served) = script.behind_nginx("nginx-examples/fastcgi.conf");
    assert_eq!(page(&web, "/hello/<b>w%C3%B6rld"), "Hello &lt;b&gt;wörld");
    let file = "x".repeat(200_000);
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{file}\r\n--b--\r\n"
    );
    let post_file = |web: &WebServer| {
        let upload = Request::post("/upload", body.clone())
            .header("Content-Type", "multipart/form-data; boundary=b");
        let answer = upload.send(web.address()).unwrap();
        (answer.status, answer.text())
    };
    assert_eq!(post_file(&web), (200, "200000".into()));
    assert_eq!(get(&web, "/no-such-page").status, 404);

    let run = "bottle.run(server=bottle.FlupFCGIServer, bindAddress=None)\n";
    Script::new("").in_each_way(&format!("{app}{run}"), |web, way| {
        assert_eq!(page(web, "/hello/w%C3%B6rld"), "Hello wörld", "{way:?}");
        assert_eq!(post_file(web), (200, "200000".into()), "{way:?}");
    });
}

#[test]
fn web_py() {
    let app = "\
import web

class hello:
    def GET(self, name):
        return 'Hello ' + name
    def POST(self, name):
        return web.input().said + web.ctx.path

app = web.application(('/(.*)', 'hello'), globals())
";
    // lighttpd says PHP_FCGI_CHILDREN, which web.py takes for the sign to serve fd 0;
    // for CGI it has wsgiref.
    Script::new("").in_each_way(&format!("{app}app.run()\n"), |web, way| {
        assert_eq!(page(web, "/world"), "Hello world", "{way:?}");
        let post = Request::post("/there", "said=this")
            .header("Content-Type", "application/x-www-form-urlencoded");
        assert_eq!(post.send(web.address()).unwrap().text(), "this/there", "{way:?}");
    });

    for (run, example) in [
        ("web.wsgi.runfcgi(app.wsgifunc(), 'app.sock')\n", "nginx-examples/fastcgi.conf"),
        ("web.wsgi.runscgi(app.wsgifunc(), 'app.sock')\n", "nginx-examples/scgi.conf"),
    ] {
        let (web, _served) = Script::new(&format!("{app}{run}")).behind_nginx(example);
        assert_eq!(page(&web, "/world"), "Hello world");
    }
}

#[test]
fn cherrypy_and_its_own_ways_to_end() {
    for (server, example) in [
        ("FlupFCGIServer", "nginx-examples/fastcgi.conf"),
        ("FlupSCGIServer", "nginx-examples/scgi.conf"),
    ] {
        let text = format!(
            "\
import cherrypy
from cherrypy.process import servers

class Root:
    @cherrypy.expose
    def index(self, said=''):
        return 'CherryPy hears ' + said

app = cherrypy.tree.mount(Root())
cherrypy.config.update({{'engine.autoreload.on': False}})
cherrypy.server.unsubscribe()
server = servers.{server}(application=app, bindAddress='app.sock')
servers.ServerAdapter(cherrypy.engine, httpserver=server, bind_addr='app.sock').subscribe()
cherrypy.engine.signals.subscribe()
cherrypy.engine.start()
cherrypy.engine.block()
print('CherryPy has ended')
"
        );
        let (web, served) = Script::new(&text).behind_nginx(example);
        for _ in 0..3 {
            assert_eq!(page(&web, "/?said=you"), "CherryPy hears you");
        }
        wait::until("CherryPy has started", || served.process.log().contains("Bus STARTED"));
        served.stop(Signal::TERM, "CherryPy has ended");
    }
}

#[test]
fn trac() {
    let script = Script::new("");
    let project = script.path("project");
    let admin = "import sys; from trac.admin.console import run; sys.exit(run(sys.argv[1:]))";
    let project = project.to_str().unwrap();
    script.run(
        &Script::python(),
        &["-c", admin, project, "initenv", "Our Project", "sqlite:db/trac.db"],
    );
    // What `trac-admin deploy` writes as cgi-bin/trac.fcgi.
    let text = format!(
        "import os
os.environ.setdefault('TRAC_ENV', {project:?})
os.environ['TRAC_USE_FLUP'] = '1'
from trac.web import fcgi_frontend
assert fcgi_frontend.use_flup
fcgi_frontend.run()
"
    );
    script.in_each_way(&text, |web, way| {
        let page = page(web, "/wiki/WikiStart");
        assert!(
            page.contains("Our Project") && page.contains("Welcome to Trac"),
            "{way:?}: {page}"
        );
        assert_eq!(get(web, "/wiki/NoSuch%20Page%C3%A9").status, 404, "{way:?}");
        let newticket = get(web, "/newticket");
        assert!([200, 403].contains(&newticket.status), "{way:?}: {}", newticket.text());
    });
}

#[test]
fn mercurial_serves_a_repository() {
    let script = Script::new("");
    let hg = "import sys; from mercurial import dispatch; dispatch.run()";
    let repository = script.path("repository");
    let at = repository.to_str().unwrap();
    let python = Script::python();
    script.run(&python, &["-c", hg, "init", at]);
    fs::write(repository.join("file"), "of Mercurial\n").unwrap();
    script.run(&python, &["-c", hg, "-R", at, "commit", "-A", "-u", "me", "-m", "the first one"]);
    // contrib/hgweb.fcgi of Mercurial.
    let text = format!(
        "from mercurial import demandimport; demandimport.enable()
from mercurial.hgweb import hgweb
from flup.server.fcgi import WSGIServer
config = {at:?}.encode()
WSGIServer(hgweb(config)).run()
"
    );
    script.in_each_way(&text, |web, way| {
        let page = page(web, "/log");
        assert!(page.contains("the first one"), "{way:?}: {page}");
        let clone = script.path(&format!("clone by {way:?}"));
        let url = format!("http://{}/", web.address());
        script.run(&python, &["-c", hg, "clone", &url, clone.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(clone.join("file")).unwrap(), "of Mercurial\n", "{way:?}");
    });
}

#[test]
fn wsgidav() {
    let script = Script::new("");
    let root = script.path("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("old"), "an old file").unwrap();
    let port = crate::harness::ports::free();
    let run = "import sys; from wsgidav.server.server_cli import run; sys.exit(run())";
    let python = Script::python();
    let mut command = script.command(&python, &["-c", run, "--server", "flup-fcgi"]);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--auth", "anonymous"]);
    command.arg("--root").arg(&root);
    let mut process = Process::start("wsgidav", &mut command, script.path("log"));
    wait::until("WsgiDAV accepts connections", || {
        if let Some(status) = process.ended() {
            panic!("WsgiDAV ended with {status}: {}", process.log());
        }
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let web = nginx::start(|listen| {
        Example::open("nginx-examples/fastcgi.conf")
            .listen(listen)
            .tcp("unix:/run/flupd/app.sock", &format!("127.0.0.1:{port}"))
    });
    assert_eq!(page(&web, "/old"), "an old file");
    let body = "x".repeat(100_000);
    let put = Request::new("PUT", "/new").body(body.clone()).send(web.address()).unwrap();
    assert_eq!(put.status, 201, "{}", process.log());
    assert_eq!(fs::read_to_string(root.join("new")).unwrap(), body);
    let found = Request::new("PROPFIND", "/").header("Depth", "1").send(web.address()).unwrap();
    assert_eq!(found.status, 207);
    assert!(found.text().contains("/new") && found.text().contains("/old"), "{}", found.text());
    assert_eq!(Request::new("DELETE", "/old").send(web.address()).unwrap().status, 204);
    assert!(!root.join("old").exists());
}

#[test]
fn paste_serve() {
    let script = Script::new("");
    fs::write(
        script.path("paste.ini"),
        "[app:main]\npaste.app_factory = hello:factory\n\
         [server:main]\nuse = egg:flup#fcgi_fork\nsocket = %(here)s/app.sock\nmaxSpare = 2\n\
         [server:threads]\nuse = egg:flup#scgi\nhost = 127.0.0.1\nport = 1\n",
    )
    .unwrap();
    fs::write(
        script.path("hello.py"),
        "def factory(global_conf, **kw):\n    def app(environ, start_response):\n        \
         start_response('200 OK', [('Content-Type', 'text/plain')])\n        \
         return [b'hello from paste']\n    return app\n",
    )
    .unwrap();
    let run = "import sys; sys.path.insert(0, '.'); \
               from paste.deploy import loadapp, loadserver; \
               config = 'config:' + __import__('os').path.abspath('paste.ini'); \
               loadserver(config)(loadapp(config))";
    let (python, socket) = (Script::python(), script.path("app.sock"));
    let served = script.serve(&python, &["-c", run], &socket);
    let web = nginx_on("nginx-examples/fastcgi.conf", &socket);
    assert_eq!(page(&web, "/"), "hello from paste");
    served.stop(Signal::TERM, "");
}

/// A web server that goes, by whatever way, leaves nobody behind.
#[test]
fn lighttpd_leaves_nobody_behind() {
    for kind in ["fcgi", "fcgi_single", "fcgi_fork"] {
        let text = format!(
            "from flup.server.{kind} import WSGIServer\nimport os\nopen('pid', 'w').write(str(os.getpid()))\n\
             def app(environ, start_response):\n    start_response('200 OK', [])\n    return ['x']\n\
             WSGIServer(app).run()\nopen('ended', 'w').close()\n"
        );
        let text =
            format!("import os; os.chdir(os.path.dirname(os.path.abspath(__file__)))\n{text}");
        let (web, script) = Script::new(&text).behind_lighttpd();
        assert_eq!(page(&web, "/"), "x");
        let pid = fs::read_to_string(script.path("pid")).unwrap();
        drop(web);
        let process = PathBuf::from(format!("/proc/{pid}"));
        wait::until("the script ends", || !process.exists());
        assert!(script.path("ended").exists(), "{kind} ended in order");
    }
}
