//! mod_fcgid starts a script whose first line names a Python, with the wheel beside
//! the script: flupd is not to be seen.

use std::process::Command;

use rustix::process::Signal;

use super::HOWTO;
use crate::harness::flup;
use crate::harness::script::Script;
use crate::spawned::way::Way;

/// Apache's user may read the site's directory and nothing else for sure: the wheel is
/// there, where `pip install --target` puts it.
fn script(kind: &str) -> Script {
    let script = Script::with("");
    let copied =
        Command::new("cp").arg("-r").arg(flup::target().join("flup")).arg(script.dir()).status();
    assert!(copied.unwrap().success());
    let text = HOWTO.replace("flup.server.fcgi", &format!("flup.server.{kind}"));
    let first = format!("#!{}\n", script.file("bin/python3").display());
    script.write(&first, &format!("{text}WSGIServer(app).run()\n"));
    script
}

#[test]
fn mod_fcgid_starts_python() {
    for kind in ["fcgi", "fcgi_fork", "fcgi_single"] {
        let mut site = Way::Fcgid.start(script(kind));
        for n in 0..5 {
            let answer = site.get(&format!("/some/where?n={n}"));
            let page = answer.text();
            assert_eq!(answer.status, 200, "{kind}: {page}{}", site.log());
            for row in [
                format!("<tr><th>QUERY_STRING</th><td>n={n}</td></tr>"),
                "<tr><th>PATH_INFO</th><td>/some/where</td></tr>".to_owned(),
                "<tr><th>SCRIPT_NAME</th><td></td></tr>".to_owned(),
            ] {
                assert!(page.contains(&row), "{kind}: {row} in {page}");
            }
        }
        let served = site.script.processes();
        assert!(!served.is_empty(), "{kind}: the process stays for more requests");
        site.stop(Signal::TERM);
        site.script.wait_until_gone();
    }
}
