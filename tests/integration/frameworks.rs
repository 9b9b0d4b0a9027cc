//! The demo's Django site and Flask app, behind nginx.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::front::{Front, Site};
use crate::harness::http::{Request, Response};
use crate::harness::{python, source};

/// A browser's cookies.
#[derive(Default)]
pub struct Browser {
    cookies: Vec<(String, String)>,
}

impl Browser {
    pub fn get(&mut self, site: &Site, target: &str) -> Response {
        self.send(site, Request::get(target))
    }

    pub fn post(&mut self, site: &Site, target: &str, form: &[(&str, &str)]) -> Response {
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::post(target, body.join("&"))
            .header("Content-Type", "application/x-www-form-urlencoded");
        self.send(site, request)
    }

    fn send(&mut self, site: &Site, request: Request) -> Response {
        let sent: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let request =
            if sent.is_empty() { request } else { request.header("Cookie", &sent.join("; ")) };
        let answer = site.send(&request);
        for cookie in answer.headers("Set-Cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(n, _)| n != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    fn cookie(&self, name: &str) -> &str {
        &self.cookies.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1
    }
}

fn manage(data: &Path, args: &[&str]) {
    let output = Command::new(python::frameworks().join("bin/python"))
        .arg(source("demo/djangosite/manage.py"))
        .args(args)
        .env("DEMO_DATA", data)
        .env("DJANGO_SUPERUSER_PASSWORD", "secret")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The demo's site with a database of its own, served as an example says.
pub fn django(example: &str) -> Site {
    let serve = Serve::app("mysite.wsgi").args(["--workers", "2"]);
    let data = serve.dir().to_owned();
    manage(&data, &["migrate", "--verbosity", "0"]);
    manage(&data, &["collectstatic", "--no-input", "--verbosity", "0"]);
    manage(
        &data,
        &["createsuperuser", "--no-input", "--username", "admin", "--email", "admin@example.org"],
    );
    let serve = serve
        .args(["--chdir"])
        .args([source("demo/djangosite")])
        .args(["--python"])
        .args([python::frameworks()])
        .env("DEMO_DATA", &data);
    Example::open(example).site(&data).in_front_of(serve)
}

/// The value of the hidden field that Django's forms carry.
pub fn csrf_token(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"csrfmiddlewaretoken\" value=\"").unwrap();
    rest.split('"').next().unwrap()
}

#[test]
fn django_admin_login() {
    let site = django("nginx-examples/django.conf");
    let mut browser = Browser::default();

    let answer = browser.get(&site, "/admin/");
    assert_eq!(answer.status, 302);
    let location = answer.header("Location").unwrap();
    assert!(location.ends_with("/admin/login/?next=/admin/"), "{location}");

    let page = browser.get(&site, "/admin/login/?next=/admin/");
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.text();
    let token = csrf_token(&form);

    let login = |password| {
        [
            ("csrfmiddlewaretoken", token),
            ("username", "admin"),
            ("password", password),
            ("next", "/admin/"),
        ]
    };
    let wrong = browser.post(&site, "/admin/login/?next=/admin/", &login("guess"));
    assert_eq!(wrong.status, 200, "the form again");

    let right = browser.post(&site, "/admin/login/?next=/admin/", &login("secret"));
    assert_eq!(right.status, 302, "{}", right.text());
    assert!(!browser.cookie("sessionid").is_empty());

    let admin = browser.get(&site, "/admin/");
    assert_eq!(admin.status, 200);
    assert!(admin.text().contains("Site administration"), "{}", admin.text());
    assert!(!site.flupd.log().contains("Traceback"), "{}", site.flupd.log());
}

/// Without the token Django answers 403: the check is alive behind flupd.
#[test]
fn django_csrf_and_forms() {
    let site = django("nginx-examples/django.conf");
    let mut browser = Browser::default();
    let page = browser.get(&site, "/").text();
    assert!(page.contains("Nobody has signed yet"), "{page}");

    let entry = [("name", "Zo%C3%AB"), ("text", "Gr%C3%BC%C3%9Fe+from+a+test")];
    assert_eq!(browser.post(&site, "/", &entry).status, 403);

    let form = [&entry[..], &[("csrfmiddlewaretoken", csrf_token(&page))]].concat();
    let answer = browser.post(&site, "/", &form);
    assert_eq!(answer.status, 302, "{}", answer.text());
    let page = browser.get(&site, "/").text();
    assert!(page.contains("Zoë") && page.contains("Grüße from a test"), "{page}");
}

fn flask_session(front: Front) {
    let serve = Serve::app("app:app")
        .args(["--workers", "2"])
        .args(["--chdir"])
        .args([source("demo/flaskapp")])
        .args(["--python"])
        .args([python::frameworks()]);
    let site = front.serve_with(serve);
    let mut browser = Browser::default();
    for visit in 1..=3 {
        let page = browser.get(&site, "/").text();
        assert!(page.contains("Hello stranger"), "{page}");
        assert!(page.contains(&format!("Visits in this session: {visit}")), "{page}");
    }
    let answer = browser.post(&site, "/login", &[("name", "Zo%C3%AB")]);
    assert_eq!((answer.status, answer.header("Location").is_some()), (302, true));
    let page = browser.get(&site, "/").text();
    assert!(page.contains("Hello Zoë") && page.contains("session: 4"), "{page}");
    browser.post(&site, "/logout", &[]);
    assert!(browser.get(&site, "/").text().contains("Hello stranger"));

    // Another browser has another session.
    assert!(Browser::default().get(&site, "/").text().contains("session: 1"));
    assert_eq!(site.get("/no-such-page").status, 404);
    assert!(!site.flupd.log().contains("Traceback"), "{}", site.flupd.log());
}

on_servers! { all: flask_session; }
