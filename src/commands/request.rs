//! `flupd request`: a client for looking at a server without a web server.
