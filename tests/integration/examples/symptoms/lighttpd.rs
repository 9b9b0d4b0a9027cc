//! lighttpd's table.

use super::{Case, Row, is_full, is_stopped, provoke, site_of};
use crate::harness::http::Request;
use crate::harness::script::Script;
use crate::spawned::way::Way;

const CASES: [Case; 6] = [
    ("No such file", is_stopped),
    ("`Retry-After`", is_full),
    ("chunked upload", chunked),
    ("no UTF-8", no_utf8),
    ("links without", no_fix),
    ("`child exited: 1`", |row| {
        let site = Way::LighttpdFastcgi.start(Script::with("import no_such_module\n"));
        row.says(&site.get("/"), &site.web);
        site.wait_for_log("No module named 'no_such_module'");
    }),
];

#[test]
fn each_row_is_true() {
    // Root's lighttpd may open any socket; and what does not start answers nothing.
    let by_hand = ["Permission denied", "child exited: 127", "not executable"];
    provoke("lighttpd-examples", &CASES, &by_hand);
}

fn chunked(row: &Row) {
    let site = site_of(row, "echo.py", |example| example.uncomment("server.stream-request-body"));
    let chunks = vec![vec![b'x'; 70_000]; 3];
    row.says(&site.send(&Request::post("/", "").chunked(chunks)), &site.web);
}

fn no_utf8(row: &Row) {
    let site = site_of(row, "echo.py", |example| example);
    row.says(&site.get("/%FF"), &site.web);
    let fix = row.cells[3].trim_matches('`').to_owned();
    let site = site_of(row, "echo.py", |example| {
        example.with("server.stream-response-body = 1", &format!("{fix}\n"))
    });
    assert_eq!(site.get("/%FF").status, 200);
}

fn no_fix(row: &Row) {
    let site = site_of(row, "echo.py", |example| {
        example.with("\"fix-root-scriptname\" => \"enable\",", "")
    });
    assert_eq!(site.get("/a/b").json()["environ"]["SCRIPT_NAME"], "/a");
    row.says_of_the_log(&site.web);
}
