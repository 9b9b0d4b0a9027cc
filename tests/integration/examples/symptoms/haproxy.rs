//! HAProxy's table.

use super::{Case, Row, is_full, is_mounted_unknown, is_silent, is_stopped, provoke, site_of};
use crate::harness::http::Request;

const CASES: [Case; 6] = [
    ("`SC--`", is_stopped),
    ("`Retry-After`", is_full),
    ("`tune.http.maxhdr`", too_many_headers),
    ("chunked upload", chunked),
    ("`timeout server`", |row| {
        let app = "    use-fcgi-app flupd\n";
        let impatient = format!("{app}    timeout server 1s\n");
        is_silent(row, row.example().with(app, &impatient));
    }),
    ("links without", |row| is_mounted_unknown(row, "haproxy-examples/mounted.cfg")),
];

#[test]
fn each_row_is_true() {
    provoke("haproxy-examples", &CASES, &[]);
}

fn too_many_headers(row: &Row) {
    let site = site_of(row, "answers.py", |example| example);
    row.says(&site.get("/many-headers?count=102"), &site.web);
}

fn chunked(row: &Row) {
    let site = site_of(row, "echo.py", |example| example);
    let chunks = vec![vec![b'x'; 70_000]; 3];
    row.says(&site.send(&Request::post("/", "").chunked(chunks)), &site.web);
}
