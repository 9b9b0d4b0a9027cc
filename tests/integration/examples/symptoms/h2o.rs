//! H2O's table.

use super::{Case, Row, is_cut_unseen, is_full, is_mounted_unknown, is_silent, is_stopped};
use super::{is_too_large, provoke, site_of};

const CASES: [Case; 7] = [
    ("failed to connect", is_stopped),
    ("`Retry-After`", is_full),
    ("I/O timeout", |row| {
        let (old, new) = ("fastcgi.timeout.io: 60000", "fastcgi.timeout.io: 1000");
        is_silent(row, row.example().with(old, new));
    }),
    ("100 response headers", too_many_headers),
    ("`limit-request-body`", |row| {
        let (old, new) = ("limit-request-body: 67108864", "limit-request-body: 1000");
        is_too_large(row, row.example().with(old, new));
    }),
    ("links without", |row| is_mounted_unknown(row, "h2o-examples/mounted.conf")),
    ("half an answer", is_cut_unseen),
];

#[test]
fn each_row_is_true() {
    provoke("h2o-examples", &CASES, &[]);
}

fn too_many_headers(row: &Row) {
    let site = site_of(row, "answers.py", |example| example);
    row.says(&site.get("/many-headers?count=102"), &site.web);
}
