//! The dashboard in a real Chromium: what it shows is what flupd does.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::site::{DESK, Site, address, line};
use crate::harness::flupd::Serve;
use crate::harness::{app, fcgi, wait};

/// The first thing that an administrator wants to know.
#[test]
fn a_stuck_request_and_its_line_are_seen() {
    let site = Site::stuck(&["--workers", "1", "--threads", "2"]);
    let page = site.look(DESK);
    page.wait_for("#requests", "No request runs");
    let _stuck = site.ask("/in_sleep?order=7");
    page.wait_for("#requests", "GET /in_sleep?order=7");
    page.wait_for("#requests", "in the app");
    // Who opens it sees all frames, by the keyboard too.
    page.eval("document.querySelector('#requests .what button').focus()");
    for kind in ["rawKeyDown", "char", "keyUp"] {
        let enter = json!({"type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13});
        page.command("Input.dispatchKeyEvent", enter);
    }
    let innermost = format!("line {}, in in_sleep", line("in_sleep"));
    page.wait_for(".frames li:last-child", &innermost);
    assert!(page.text(".frames").contains("in application"), "{}", page.text(".frames"));
    assert_eq!(page.eval("document.activeElement.ariaExpanded"), "true");
    // After some seconds it stands out by itself.
    page.wait_for("tbody.stuck .at", &format!("stuck.py:{} in in_sleep", line("in_sleep")));
    page.wait("document.title === '(1 stuck) flupd'");
    page.wait_for("#requests-title", "1, 1 stuck");
    assert_eq!(page.eval("document.activeElement.ariaExpanded"), "true");
    assert_eq!(page.errors(), Vec::<Value>::new());
    let home = format!("http://{}/", site.status);
    assert!(page.asked().iter().all(|url| url.starts_with(&home)), "{:?}", page.asked());
}

/// Whatever stands in a URL or in a method is text.
#[test]
fn nothing_from_a_client_is_markup() {
    let site = Site::stuck(&["--workers", "1", "--threads", "3"]);
    let page = site.look(DESK);
    let hostile =
        "/in_sleep?<script>hacked=1</script><img src=x onerror=hacked=1>\u{202e}gpj.exe&amp;";
    let _stuck = site.ask(hostile);
    let mut other = site.flupd.connect();
    other.write_all(&fcgi::request(1, 0, "<b onclick=hacked=1>", "/in_sleep", b"")).unwrap();
    page.wait_for("#requests", hostile);
    page.wait_for("#requests", "<b onclick=hacked=1>");
    assert_eq!(page.eval("document.querySelectorAll('#requests :is(script, img, b b)').length"), 0);
    assert_eq!(page.eval("typeof hacked"), "undefined");
    // And if there were markup, it would not run.
    let added = "(() => { try { document.body.innerHTML += '<img src=x onerror=hacked=1>' } \
                 catch (error) { return error.name } })()";
    assert_eq!(page.eval(added), "TypeError");
}

/// The new generation appears and serves, the old one drains and goes.
#[test]
fn a_reload_is_followed() {
    follows_a_reload(&Site::stuck(&["--workers", "1", "--threads", "1"]));
}

/// In solo mode another process tells all of it.
#[test]
fn a_reload_of_solo_workers_is_followed() {
    follows_a_reload(&Site::stuck(&["--solo"]));
}

fn follows_a_reload(site: &Site) {
    let page = site.look(DESK);
    page.wait_for("#workers", "generation 1 serving");
    // It is noted once a second, so that it may be noted that there was nobody yet.
    page.wait_for("#chart-threads dd.s1", "1");
    let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
    let _held = site.ask(&format!("/hold?started={}&gate={}", started.display(), gate.display()));
    wait::until_exists(&started);
    site.flupd.signal(Signal::HUP);
    page.wait_for("#workers", "generation 1 draining");
    page.wait_for("#workers", "generation 2 serving");
    page.wait_for("#chart-rate text.mark", "reload");
    page.wait_for("#requests", "GET /hold");
    fs::write(gate, "").unwrap();
    page.wait("!document.querySelector('#workers').innerText.includes('generation 1')");
    page.wait_for("#ends li.expected", "worker 1");
    assert_eq!(page.errors(), Vec::<Value>::new());
}

/// Who died, why, and what was lost.
#[test]
fn a_worker_that_died_is_told_with_its_cause() {
    tells_of_a_death(&Site::stuck(&["--workers", "1", "--threads", "1"]));
}

/// The one of a solo worker, in which a request was stuck with its line seen.
#[test]
fn a_solo_worker_that_died_is_told_with_its_cause() {
    let site = Site::stuck(&["--solo"]);
    tells_of_a_death(&site);
    let page = site.look(DESK);
    let _stuck = site.ask("/in_c?order=8");
    page.wait_for("#requests", "GET /in_c?order=8");
    page.wait_for("tbody.stuck .at", &format!("stuck.py:{} in in_c", line("in_c")));
    assert_eq!(page.errors(), Vec::<Value>::new());
}

fn tells_of_a_death(site: &Site) {
    let page = site.look(DESK);
    assert_eq!(page.eval("document.querySelector('#ends').hidden"), true);
    let pid: i32 = site.answer("/pid").parse().unwrap();
    let _stuck = site.ask("/in_sleep?order=7");
    page.wait_for("#requests", "in the app");
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    page.wait_for("#ends li.died", "SIGKILL");
    let text = page.text("#ends li.died");
    assert!(
        text.contains("GET /in_sleep?order=7") && text.contains(&format!("process {pid}")),
        "{text}"
    );
}

/// One page for all apps, or for one of them.
#[test]
fn several_apps_are_told_apart() {
    let status = address();
    let text = format!(
        "status = \"{status}\"\n[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.shop]\napp = \"{stuck}\"\nworkers = 1\nthreads = 1\nprefix = \"/shop\"\n\
         [apps.blog]\napp = \"{stuck}\"\nworkers = 2\nthreads = 3\n",
        stuck = app("stuck.py")
    );
    let site = Site::watch(Serve::config(&text).on_its_socket(), status);
    let page = site.look(DESK);
    page.wait_for("#apps", "shop");
    let _shop = site.ask("/shop/in_sleep");
    let _blog = site.ask("/in_recv");
    page.wait("document.querySelectorAll('#requests tbody').length === 2");
    let ready = "document.querySelector('#chart-threads dd.s1').innerText";
    page.wait(&format!("{ready} === '7'"));
    let choose = |name: &str| {
        page.eval(&format!("[...document.querySelectorAll('#apps button')].find(b => b.innerText === {name:?}).click()"));
        page.text("#apps button[aria-pressed=true]")
    };
    assert_eq!(choose("shop"), "shop");
    assert_eq!(page.eval(ready), "1");
    assert!(
        page.text("#requests").contains("shop GET /shop/in_sleep"),
        "{}",
        page.text("#requests")
    );
    assert!(!page.text("main").contains("blog"), "{}", page.text("main"));
    assert_eq!(choose("blog"), "blog");
    assert_eq!(page.eval(ready), "6");
    assert!(
        page.text("#requests").contains("/in_recv") && !page.text("#requests").contains("/shop")
    );
    assert_eq!(choose("All apps"), "All apps");
    assert_eq!(page.eval("document.querySelectorAll('#requests tbody').length"), 2);
}

/// An app that has workers on demand has none while nobody asks, and that is no fault.
#[test]
fn an_app_on_demand_sleeps() {
    let serve = Serve::app(&app("stuck.py")).args([
        "--workers",
        "0..1",
        "--threads",
        "1",
        "--idle-timeout",
        "2",
    ]);
    let site = Site::serve(serve);
    let page = site.look(DESK);
    page.wait_for("#workers", "generation 1 asleep");
    page.wait_for("#workers", "0 workers of 0 to 1, 0 of 0 threads busy");
    site.answer("/pid");
    page.wait_for("#workers", "generation 1 serving");
    assert_eq!(page.errors(), Vec::<Value>::new());
}

/// The numbers are those of the load, and so are the pictures.
#[test]
fn the_charts_follow_the_load() {
    let serve = Serve::app(&app("saturated.py")).args(["--workers", "2", "--threads", "1"]);
    let site = Site::serve(serve);
    let page = site.look(DESK);
    let value = |chart: &str, at: usize| page.text(&format!("#chart-{chart} dd.s{at}"));
    page.wait("document.querySelector('#chart-rate dd.s0').innerText === '0'");
    assert_eq!((value("latency", 0), value("queue", 0)), ("–".into(), "0".into()));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (seconds, status) in [("0.02", 200), ("0.02", 200), ("0.3", 500)] {
            let (site, over) = (&site, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    site.answer(&format!("/nap?seconds={seconds}&status={status}"));
                }
            });
        }
        for (chart, at) in [("rate", 0), ("rate", 1), ("queue", 0), ("threads", 0)] {
            page.wait(&format!(
                "parseFloat(document.querySelector('#chart-{chart} dd.s{at}').innerText) > 0"
            ));
        }
        // 20 ms are in the middle, 300 ms at the end, and nothing is near to a minute.
        page.wait(
            "/^[1-9][0-9.]* ms$/.test(document.querySelector('#chart-latency dd.s0').innerText)",
        );
        page.wait("/ms$|^[12]\\./.test(document.querySelector('#chart-latency dd.s2').innerText)");
        page.wait("document.querySelectorAll('#chart-rate path.line.s0')[0].getBoundingClientRect().height > 10");
        over.store(true, Ordering::Relaxed);
    });
    page.wait("document.querySelector('#chart-rate dd.s0').innerText === '0'");
    // Who comes later sees what was before.
    let later = site.look(DESK);
    later.wait("document.querySelector('#chart-rate path.line.s0').getBBox().height > 10");
    assert_eq!((page.errors(), later.errors()), (vec![], vec![]));
    // What they say is there for those who do not see them.
    let label = page.eval("document.querySelector('#chart-rate svg').ariaLabel");
    assert!(
        label.as_str().unwrap().starts_with("Requests per second: all 0, errors 0; all between"),
        "{label}"
    );
    page.eval("document.querySelector('#chart-rate summary').click()");
    page.wait("document.querySelectorAll('#chart-rate tbody tr').length > 0");
    let served = page.eval("[...document.querySelectorAll('#workers td:nth-child(5)')].reduce((sum, td) => sum + +td.innerText, 0)");
    let totals = site.report("")["apps"][0]["totals"]["requests"].clone();
    assert_eq!(served.as_f64(), totals.as_f64());
}

/// flupd goes and comes back: the page says so, and goes on.
#[test]
fn a_restart_is_survived() {
    let status = address();
    let start = || {
        let option = status.to_string();
        Site::watch(Serve::app(&app("stuck.py")).args(["--status", &option]).on_fastcgi(), status)
    };
    let site = start();
    let page = site.look(DESK);
    assert!(!site.answer("/pid").is_empty());
    drop(site);
    page.wait_for("#notice", "has not answered since");
    assert_eq!(page.text("#link"), "no answer");
    let site = start();
    page.wait_for("#link", "live");
    page.wait_for("#notice", "flupd was restarted at");
    page.wait_for("#chart-rate text.mark", "restart");
    let _stuck = site.ask("/in_sleep");
    page.wait_for("#requests", "GET /in_sleep");
    // What was before is still seen.
    page.wait(
        "document.querySelector('#chart-threads path.line').getBBox().x < \
         document.querySelector('#chart-threads line.mark').getBBox().x",
    );
}
