//! The load generator of flupd's benchmark: FastCGI, SCGI or HTTP on one
//! thread, with every latency kept. Prints one JSON object. Another process of it
//! holds connections that do nothing.

mod address;
mod answer;
mod beside;
mod client;
mod closed;
mod latencies;
mod open;
mod request;
mod wait;

use std::io;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};

use address::Address;
use client::Target;
use request::Protocol;

#[derive(Parser)]
#[command(about = "Loads a FastCGI, SCGI or HTTP server and says how it fared")]
struct Cli {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Clients that each send their next request when they have an answer
    Closed(Closed),
    /// Requests at a fixed rate, however long the answers take
    Open(Open),
    /// Connections that do nothing, until standard input ends. Says how many there are when they are made
    Hold(Hold),
}

#[derive(Args)]
struct Common {
    /// unix:/PATH or HOST:PORT, an address without names
    address: Address,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The path to ask for
    #[arg(long, default_value = "/hello")]
    page: String,
}

#[derive(Args)]
struct Closed {
    #[command(flatten)]
    common: Common,
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Keep each connection for the next request
    #[arg(long)]
    keep: bool,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// The length of the request's body, in bytes
    #[arg(long, default_value_t = 0)]
    body: usize,
}

#[derive(Args)]
struct Open {
    #[command(flatten)]
    common: Common,
    #[arg(long, value_enum, default_value = "http")]
    protocol: Protocol,
    /// Requests a second
    #[arg(long)]
    rate: f64,
    /// The path of some of the requests, whose latencies are not counted
    #[arg(long, requires = "slow_percent")]
    slow_page: Option<String>,
    /// How many of them
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    slow_percent: u64,
    /// Space the requests evenly, slow ones too, instead of at random
    #[arg(long)]
    even: bool,
}

#[derive(Args)]
struct Hold {
    /// unix:/PATH or HOST:PORT, an address without names
    address: Address,
    /// The path that idle ones have asked for
    #[arg(long, default_value = "/hello")]
    page: String,
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Ask the server to keep those that have their answer
    #[arg(long)]
    keep: bool,
    /// Connections that send nothing
    #[arg(long, default_value_t = 0)]
    silent: usize,
    /// Connections that had one answer
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Connections that stop amid their params
    #[arg(long, default_value_t = 0)]
    stalled: usize,
}

fn main() -> Result<()> {
    let outcome = match Cli::parse().kind {
        Kind::Closed(options) => run_closed(options)?,
        Kind::Open(options) => run_open(options)?,
        Kind::Hold(options) => return hold(options),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn run_closed(options: Closed) -> Result<latencies::Outcome> {
    ensure!(options.connections > 0, "--connections must be at least 1");
    let Closed { common, protocol, keep, .. } = options;
    let request = request::encode(protocol, &common.page, keep, options.body);
    let target = Target { address: common.address, protocol, keep };
    closed::run(&target, &request, options.connections, seconds(common.seconds))
}

fn run_open(options: Open) -> Result<latencies::Outcome> {
    let Open { common, protocol, .. } = options;
    ensure!(options.rate > 0.0, "--rate must be above 0");
    let encode = |page: &str| request::encode(protocol, page, true, 0);
    let load = open::Load {
        fast: encode(&common.page),
        slow: encode(options.slow_page.as_deref().unwrap_or_default()),
        slow_percent: options.slow_percent,
        rate: options.rate,
        even: options.even,
        time: seconds(common.seconds),
    };
    let target = Target { address: common.address, protocol, keep: true };
    open::run(&target, &load)
}

fn hold(options: Hold) -> Result<()> {
    let Hold { address, protocol, keep, .. } = options;
    let request = request::encode(protocol, &options.page, keep, 0);
    let target = Target { address, protocol, keep };
    let held = [
        beside::silent(&target, options.silent)?,
        beside::idle(&target, options.idle, &request)?,
        beside::stalled(&target, options.stalled, &request)?,
    ];
    println!("{}", held.iter().map(Vec::len).sum::<usize>());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}
