//! The command line.

use super::*;
use crate::cli::{Cli, Command};
use crate::config::Workers;
use crate::config::address::Address;
use crate::config::{AppLimits, Protocol};
use clap::Parser;

fn check(options: &[&str]) -> Result<ServeConfig, ConfigError> {
    let words = ["flupd", "serve", "app:application"].iter().chain(options);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Serve(args) => ServeConfig::read_with(*args, Power::Ordinary),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_defaults_are_named() {
    let config = check(&[]).unwrap();
    assert_eq!(config.apps[&AppId(0)].defaults, ["workers", "threads", "python"]);
    assert_eq!(config.apps[&AppId(0)].threads, 4);
    assert_eq!(config.listeners[0].socket.mode, 0o660);
    assert_eq!(config.graceful_timeout.as_secs(), 30);
    assert_eq!(config.apps[&AppId(0)].limits, AppLimits::default());
    assert_eq!(config.timeouts, Timeouts::default());
    let [listen] = &*config.listeners else { panic!("{:?}", config.listeners) };
    assert!(listen.default);
    assert_eq!(listen.protocol, Protocol::Fastcgi);
    assert_eq!(listen.address, Address::Unix("./flupd.sock".into()));
}

#[test]
fn what_is_given_is_no_default() {
    let config = check(&[
        "--scgi=127.0.0.1:4000",
        "--workers=3",
        "--threads=1",
        "--python=/usr/bin/python3",
        "--max-params=2M",
        "--queue=0",
        "--keep-timeout=1.5",
    ])
    .unwrap();
    assert!(config.apps[&AppId(0)].defaults.is_empty() && !config.listeners[0].default);
    let app = &config.apps[&AppId(0)];
    assert_eq!((app.workers, app.threads), (Workers::fixed(3), 1));
    assert_eq!((app.limits.params, app.limits.queue), (2 << 20, 0));
    assert_eq!(config.timeouts.keep.as_millis(), 1500);
}

#[test]
fn directories_are_absolute_and_exist() {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir(base.path().join("lib")).unwrap();
    std::fs::write(base.path().join("file"), "").unwrap();
    let chdir = format!("--chdir={}", base.path().display());
    let config = check(&[&chdir, "--path=lib"]).unwrap();
    assert_eq!(config.apps[&AppId(0)].path, [base.path().join("lib")]);
    let error = check(&[&chdir, "--path=file"]).unwrap_err().to_string();
    assert!(error.starts_with("--path /") && error.contains("not a directory"), "{error}");
    let error = check(&["--chdir=/no/such"]).unwrap_err().to_string();
    assert!(error.starts_with("--chdir /no/such: No such file"), "{error}");
}

#[test]
fn a_mount_point_has_one_form() {
    for (given, kept) in [("/", ""), ("", ""), ("/shop", "/shop"), ("/shop/", "/shop")] {
        let config = check(&["--script-name", given]).unwrap();
        assert_eq!(config.apps[&AppId(0)].script_name.as_deref(), Some(kept));
    }
    let error = check(&["--script-name=shop"]).unwrap_err().to_string();
    assert!(error.starts_with("--script-name \"shop\": a mount point begins"), "{error}");
}

#[test]
fn every_bad_value_says_where_it_stands() {
    let table: &[(&[&str], &str)] = &[
        (&["--fastcgi=9000"], "--fastcgi \"9000\": not an address; write unix:/path"),
        (
            &["--allow=192.0.2.7/24"],
            "--allow \"192.0.2.7/24\": 192.0.2.7 is not the first address of this network; write 192.0.2.0/24",
        ),
        (&["--allow=::1"], "--allow ::1/128 is about the other kind of address"),
        (
            &["--allow=uid:0", "--fastcgi=127.0.0.1:0"],
            "--allow uid:0 is about the other kind of address",
        ),
        (&["--scgi=[x]:1"], "--scgi \"[x]:1\": \"x\" is not an IPv6 address"),
        (&["--scgi=fd:0", "--fastcgi=fd:0"], "--scgi fd:0: this address is given twice"),
        (&["--max-params=1023K"], "--max-params 1047552: the limit on params is at least 1M"),
        (&["--max-body=9999999999G"], "--max-body"),
    ];
    for (options, start) in table {
        let text = check(options).unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
    }
}
