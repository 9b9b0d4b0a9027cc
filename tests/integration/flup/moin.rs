//! MoinMoin: Moin 2 brings its starter for flup along, as Moin 1.9 did.

use std::fs;

use super::site::{Script, get, page};
use crate::harness::flup;
use crate::harness::http::Request;

const PASSWORD: &str = "correct-horse-battery";

/// `moin/contrib/deployment/moin.fcgi`, with what it asks its users to adapt.
fn starter(script: &Script) -> String {
    let python = flup::callers().join("bin/python");
    let find = "import moin.contrib as c; print(*c.__path__, sep='')";
    let found = script.command(&python, &["-c", find]).output().unwrap();
    let folder = String::from_utf8(found.stdout).unwrap();
    let file = format!("{}/deployment/moin.fcgi", folder.trim_end());
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let config = script.path("wikiconfig.py");
    let changed = |text: String, old: &str, new: &str| {
        assert!(text.contains(old), "{file} no longer says {old:?}");
        text.replace(old, new)
    };
    let text = changed(text, "/path/to/config/wikiconfig.py", config.to_str().unwrap());
    let text = changed(text, "fix_script_name = None ", "fix_script_name = '' ");
    text.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn moin() {
    let script = Script::new("");
    let moin = flup::callers().join("bin/moin");
    let run = |arguments: &[&str]| script.run(&moin, arguments);
    run(&["create-instance", "--path", "."]);
    run(&["index-create"]);
    run(&["welcome"]);
    run(&["account-create", "--name", "Ada", "--email", "a@example.org", "--password", PASSWORD]);
    let text = starter(&script);
    script.in_each_way(&text, |web, way| {
        let home = page(web, "/Home");
        assert!(home.contains("MoinMoin Wiki Welcome"), "{way:?}: {home}");
        assert!(!home.contains("Ada"), "{way:?}: {home}");
        let logo = get(web, "/static/logos/moinmoin_powered.png");
        assert_eq!(logo.status, 200, "{way:?}");
        assert!(logo.body.starts_with(b"\x89PNG"), "{way:?}");
        // There is none of this name, and Moin offers to write it.
        let none = get(web, "/n%C3%B6%20such/page");
        assert_eq!(none.status, 404, "{way:?}: {}", web.error_log());
        assert!(none.text().contains("nö such/page"), "{way:?}: {}", none.text());
        let login = format!(
            "login_username=Ada&login_password={PASSWORD}&login_submit=1&login_nexturl=/Home"
        );
        let login = Request::post("/+login", login)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .send(web.address())
            .unwrap();
        assert_eq!((login.status, login.header("Location")), (302, Some("/Home")), "{way:?}");
        let cookie = login.header("Set-Cookie").unwrap().split(';').next().unwrap();
        let home = Request::get("/Home").header("Cookie", cookie).send(web.address()).unwrap();
        assert!(home.text().contains("Ada"), "{way:?}: {}", home.text());
    });
}
