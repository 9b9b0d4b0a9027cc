//! docs/web-servers.md says what the tests show.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::process::Command;

use crate::harness::ability::Ability;
use crate::harness::front::Front;
use crate::harness::source;
use crate::spawned::way::Way;

const DOCUMENT: &str = "docs/web-servers.md";

/// The columns of the second table, in their order.
const FRONTS: [(&str, Front); 9] = [
    ("nginx_fastcgi", Front::NginxFastcgi),
    ("nginx_scgi", Front::NginxScgi),
    ("lighttpd_fastcgi", Front::LighttpdFastcgi),
    ("lighttpd_scgi", Front::LighttpdScgi),
    ("apache_fastcgi", Front::ApacheFastcgi),
    ("apache_scgi", Front::ApacheScgi),
    ("haproxy", Front::Haproxy),
    ("caddy", Front::Caddy),
    ("h2o", Front::H2o),
];

/// What the document calls an ability.
fn title(ability: Ability) -> &'static str {
    match ability {
        Ability::KeptConnections => "connections are kept",
        Ability::Multiplexing => "many requests on a connection",
        Ability::ChunkedUploads => "large uploads of unknown length",
        Ability::SmallChunkedUploads => "small uploads of unknown length",
        Ability::EmptySegments => "`//` in a path stays",
        Ability::QuestionMarks => "`%3F` in a path",
        Ability::AnyBytes => "paths that are no UTF-8",
        Ability::RepeatedCookies => "repeated Cookie headers",
        Ability::ManyResponseHeaders => "more than 100 response headers",
        Ability::ErrorLog => "`wsgi.errors` in its log",
        Ability::CutAnswers => "a cut answer, its length unknown",
        Ability::ShortAnswers => "a short answer is seen as cut",
        Ability::EarlyRefusals => "and at once, while the client still sends",
        Ability::SlowUploads => "a client that sends no more gets flupd's 408",
    }
}

/// The rows of a table, from the one below the dashes on, each without its outer bars.
pub fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = document.split_once(heading).unwrap();
    section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn document() -> String {
    fs::read_to_string(source(DOCUMENT)).unwrap()
}

/// All tests of this binary.
fn tests() -> HashSet<String> {
    let output = Command::new(env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let tests = list.lines().filter_map(|line| line.strip_suffix(": test"));
    tests.map(str::to_owned).collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn each_capability_is_as_the_tests_expect_it() {
    let rows = rows(&document(), "## Capabilities");
    let [names, rows @ ..] = &rows[..] else { panic!("no table") };
    let named: Vec<_> = names[1..=FRONTS.len()].iter().map(|cell| code(cell)).collect();
    assert_eq!(named, FRONTS.map(|(name, _)| name));

    let tests = tests();
    let mut abilities = Vec::new();
    for row in rows {
        let [what, cells @ .., case] = &row[..] else { panic!("{row:?}") };
        assert_eq!(cells.len(), FRONTS.len(), "{what}");
        let ability = Ability::ALL.into_iter().find(|ability| title(*ability) == what);
        abilities.extend(ability);
        let (file, case) = code(case).split_once("::").unwrap();
        for (cell, (name, front)) in cells.iter().zip(FRONTS) {
            let test = format!("servers::{file}::on::{case}::{name}");
            assert!(tests.contains(&test), "{what}: there is no test {test}");
            let can = ability.is_none_or(|ability| front.can(ability));
            assert_eq!(cell == "yes", can, "{what}, {name}: the document says {cell:?}");
        }
    }
    assert_eq!(abilities.len(), Ability::ALL.len(), "the document has {abilities:?}");
}

#[test]
fn each_job_has_its_test() {
    const SERVERS: [&str; 6] = ["nginx", "lighttpd", "apache", "haproxy", "caddy", "h2o"];
    let tests = tests();
    let rows = rows(&document(), "## Jobs");
    assert!(rows.len() > 10);
    for row in rows {
        let [what, cells @ .., case] = &row[..] else { panic!("{row:?}") };
        assert_eq!(cells.len(), SERVERS.len(), "{what}");
        for (cell, server) in cells.iter().zip(SERVERS) {
            let there =
                tests.iter().any(|test| test.starts_with(code(case)) && test.contains(server));
            let promised = cell.contains("](") || matches!(&**cell, "yes" | "after a second");
            assert!(there || !promised, "{what}, {server}: no test {case}");
        }
    }
}

/// The columns of the table of scripts.
const WAYS: [(&str, Way); 9] = [
    ("lighttpd_fastcgi", Way::LighttpdFastcgi),
    ("lighttpd_scgi", Way::LighttpdScgi),
    ("lighttpd_cgi", Way::LighttpdCgi),
    ("fcgid", Way::Fcgid),
    ("fcgid_wrapper", Way::FcgidWrapper),
    ("apache_cgid", Way::ApacheCgid),
    ("apache_cgi", Way::ApacheCgi),
    ("spawn_fcgi", Way::SpawnFcgi),
    ("multiwatch", Way::Multiwatch),
];

#[test]
fn each_way_to_start_a_script_is_as_the_tests_expect_it() {
    let rows = rows(&document(), "## Scripts that are started");
    let [names, rows @ ..] = &rows[..] else { panic!("no table") };
    let named: Vec<_> = names[1..=WAYS.len()].iter().map(|cell| code(cell)).collect();
    assert_eq!(named, WAYS.map(|(name, _)| name));
    let tests = tests();
    assert!(rows.len() >= 7);
    for row in rows {
        let [what, cells @ .., case] = &row[..] else { panic!("{row:?}") };
        assert_eq!(cells.len(), WAYS.len(), "{what}");
        let (file, case) = code(case).split_once("::").unwrap();
        for (cell, (name, way)) in cells.iter().zip(WAYS) {
            let test = format!("spawned::{file}::by::{case}::{name}");
            assert!(tests.contains(&test), "{what}: there is no test {test}");
            let can = match case {
                "many_clients" => !way.is_cgi(),
                "a_crash_costs_one_request" | "a_kill_leaves_nobody_behind" => way.is_watched(),
                _ => true,
            };
            assert_eq!(cell, if can { "yes" } else { "no" }, "{what}, {name}");
        }
    }
}

#[test]
fn what_depends_on_no_web_server_has_its_test() {
    let tests = tests();
    let rows = rows(&document(), "## What depends on no web server");
    assert!(rows.len() >= 7);
    for row in rows {
        let [what, case] = &row[..] else { panic!("{row:?}") };
        let case = code(case);
        let is_there =
            tests.iter().any(|test| test == case || case.ends_with("::") && test.starts_with(case));
        assert!(is_there, "{what}: there is no test {case}");
    }
}

/// Links to files of this repository lead somewhere.
#[test]
fn each_link_leads_somewhere() {
    let document = document();
    let links = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links: Vec<_> = links.filter(|link| !link.contains("://")).collect();
    assert!(links.len() > 20, "{links:?}");
    for link in links {
        let path = link.split('#').next().unwrap();
        assert!(source("docs").join(path).exists(), "{link}");
    }
}
