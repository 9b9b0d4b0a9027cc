//! The picture in the documentation: `make screenshot`.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::site::{Site, address};
use crate::harness::browser::Page;
use crate::harness::flupd::Serve;
use crate::harness::{app, source};

/// For how long there is load: the charts shall have something to show.
const LOAD: Duration = Duration::from_secs(110);

/// Two apps on a normal day, of which one has a problem.
#[test]
#[ignore = "writes docs/dashboard.png in two minutes: make screenshot"]
fn picture() {
    let status = address();
    let text = format!(
        "status = \"{status}\"\n[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.shop]\napp = \"{app}\"\nprefix = \"/shop\"\nworkers = 2\nthreads = 4\n\
         [apps.blog]\napp = \"{app}\"\nworkers = 2\nthreads = 2\n",
        app = app("shop.py")
    );
    let site = Site::watch(Serve::config(&text).on_its_socket(), status);
    let (begun, over) = (Instant::now(), AtomicBool::new(false));
    let passed = |share: f64| {
        let left = LOAD.mul_f64(share).saturating_sub(begun.elapsed());
        thread::sleep(left);
    };
    thread::scope(|scope| {
        let _stop = Stop(&over);
        for client in 0..10_u32 {
            let (site, over) = (&site, &over);
            scope.spawn(move || {
                let path = if client % 3 == 0 { "/shop/cart" } else { "/2026/11/a-quiet-day" };
                while !over.load(Ordering::Relaxed) {
                    site.answer(path);
                    // More at noon than at night.
                    let wave =
                        (begun.elapsed().as_secs_f64() / 15.0 + f64::from(client)).sin() + 1.2;
                    thread::sleep(Duration::from_millis(40).mul_f64(wave * f64::from(client % 4)));
                }
            });
        }
        passed(0.45);
        site.flupd.signal(Signal::HUP);
        passed(0.6);
        let shop = site.report("")["apps"]
            .as_array()
            .unwrap()
            .iter()
            .rfind(|app| app["app"] == "shop")
            .cloned();
        let pid = shop.unwrap()["workers"][0]["pid"].as_i64().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        passed(0.75);
        let _stuck: Vec<UnixStream> =
            ["/shop/checkout?order=7", "/shop/report?year=2026"].map(|url| site.ask(url)).into();
        let page = Page::open(&format!("http://{}/", site.status), (1280, 1290));
        page.wait("document.querySelectorAll('tbody.stuck').length === 2");
        page.eval("document.querySelectorAll('#requests .what button')[1].click()");
        page.wait_for(".more:not([hidden]) .frames", "in totals");
        passed(1.0);
        page.picture(&source("docs/dashboard.png"));
    });
}

/// Ends the clients' loops, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
