//! flupd: the FastCGI/SCGI gateway daemon for Python.

mod config;
mod control;
mod observe;

fn main() {}
