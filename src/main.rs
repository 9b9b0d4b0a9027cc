//! flupd: the FastCGI/SCGI gateway daemon for Python.
fn main() {}
