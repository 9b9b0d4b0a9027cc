//! nginx's table.

use super::{Case, Row, is_collected, is_full, is_mounted_unknown, is_silent, is_stopped};
use super::{is_too_large, provoke, site_of};

const CASES: [Case; 7] = [
    ("No such file", is_stopped),
    ("too big header", too_big_header),
    ("`Retry-After`", is_full),
    ("upstream timed out", |row| {
        let (old, new) = ("fastcgi_read_timeout 60s", "fastcgi_read_timeout 1s");
        is_silent(row, row.example().with(old, new));
    }),
    ("too large body", |row| {
        let (old, new) = ("client_max_body_size 64m", "client_max_body_size 1k");
        is_too_large(row, row.example().with(old, new));
    }),
    ("links without", |row| is_mounted_unknown(row, "nginx-examples/mounted.conf")),
    ("nothing for long", |row| is_collected(row, row.example())),
];

#[test]
fn each_row_is_true() {
    // Root's nginx may open any socket.
    provoke("nginx-examples", &CASES, &["Permission denied"]);
}

fn too_big_header(row: &Row) {
    let site = site_of(row, "answers.py", |example| example);
    row.says(&site.get("/many-headers?count=300"), &site.web);
}
