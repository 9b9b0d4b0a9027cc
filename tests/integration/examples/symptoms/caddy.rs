//! Caddy's table.

use super::{Case, is_collected, is_cut_unseen, is_full, is_mounted_unknown, is_silent};
use super::{is_stopped, is_too_large, provoke};

const CASES: [Case; 7] = [
    ("no such file", is_stopped),
    ("`Retry-After`", is_full),
    ("i/o timeout", |row| {
        is_silent(row, row.example().with("read_timeout 60s", "read_timeout 1s"));
    }),
    ("`max_size`", |row| {
        is_too_large(row, row.example().with("max_size 64MB", "max_size 1KB"));
    }),
    ("links without", |row| is_mounted_unknown(row, "caddy-examples/mounted.caddyfile")),
    ("nothing for long", |row| {
        is_collected(row, row.example().with("flush_interval -1", ""));
    }),
    ("half an answer", is_cut_unseen),
];

#[test]
fn each_row_is_true() {
    // Root's Caddy may open any socket.
    provoke("caddy-examples", &CASES, &["permission denied"]);
}
