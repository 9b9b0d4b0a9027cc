//! What requests cost: against what the app itself has measured.

use std::fs;

use super::{logging, objects};
use crate::harness::flupd::Flupd;
use crate::harness::{fcgi, wait};

const FORMAT: &str = r#"{"cpu_us":%{cpu_us}x,"cpu":%C,"user":%{user}C,"system":%{system}C,
    "app_us":%{app_us}x,"peak":%M,"peak_kilo":%{kilo}M}"#;

fn burn(flupd: &Flupd, seconds: &str) {
    let (gate, started) = (flupd.file("gate"), flupd.file("started"));
    let (gate, started) = (gate.display(), started.display());
    let target = format!("/burns?seconds={seconds}&gate={gate}&started={started}");
    let mut stream = flupd.connect();
    std::io::Write::write_all(&mut stream, &fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    let answer = fcgi::Answer::read(&mut stream, 1).unwrap();
    assert!(answer.text().contains("200 OK"), "{}", answer.text());
}

/// Each request its own, whatever its thread has done before.
#[test]
fn cpu_time_and_memory_are_those_of_the_request() {
    let format = FORMAT.replace("\n    ", "");
    for mode in [&["--threads", "1"][..], &["--threads", "3"], &["--preload"], &["--solo"]] {
        let flupd = logging("stuck.py", &format).args(mode).on_fastcgi();
        fs::write(flupd.file("gate"), "").unwrap();
        let burnt = [0.25, 0.0, 0.05, 0.25, 0.0];
        burnt.iter().for_each(|seconds| burn(&flupd, &seconds.to_string()));
        wait::until("all are logged", || objects(&flupd, 5).len() == 5);
        for (line, seconds) in objects(&flupd, 5).iter().zip(burnt) {
            let number = |name: &str| line[name].as_f64().unwrap();
            let more = number("cpu_us") / 1e6 - seconds;
            assert!((-0.001..0.2).contains(&more), "{mode:?}: {line}");
            assert!(number("peak") > 4e6 && number("peak") < 1e9, "{line}");
            assert!((number("peak") / 1024.0 - number("peak_kilo")).abs() < 1.0, "{line}");
            let sum = number("user") + number("system");
            assert!((number("cpu") - sum).abs() < 0.02, "{line}");
            let per_cent = number("cpu_us") / number("app_us") * 100.0;
            assert!(number("cpu") <= per_cent + 0.01, "{line}");
        }
    }
}
