//! What must hold behind every web server: each case is written once, and
//! [`on_servers!`] makes a test per server of it.

mod answers;
mod cancelled;
mod connections;
mod errors;
mod headers;
mod load;
mod methods;
mod paths;
mod refusals;
mod streaming;
mod uploads;
