//! A real Chromium without a window, driven by the DevTools protocol over two pipes:
//! messages are JSON, each with a zero byte behind it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use command_fds::{CommandFdExt, FdMapping};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::wait::DEADLINE;
use super::{temp_dir, wait};

/// Where Debian's package `chromium` has it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// The browser of all tests that run at the moment. It ends with the last of them.
static BROWSER: Mutex<Weak<Browser>> = Mutex::new(Weak::new());

struct Browser {
    child: Child,
    commands: Mutex<File>,
    next: AtomicU64,
    heard: Arc<Heard>,
    _dir: TempDir,
}

/// What the browser has said.
#[derive(Default)]
struct Heard {
    answers: Mutex<HashMap<u64, Sender<Value>>>,
    /// By session.
    events: Mutex<HashMap<String, Vec<Value>>>,
}

impl Browser {
    fn get() -> Arc<Self> {
        let mut browser = lock(&BROWSER);
        browser.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Self::start());
            *browser = Arc::downgrade(&new);
            new
        })
    }

    fn start() -> Self {
        assert!(Path::new(CHROMIUM).exists(), "{CHROMIUM} is missing: run `make test`");
        let dir = temp_dir();
        let (theirs, commands) = io::pipe().unwrap();
        let (messages, ours) = io::pipe().unwrap();
        let fds: [(OwnedFd, i32); 2] = [(theirs.into(), 3), (ours.into(), 4)];
        let map = |(parent_fd, child_fd)| FdMapping { parent_fd, child_fd };
        let mut command = Command::new(CHROMIUM);
        command
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .fd_mappings(fds.map(map).into())
            .unwrap();
        let child = command.spawn().unwrap();
        // It holds the other ends, which shall close with the browser.
        drop(command);
        let heard = Arc::<Heard>::default();
        let listener = Arc::clone(&heard);
        thread::spawn(move || listener.listen(BufReader::new(File::from(OwnedFd::from(messages)))));
        let commands = Mutex::new(File::from(OwnedFd::from(commands)));
        Self { child, commands, next: AtomicU64::new(1), heard, _dir: dir }
    }

    /// Gives a command to the browser, or to a page, and waits for what it says.
    fn command(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = mpsc::channel();
        lock(&self.heard.answers).insert(id, answer);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        lock(&self.commands).write_all(&bytes).unwrap();
        let answer = answered.recv_timeout(DEADLINE);
        let mut answer = answer.unwrap_or_else(|error| panic!("{error} to {method} {params}"));
        assert!(answer["error"].is_null(), "{method} {params}: {answer}");
        answer["result"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Heard {
    fn listen(&self, mut messages: impl BufRead) {
        let mut message = Vec::new();
        while messages.read_until(0, &mut message).is_ok_and(|read| read > 0) {
            message.pop();
            let value: Value = serde_json::from_slice(&message).unwrap();
            message.clear();
            if let Some(id) = value["id"].as_u64() {
                if let Some(answer) = lock(&self.answers).remove(&id) {
                    let _ = answer.send(value);
                }
            } else if let Some(session) = value["sessionId"].as_str() {
                lock(&self.events).entry(session.to_owned()).or_default().push(value);
            }
        }
        // Nobody waits for answers that can't come any more.
        lock(&self.answers).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A page in a profile of its own.
pub struct Page {
    browser: Arc<Browser>,
    profile: String,
    session: String,
}

impl Page {
    /// Opens this URL in a window of this width and height, in pixels.
    pub fn open(url: &str, size: (u32, u32)) -> Self {
        Self::open_with(url, size, "light")
    }

    /// The same in a `light` or `dark` colour scheme. What moves stands still: without a
    /// graphics card each frame costs as much as a test.
    pub fn open_with(url: &str, (width, height): (u32, u32), scheme: &str) -> Self {
        let browser = Browser::get();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let profile = browser.command(None, "Target.createBrowserContext", json!({}));
        let profile = text(&profile["browserContextId"]);
        let target = json!({"url": "about:blank", "browserContextId": profile});
        let target = browser.command(None, "Target.createTarget", target);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = text(&browser.command(None, "Target.attachToTarget", attach)["sessionId"]);
        let page = Self { browser, profile, session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.command(&format!("{domain}.enable"), json!({}));
        }
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        page.command("Emulation.setDeviceMetricsOverride", metrics);
        page.command("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        page.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        page.command("Page.navigate", json!({"url": url}));
        page
    }

    /// What its user prefers, as media features have it.
    pub fn prefer(&self, features: &[(&str, &str)]) {
        let named = |(name, value): &(&str, &str)| json!({"name": name, "value": value});
        let features: Vec<_> = features.iter().map(named).collect();
        self.command("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Gives it a command of the DevTools protocol.
    pub fn command(&self, method: &str, params: Value) -> Value {
        self.browser.command(Some(&self.session), method, params)
    }

    /// What this JavaScript expression comes to.
    pub fn eval(&self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn try_eval(&self, expression: &str) -> Result<Value, Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut said = self.command("Runtime.evaluate", params);
        match said["exceptionDetails"].take() {
            Value::Null => Ok(said["result"]["value"].take()),
            exception => Err(exception),
        }
    }

    /// The text of an element, as it is seen.
    pub fn text(&self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({selector:?})?.innerText ?? ''"));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true. One that fails is not true yet.
    pub fn wait(&self, expression: &str) {
        wait::until_some(expression, || {
            (self.try_eval(expression) == Ok(true.into())).then_some(())
        });
    }

    /// Waits until the text of an element has this in it.
    pub fn wait_for(&self, selector: &str, text: &str) {
        let seen = format!(
            "(one => one.innerText ?? one.textContent)(document.querySelector({selector:?}))"
        );
        self.wait(&format!("{seen}.includes({text:?})"));
    }

    /// What has happened of this kind: the `params` of the protocol's events.
    pub fn events(&self, method: &str) -> Vec<Value> {
        let events = lock(&self.browser.heard.events);
        let events = events.get(&self.session).into_iter().flatten();
        events
            .filter(|event| event["method"] == method)
            .map(|event| event["params"].clone())
            .collect()
    }

    /// The URLs that it has asked for.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.events("Network.requestWillBeSent");
        requests.iter().map(|event| event["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// What a developer would see in red.
    pub fn errors(&self) -> Vec<Value> {
        let mut errors = self.events("Runtime.exceptionThrown");
        errors.extend(self.events("Log.entryAdded"));
        errors.extend(self.events("Runtime.consoleAPICalled"));
        errors
    }

    /// Writes a picture of the window, as PNG.
    pub fn picture(&self, path: &Path) {
        let picture = self.command("Page.captureScreenshot", json!({"format": "png"}));
        fs::write(path, base64(picture["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- the page\n{:?}\n{:#?}", self.text("body"), self.errors());
        }
        let profile = json!({"browserContextId": self.profile});
        self.browser.command(None, "Target.disposeBrowserContext", profile);
        lock(&self.browser.heard.events).remove(&self.session);
    }
}

/// RFC 4648, section 4.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |c: u8| DIGITS.iter().position(|d| *d == c);
    let digits: Vec<usize> = text.bytes().filter_map(digit).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = (0..4).fold(0, |bits, at| bits << 6 | four.get(at).copied().unwrap_or(0));
        let three = [bits >> 16, bits >> 8, bits].map(|byte| u8::try_from(byte & 255).unwrap());
        bytes.extend(&three[..four.len() - 1]);
    }
    bytes
}
