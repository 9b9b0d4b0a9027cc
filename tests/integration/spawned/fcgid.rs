//! What mod_fcgid does with its processes.

use std::collections::HashSet;

use rustix::process::Signal;

use super::way::Way;
use crate::harness::wait;

#[test]
fn a_process_is_replaced_after_its_requests() {
    let site = Way::Fcgid.serve_with(|example| {
        let example = example.uncomment("FcgidMaxRequestsPerProcess");
        example.replace("FcgidMaxRequestsPerProcess 10000", "FcgidMaxRequestsPerProcess 5")
    });
    let mut seen = HashSet::new();
    for _ in 0..20 {
        seen.insert(site.pid());
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_graceful_restart_replaces_all_processes() {
    let site = Way::Fcgid.serve();
    let before = site.pid();
    site.web.signal(Signal::USR1);
    wait::until("another process answers", || site.pid() != before);
    wait::until("the old one has gone", || {
        !site.script.processes().contains(&before.as_raw_nonzero().get())
    });
}
