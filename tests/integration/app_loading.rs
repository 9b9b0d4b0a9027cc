//! Every form of APP, and what is said about those that cannot be loaded.

use std::fs;
use std::path::Path;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::temp_dir;

/// A module that answers with `name` from each of its callables.
const MODULE: &str = r#"
def answering(text):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]
    return app

application = answering("application of " + __name__)
app = answering("app of " + __name__)
other = answering("other of " + __name__)

class Namespace:
    inner = staticmethod(answering("inner of " + __name__))

def factory():
    return answering("made by factory of " + __name__)

not_callable = 3
"#;

/// A directory with one of everything.
fn project() -> tempfile::TempDir {
    let dir = temp_dir();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("package/sub")).unwrap();
    for file in ["module.py", "site.wsgi", "plain", "with space.py", "package/wsgi.py"] {
        fs::write(at(file), MODULE).unwrap();
    }
    fs::write(
        at("package/sub/deep.py"),
        "from package.wsgi import answering\napp = answering('app of deep')\n",
    )
    .unwrap();
    fs::write(at("neighbour.py"), "import module\napplication = module.application\n").unwrap();
    fs::write(at("empty.py"), "x = 1\n").unwrap();
    fs::write(at("broken.py"), "import no_such_module_anywhere\n").unwrap();
    fs::write(at("syntax.py"), "def oops(:\n").unwrap();
    dir
}

fn body_of(flupd: &Flupd) -> String {
    use std::io::Write;
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/", b"")).unwrap();
    Answer::read(&mut stream, 1).unwrap().body()
}

fn expect(app: &str, dir: &Path, text: &str) {
    let flupd = Serve::app(app).args(["--chdir"]).args([dir]).on_fastcgi();
    assert!(body_of(&flupd).starts_with(text), "{app}: {:?}\n{}", body_of(&flupd), flupd.log());
}

/// flupd ends with exit code 1, and its output has all these texts in it.
fn expect_refused(app: &str, dir: &Path, texts: &[&str]) {
    let serve = Serve::app(app).args(["--chdir"]).args([dir]);
    let (code, output) = serve.refused();
    assert_eq!(code, Some(1), "{app}:\n{output}");
    for text in texts {
        assert!(output.contains(text), "{app}: {text:?} is not said:\n{output}");
    }
}

#[test]
fn module_with_callable() {
    let dir = project();
    expect("module:other", dir.path(), "other of module");
    expect("module:Namespace.inner", dir.path(), "inner of module");
    expect("package.sub.deep:app", dir.path(), "app of deep");
}

#[test]
fn module_with_factory() {
    expect("module:factory()", project().path(), "made by factory of module");
}

#[test]
fn module_alone() {
    let dir = project();
    expect("module", dir.path(), "application of module");
    expect("package.wsgi", dir.path(), "application of package.wsgi");
    expect("package.sub.deep", dir.path(), "app of deep");
}

#[test]
fn file() {
    let dir = project();
    expect("module.py", dir.path(), "application of ");
    expect("package/wsgi.py", dir.path(), "application of ");
    expect("package/wsgi.py:other", dir.path(), "other of ");
    expect("module.py:factory()", dir.path(), "made by factory of ");
    let absolute = dir.path().join("with space.py");
    expect(absolute.to_str().unwrap(), dir.path(), "application of ");
}

#[test]
fn file_without_py() {
    let dir = project();
    expect("site.wsgi", dir.path(), "application of ");
    expect("./plain", dir.path(), "application of ");
    expect("site.wsgi:other", dir.path(), "other of ");
}

#[test]
fn a_file_may_import_its_neighbours() {
    let dir = project();
    expect("neighbour.py", dir.path(), "application of module");
}

#[test]
fn path_option() {
    let (dir, elsewhere) = (project(), temp_dir());
    let flupd = Serve::app("module:app").args(["--path"]).args([dir.path()]);
    let flupd = flupd.args(["--chdir"]).args([elsewhere.path()]).on_fastcgi();
    assert_eq!(body_of(&flupd), "app of module");
}

#[test]
fn import_error() {
    let dir = project();
    for app in ["broken", "broken.py", "broken:app"] {
        expect_refused(
            app,
            dir.path(),
            &[
                "\n    Traceback",
                "\n    ModuleNotFoundError: No module named 'no_such_module_anywhere'",
            ],
        );
    }
    expect_refused("syntax", dir.path(), &["SyntaxError", "syntax.py"]);
}

/// The code has become broken under a running flupd: requests are refused until
/// it is mended, and do not wait in vain.
#[test]
fn later_import_error() {
    let dir = temp_dir();
    let file = dir.path().join("mended.py");
    let app = format!("import os\n{MODULE}\ndef application(e, s):\n    os._exit(7)\n");
    fs::write(&file, app).unwrap();
    let serve = Serve::app("mended").args(["--workers", "1", "--chdir"]).args([dir.path()]);
    let flupd = serve.on_fastcgi();
    flupd.wait_for_log("INFO ready");
    fs::write(&file, "import no_such_module_anywhere\n").unwrap();
    // The first ends the worker and would be repeated, the second comes later.
    for _ in 0..2 {
        assert!(body_of(&flupd).starts_with("503"), "{}", flupd.log());
    }
    // The kill is our own doing: the log has the reason.
    flupd.wait_for_log("worker left");
    let log = flupd.log();
    assert!(log.contains("it can't start the app"), "{log}");
    assert!(!log.contains("SIGKILL"), "{log}");
    fs::write(&file, MODULE).unwrap();
    flupd.wait_for_log("replacement worker is ready");
    assert_eq!(body_of(&flupd), "application of mended");
}

#[test]
fn errors_name_what_was_tried() {
    let dir = project();
    expect_refused("missing:app", dir.path(), &["missing"]);
    expect_refused("missing.py", dir.path(), &["missing.py"]);
    expect_refused("module:absent", dir.path(), &["absent", "module"]);
    expect_refused("module:not_callable", dir.path(), &["not_callable", "callable"]);
    expect_refused("empty", dir.path(), &["empty", "application", "app"]);
}

#[test]
fn a_missing_directory_is_named() {
    let (code, output) = Serve::app("module").args(["--chdir", "/no/such/dir"]).refused();
    assert!(matches!(code, Some(1 | 2)), "{code:?}");
    assert!(output.contains("/no/such/dir"), "{output}");
}
