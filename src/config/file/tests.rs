//! What a file says, and every mistake that it can have.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::ServeConfig;
use super::super::check::{Check, Power};
use super::*;
use crate::config::otlp::Sample;
use crate::config::resolved::DEFAULT;
use crate::config::written::{WrittenApp, WrittenListen};
use crate::config::{
    Allow, AppId, Canary, PerWorker, ProbeRequest, Protocol, Role, Share, Workers,
};
use crate::observe::log::{LogFormat, LogLevel};
use crate::observe::logs::AccessConfig;
use crate::observe::sink::Target;

/// A room with an app's directory, and what a file there says.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        for name in ["lib", "venv"] {
            std::fs::create_dir(room.path().join(name)).unwrap();
        }
        Self(room)
    }

    fn read(&self, text: &str) -> Result<ServeConfig, String> {
        self.read_as(text, Power::Ordinary)
    }

    fn read_as(&self, text: &str, power: Power) -> Result<ServeConfig, String> {
        self.read_by(text, power, true)
    }

    /// By a program that can export spans, or can't.
    fn read_by(&self, text: &str, power: Power, exports: bool) -> Result<ServeConfig, String> {
        let path = self.0.path().join("flupd.toml");
        std::fs::write(&path, text).unwrap();
        let config = read(&path).and_then(|(written, source)| {
            let mut check = Check::new(&source, power)?;
            check.exports = exports;
            check.all(&written)
        });
        config.map_err(|error| {
            let text = error.to_string();
            text.replace(&format!("{}/", self.0.path().display()), "")
        })
    }
}

const SHOP: &str = "[apps.shop]\napp = \"shop.wsgi\"\n";

/// A file with every key.
const EVERYTHING: &str = r#"
            graceful-timeout = 5
            queue-timeout = 20
            slow-request = "off"
            request-timeout = 60
            request-grace = 2
            read-timeout = 1.5
            write-timeout = "2"
            keep-timeout = 3
            control = "run/control.sock"
            control-group = "0"
            status = "unix:run/status.sock"
            status-allow = "uid:0"
            log = "flupd.log"
            log-level = "warn"
            capture-output = false
            make-request-ids = true
            otlp = "http://127.0.0.1:4318"
            otlp-sample = "2.5%"
            access-log = "logs/access.log"
            access-log-format = "%h %s"
            log-format = "json"

            [[listen]]
            fastcgi = "unix:run/app.sock"
            mode = 0o600
            owner = "root"
            group = "0"
            role = ["responder", "authorizer"]
            allow = ["uid:0", "gid:7"]

            [[listen]]
            scgi = "127.0.0.1:4000"
            apps = ["blog"]

            [apps.shop]
            app = "shop.wsgi"
            python = "venv"
            chdir = "."
            path = "lib"
            env = { DEBUG = "1", EMPTY = "" }
            inherit-env = ["PATH"]
            workers = { min = 2, max = 8, spare = 0 }
            idle-timeout = 30
            threads = 1
            preload = true
            host = ["Shop.Example.org.", "*.shop.example.org"]
            prefix = "/shop/"
            script-name = "/"
            probe = "/healthz?deep=1"
            probe-host = "shop.example.org:443"
            probe-timeout = 2.5
            canary = "2.5%"
            canary-time = 60
            queue = 10
            queue-timeout = 2.5
            slow-request = 3
            request-timeout = "30"
            request-grace = 0
            graceful-timeout = 90
            max-requests = 1000
            max-requests-jitter = 0
            max-age = 3600
            max-memory = "300M"
            max-body = "2M"
            max-params = 2097152

            [apps.blog]
            app = "blog:app"
            "#;

#[test]
fn every_key_is_read() {
    let room = Room::new();
    let config = room.read(EVERYTHING).unwrap();
    let here = room.0.path();
    assert_eq!(config.graceful_timeout.as_secs(), 5);
    let control = config.control.unwrap();
    assert_eq!((control.path, control.socket.mode), (here.join("run/control.sock"), 0o660));
    assert_eq!(config.timeouts.read.as_millis(), 1500);
    assert_eq!((config.timeouts.write.as_secs(), config.timeouts.keep.as_secs()), (2, 3));
    assert_eq!(
        (config.logs.form.level, config.logs.form.format),
        (LogLevel::Warn, LogFormat::Json)
    );
    assert_eq!(
        (config.logs.log, config.logs.capture, config.logs.make_ids),
        (Target::File(here.join("flupd.log")), false, true)
    );
    let otlp = config.logs.otlp.unwrap();
    assert_eq!((&*otlp.host, otlp.port, otlp.share), ("127.0.0.1", 4318, Some(Sample(25_000))));
    let access =
        AccessConfig { to: Target::File(here.join("logs/access.log")), format: "%h %s".into() };
    assert_eq!(config.logs.access, Some(access));
    // In the order of their names.
    let (blog, shop) = (&config.apps[&AppId(0)], &config.apps[&AppId(1)]);
    assert_eq!(config.apps.len(), 2);
    let [unix, tcp, status] = &*config.listeners else { panic!("{:?}", config.listeners) };
    assert_eq!(unix.address.to_string(), format!("unix:{}/run/app.sock", here.display()));
    assert_eq!((unix.protocol, unix.socket.mode), (Protocol::Fastcgi, 0o600));
    assert_eq!(status.address.to_string(), format!("unix:{}/run/status.sock", here.display()));
    assert_eq!((status.protocol, status.allow.len()), (Protocol::Status, 1));
    assert_eq!(unix.socket.owner.as_deref(), Some("root"));
    assert_eq!(unix.socket.group.as_deref(), Some("0"));
    assert_eq!(unix.roles, [Role::Responder, Role::Authorizer]);
    assert_eq!((&*tcp.roles, &*tcp.allow), (&[Role::Responder][..], &[][..]));
    assert_eq!(unix.allow, [Allow::User(0), Allow::Group(7)]);
    assert_eq!((tcp.protocol, &*tcp.apps), (Protocol::Scgi, &[AppId(0)][..]));
    // The blog has a listener of its own, so the shop has the other one.
    assert_eq!(unix.apps, [AppId(1)]);
    assert_eq!((blog.name.as_deref(), &*blog.app), (Some("blog"), "blog:app"));
    assert_eq!(blog.chdir.as_deref(), Some(here));
    assert_eq!(blog.defaults, ["workers", "threads", "python"]);
    assert_eq!(shop.python.as_deref(), Some(&*here.join("./venv")));
    assert_eq!(shop.path, [here.join("./lib")]);
    assert_eq!(shop.environment.inherit.as_deref(), Some(&["PATH".to_owned()][..]));
    assert_eq!(shop.environment.set.get("DEBUG").map(String::as_str), Some("1"));
    let workers = Workers { min: 2, max: 8, spare: 0, idle: Duration::from_secs(30) };
    assert_eq!((shop.workers, shop.threads, shop.preload, shop.solo), (workers, 1, true, false));
    assert_eq!(shop.hosts, ["shop.example.org", "*.shop.example.org"]);
    assert_eq!(
        (&*shop.prefixes, shop.script_name.as_deref()),
        (&["/shop".to_owned()][..], Some(""))
    );
    let probe = ProbeRequest {
        script_name: String::new(),
        target: "/healthz?deep=1".into(),
        host: "shop.example.org:443".into(),
        timeout: Duration::from_millis(2500),
    };
    assert_eq!((shop.probe.as_ref(), blog.probe.as_ref()), (Some(&probe), None));
    let canary = Canary { share: Share(25), time: Duration::from_secs(60) };
    assert_eq!((shop.canary, blog.canary), (Some(canary), None));
    let limits = shop.limits;
    assert_eq!((limits.queue, limits.body, limits.params), (10, 2 << 20, 2 << 20));
    let (time, seconds) = (limits.time, |s| Some(Duration::from_secs_f64(s)));
    assert_eq!((time.queue, time.slow), (seconds(2.5), seconds(3.0)));
    assert_eq!((time.request, time.grace), (seconds(30.0), Duration::ZERO));
    assert_eq!(Some(shop.graceful_timeout), seconds(90.0));
    let time = blog.limits.time;
    assert_eq!((time.queue, time.slow, time.request), (seconds(20.0), None, seconds(60.0)));
    assert_eq!(
        (time.grace, blog.graceful_timeout),
        (Duration::from_secs(2), Duration::from_secs(5))
    );
    assert_eq!(limits.per_worker, Some(PerWorker { requests: 1000, jitter: 0 }));
    assert_eq!((shop.max_age, shop.max_memory), (seconds(3600.0), Some(300 << 20)));
}

#[test]
fn a_file_with_an_app_is_enough() {
    let room = Room::new();
    let config = room.read(SHOP).unwrap();
    let [listen] = &*config.listeners else { panic!("{:?}", config.listeners) };
    let socket = format!("unix:{}/flupd.sock", room.0.path().display());
    assert_eq!((listen.address.to_string(), listen.default), (socket, true));
}

#[test]
fn every_mistake_says_where_it_stands() {
    let long = format!("/{}", "a".repeat(107));
    let too_long = format!("[[listen]]\nscgi = \"{long}\"\n{SHOP}");
    let many: String = (0..257).map(|at| format!("[apps.a{at}]\napp = \"a\"\n")).collect();
    let sockets: String = (0..65).map(|at| format!("[[listen]]\nscgi = \"fd:{at}\"\n")).collect();
    let large = format!("{SHOP}script-name = \"/{}\"\n", "a".repeat(70_000));
    let shop = |line: &str| format!("{SHOP}{line}\n");
    let listen = |lines: &str| format!("[[listen]]\n{lines}\n{SHOP}");
    let two = |one: &str, other: &str| {
        format!("[apps.a]\napp = \"a\"\n{one}\n[apps.b]\napp = \"b\"\n{other}\n")
    };
    #[rustfmt::skip]
    let table: &[(String, &str)] = &[
        // The form.
        ("[apps.shop".into(), "flupd.toml:1:11: unclosed table, expected `]`"),
        (shop("workers = "), "flupd.toml:3:11: workers: string values must be quoted, expected literal string"),
        (shop("app = \"x\""), "flupd.toml:3:1: duplicate key"),
        // Names.
        (shop("wokers = 2"), "flupd.toml:3:1: there is no key wokers here; did you mean workers?"),
        (shop("max_body = 2"), "flupd.toml:3:1: there is no key max_body here; did you mean max-body?"),
        (shop("directory = \"x\""), "flupd.toml:3:1: there is no key directory here; did you mean chdir?"),
        (listen("address = \"x\""), "flupd.toml:2:1: there is no key address here; there are fastcgi, scgi, mode, owner, group, role, allow, apps"),
        ("listne = 1\n".into(), "flupd.toml:1:1: there is no key listne here; did you mean listen?"),
        (format!("access-log = \"-\"\naccess-log-format = \"%h %J\"\n{SHOP}"), "flupd.toml:2:21: access-log-format can't be used: no field is called %J\n    %h %J\n       ^"),
        (format!("access-log-format = \"json\"\n{SHOP}"), "flupd.toml:1:21: access-log-format does nothing without access-log; add that, or remove this"),
        (format!("log-level = \"inof\"\n{SHOP}"), "flupd.toml:1:13: log-level \"inof\": this is none of error, warn, info, debug, trace; did you mean info?"),
        (format!("otlp = \"https://c:4318\"\n{SHOP}"), "flupd.toml:1:8: otlp \"https://c:4318\": flupd speaks no TLS to collectors; run one on this machine that passes spans on, and name it: http://127.0.0.1:4318"),
        (format!("otlp = \"127.0.0.1:4318\"\n{SHOP}"), "flupd.toml:1:8: otlp \"127.0.0.1:4318\": write the address of a collector, such as http://127.0.0.1:4318, or env"),
        (format!("otlp = \"env\"\notlp-sample = \"10\"\n{SHOP}"), "flupd.toml:2:15: otlp-sample \"10\": write a share of new traces from 0% to 100%: 10%"),
        (format!("otlp-sample = \"10%\"\n{SHOP}"), "flupd.toml:1:15: otlp-sample does nothing without otlp; add that, or remove this"),
        // Kinds.
        (shop("threads = \"4\""), "flupd.toml:3:11: threads: invalid type: string \"4\", expected i64"),
        (shop("workers = \"two\""), "flupd.toml:3:11: workers: write a number such as 4, a range such as 2..8, or on-demand"),
        (shop("workers = true"), "flupd.toml:3:11: workers: invalid type: boolean `true`, expected a number such as 4, \"on-demand\", or { min = 2, max = 8, spare = 1 }"),
        (shop("workers = { min = 1, mx = 4 }"), "flupd.toml:3:22: there is no key mx here; did you mean max?"),
        (shop("workers = { min = \"1\" }"), "flupd.toml:3:19: min: invalid type: string \"1\", expected i64"),
        (shop("preload = 1"), "flupd.toml:3:11: preload: invalid type: integer `1`, expected a boolean"),
        (shop("host = 1"), "flupd.toml:3:8: host: invalid type: integer `1`, expected a text in quotes, or a list of them"),
        (shop("inherit-env = \"PATH\""), "flupd.toml:3:15: inherit-env: invalid type: string \"PATH\", expected true, false or a list of names"),
        (shop("max-body = \"1T\""), "flupd.toml:3:12: max-body: write a number of bytes, or one with K, M or G: 256K"),
        (format!("read-timeout = 0\n{SHOP}"), "flupd.toml:1:16: read-timeout: write more than 0 seconds"),
        (format!("keep-timeout = \"soon\"\n{SHOP}"), "flupd.toml:1:16: keep-timeout: write a number of seconds: 30, or 0.5"),
        (listen("scgi = \"fd:0\"\nmode = \"rw\""), "flupd.toml:3:8: mode: write a mode in octal digits, at most 0777: 0660"),
        (listen("scgi = \"/a\"\nmode = 660"), "flupd.toml:3:8: mode: write a mode in octal digits, at most 0777: 0660"),
        // Apps.
        (String::new(), "flupd.toml:1:1: no app is configured; write a section such as [apps.shop] with app = \"shop.wsgi\""),
        (many, "flupd.toml:1:1: 257 apps are configured; at most 256 can be"),
        ("[apps.\"a b\"]\napp = \"x\"\n".into(), "flupd.toml:1:7: \"a b\": the name of an app is made of letters, digits, - and _"),
        ("[apps.shop]\n".into(), "flupd.toml:1:1: app is missing; name the app, such as app = \"shop.wsgi\""),
        ("[apps.shop]\napp = \"\"\n".into(), "flupd.toml:2:7: app is empty; name the app, such as module:callable"),
        ("[apps.shop]\napp = \"a\\u0000\"\n".into(), "flupd.toml:2:7: app holds a NUL byte; remove it"),
        (shop("workers = 0"), "flupd.toml:3:11: workers 0: write a number from 1 to 1024"),
        (shop("workers = \"8..2\""), "flupd.toml:3:11: workers 8..2: the least is more than the most; write the smaller number first"),
        (shop("workers = { min = -1 }"), "flupd.toml:3:11: workers -1: write a number from 0 to 1024"),
        (shop("workers = { min = 0, max = 0 }"), "flupd.toml:3:11: workers 0: write a number from 1 to 1024"),
        (shop("workers = \"2..2000\""), "flupd.toml:3:11: workers 2000: write a number from 1 to 1024"),
        (shop("workers = { max = 4, spare = 5 }"), "flupd.toml:3:11: spare 5: write a number from 0 to 4"),
        (shop("workers = { min = 0, max = 4, spare = 1 }"), "flupd.toml:3:11: spare is for apps that keep a worker; on demand there may be none: write a least of 1"),
        (shop("workers = { min = 4, max = 4, spare = 1 }"), "flupd.toml:3:11: spare does nothing without workers that come and go, such as \"1..4\"; add that, or remove this"),
        (shop("workers = 4\nidle-timeout = 5"), "flupd.toml:4:16: idle-timeout does nothing without workers that come and go, such as \"1..4\"; add that, or remove this"),
        (shop("idle-timeout = 5"), "flupd.toml:3:16: idle-timeout does nothing without workers that come and go, such as \"1..4\"; add that, or remove this"),
        (shop("workers = \"on-demand\"\nidle-timeout = 0"), "flupd.toml:4:16: idle-timeout: write more than 0 seconds"),
        (shop("workers = \"on-demand\"\nsolo = true"), "flupd.toml:4:8: solo can't be used with workers that come and go; nobody sees the requests of all of them; write a number"),
        (shop("threads = 241"), "flupd.toml:3:11: threads 241: write a number from 1 to 240"),
        (shop("queue = -1"), "flupd.toml:3:9: queue -1: write a number from 0 to 1000000"),
        (shop("chdir = \"no\""), "flupd.toml:3:9: chdir no: No such file or directory (os error 2)"),
        (shop("path = [\"lib\", \"flupd.toml\"]"), "flupd.toml:3:8: path flupd.toml: not a directory"),
        (shop("solo = true\npreload = true"), "flupd.toml:3:8: solo can't be used with preload; solo workers import the app one by one"),
        (shop("solo = true\nthreads = 1"), "flupd.toml:3:8: solo can't be used with threads; a solo worker has one thread"),
        (shop("solo = true\nprobe = \"/\""), "flupd.toml:4:9: probe can't be used with solo; a solo worker serves by itself, and nobody can ask it first"),
        (shop("probe = \"healthz\""), "flupd.toml:3:9: probe \"healthz\": write a path as a client does, such as /healthz: a slash in front, no spaces"),
        (shop("probe = \"/a b\""), "flupd.toml:3:9: probe \"/a b\": write a path as a client does, such as /healthz: a slash in front, no spaces"),
        (shop("probe-host = \"x\""), "flupd.toml:3:14: probe-host does nothing without probe; add that, or remove this"),
        (shop("probe-timeout = 1"), "flupd.toml:3:17: probe-timeout does nothing without probe; add that, or remove this"),
        (shop("probe = \"/\"\nprobe-host = \"a b\""), "flupd.toml:4:14: probe-host \"a b\": write a name or an address, with a port if the app wants to see one"),
        (shop("canary = \"10\""), "flupd.toml:3:10: canary \"10\": write a share of the requests from 0.1% to 50%: 10%; or off"),
        (shop("canary-time = 1"), "flupd.toml:3:15: canary-time does nothing without canary; add that, or remove this"),
        (shop("solo = true\ncanary = \"10%\""), "flupd.toml:4:10: canary can't be used with solo; solo workers accept for themselves, and nobody shares out the requests"),
        (shop("slow-request = 0"), "flupd.toml:3:16: slow-request: write more than 0 seconds; or off"),
        (format!("request-timeout = 9\n{SHOP}request-timeout = \"off\"\nrequest-grace = 1\n"), "flupd.toml:5:17: request-grace does nothing without request-timeout; add that, or remove this"),
        (shop("request-grace = 1"), "flupd.toml:3:17: request-grace does nothing without request-timeout; add that, or remove this"),
        (shop("solo = true\nmax-requests = 9"), "flupd.toml:3:8: solo can't be used with max-requests; requests are counted in the gateway; max-age and max-memory work"),
        (shop("max-requests = 0"), "flupd.toml:3:16: max-requests 0: write a number from 1 to 1000000000"),
        (shop("max-requests-jitter = 1"), "flupd.toml:3:23: max-requests-jitter does nothing without max-requests; add that, or remove this"),
        (shop("max-age = 0"), "flupd.toml:3:11: max-age: write more than 0 seconds"),
        (shop("max-memory = \"300K\""), "flupd.toml:3:14: max-memory 307200: a worker needs at least 16M"),
        (two("solo = true", "prefix = \"/b\""), "flupd.toml:3:8: solo is for a flupd with one app, and this one has several; run it alone in another flupd"),
        (shop("script-name = \"shop\""), "flupd.toml:3:15: script-name \"shop\": a mount point begins with a slash, such as /shop; write / for the root"),
        (shop("prefix = [\"/a\", \"b\"]"), "flupd.toml:3:10: prefix \"b\": a mount point begins with a slash, such as /shop; write / for the root"),
        (shop("prefix = []"), "flupd.toml:3:10: prefix is empty; name a path, or leave the key out"),
        (shop("host = []"), "flupd.toml:3:8: host is empty; name a host, or leave the key out"),
        (shop("host = \"a:80\""), "flupd.toml:3:8: host \"a:80\": a host is a name without port, such as example.org, or *.example.org"),
        (shop("env = { \"A=B\" = \"x\" }"), "flupd.toml:3:7: env \"A=B\": a variable's name is not empty and has no = and no NUL byte in it"),
        (shop("env = { A = \"\\u0000\" }"), "flupd.toml:3:7: env holds a NUL byte; remove it"),
        (shop("inherit-env = [\"\"]"), "flupd.toml:3:15: inherit-env \"\": a variable's name is not empty and has no = and no NUL byte in it"),
        (shop("max-params = \"1023K\""), "flupd.toml:3:14: max-params 1047552: the limit on params is at least 1M and at most 1G"),
        (shop("max-body = \"9999999999G\""), "flupd.toml:3:12: max-body 10737418238926258176: a body has at most 8388608G"),
        (large, "flupd.toml:1:1: all apps and listeners together are too long, they may have 64 KiB; run two flupd"),
        // Users and rights.
        (shop("user = \"no-such-user\""), "flupd.toml:3:8: user \"no-such-user\": there is no such user on this system; name one that exists, or a number"),
        (shop("user = \"3999999999\""), "flupd.toml:3:8: user \"3999999999\": the system does not know the group of this user; name one with group"),
        (shop("user = \"nobody\"\ngroup = \"no-such\""), "flupd.toml:4:9: group \"no-such\": there is no such group on this system; name one that exists, or a number"),
        (shop("group = \"0\""), "flupd.toml:3:9: group needs a user beside it; name both, or the user alone"),
        (shop("user = \"3999999999\"\ngroup = \"7\""), "flupd.toml:3:8: user \"3999999999\": only root can run a process as someone else; start flupd as root, or remove this"),
        (shop("user = \"\""), "flupd.toml:3:8: user is empty; name a user, such as www-data"),
        (format!("gateway-user = \"no-such-user\"\n{SHOP}"), "flupd.toml:1:16: gateway-user \"no-such-user\": there is no such user on this system; name one that exists, or a number"),
        (shop("umask = 0o1000"), "flupd.toml:3:9: umask: write a mode in octal digits, at most 0777: 0660"),
        (shop("rlimit-nofile = 63"), "flupd.toml:3:17: rlimit-nofile 63: a worker needs at least 64 open files"),
        (shop("rlimit-core = \"no\""), "flupd.toml:3:15: rlimit-core: write a number of bytes, or one with K, M or G: 256K; or unlimited"),
        (shop("no-new-privs = 1"), "flupd.toml:3:16: no-new-privs: invalid type: integer `1`, expected a boolean"),
        // Listeners.
        (format!("status = \"0.0.0.0:9100\"\n{SHOP}"), "flupd.toml:1:10: status 0.0.0.0:9100 can be reached from elsewhere; listen on a loopback address such as 127.0.0.1, or say in status-allow (--status-allow) who may ask"),
        (format!("status = \"fd:3\"\n{SHOP}"), "flupd.toml:1:10: status has an address of its own, unix:/path or HOST:PORT"),
        (format!("status-allow = \"127.0.0.1\"\n{SHOP}"), "flupd.toml:1:16: status-allow is of no use without status"),
        (format!("status = \"127.0.0.1:9100\"\nstatus-allow = \"uid:0\"\n{SHOP}"), "flupd.toml:2:16: status-allow uid:0 is about the other kind of address; networks are for TCP, uid: and gid: for unix sockets"),
        (listen("fastcgi = \"9000\""), "flupd.toml:2:11: fastcgi \"9000\": not an address; write unix:/path, HOST:PORT, [V6]:PORT, fd:N or systemd"),
        (too_long, "flupd.toml:2:8: scgi \"LONG\": a unix socket's path has at most 107 bytes, this one has 108; use a shorter one"),
        (listen("mode = 0o600"), "flupd.toml:1:1: a listener has either fastcgi = ADDR or scgi = ADDR; write one section for each address"),
        (listen("fastcgi = \"fd:0\"\nscgi = \"fd:1\""), "flupd.toml:1:1: a listener has either fastcgi = ADDR or scgi = ADDR; write one section for each address"),
        (listen("fastcgi = \"fd:0\"\ngroup = \"x\""), "flupd.toml:3:9: group is only for unix sockets that flupd makes; remove it"),
        (listen("fastcgi = \"fd:0\"\nallow = \"localhost\""), "flupd.toml:3:9: allow \"localhost\": not an address; write an IP address, a network such as 192.0.2.0/24, uid:NAME or gid:NAME"),
        (listen("fastcgi = \"/a\"\nallow = \"192.0.2.0/24\""), "flupd.toml:3:9: allow 192.0.2.0/24 is about the other kind of address; networks are for TCP, uid: and gid: for unix sockets"),
        (listen("fastcgi = \"fd:0\"\nallow = []"), "flupd.toml:3:9: allow is empty; name somebody, or remove it"),
        (listen("fastcgi = \"/a\"\nrole = \"autorizer\""), "flupd.toml:3:8: role \"autorizer\": this is none of responder, authorizer, filter; did you mean authorizer?"),
        (listen("fastcgi = \"/a\"\nrole = []"), "flupd.toml:3:8: role is empty; name a role, or remove it"),
        (listen("fastcgi = \"/a\"\nowner = \"\""), "flupd.toml:3:9: owner is empty; name a user"),
        (listen("fastcgi = \"fd:0\"\n[[listen]]\nscgi = \"fd:0\""), "flupd.toml:4:8: scgi fd:0: this address is given twice; each address can speak one protocol"),
        (sockets + SHOP, "flupd.toml:1:1: 65 addresses are given; at most 64 can be"),
        (listen("fastcgi = \"fd:0\"\napps = [\"shpo\"]"), "flupd.toml:3:9: apps \"shpo\": there is no app of this name; did you mean shop?"),
        (listen("fastcgi = \"fd:0\"\napps = []"), "flupd.toml:1:1: no app is left for this listener; name some in its apps"),
        (format!("[[listen]]\nfastcgi = \"fd:0\"\napps = [\"a\"]\n{}", two("", "")), "flupd.toml:7:1: no listener is for this app; all listeners name others in their apps"),
        (two("", ""), "flupd.toml:4:1: apps.b has the same requests as the app a (any host, any path) behind unix:flupd.sock; give them different host or prefix, or a listener of their own"),
        (two("host = [\"x\", \"y\"]\nprefix = \"/p\"", "host = \"Y\"\nprefix = \"/p/\""), "flupd.toml:5:1: apps.b has the same requests as the app a (y, /p) behind unix:flupd.sock; give them different host or prefix, or a listener of their own"),
    ];
    let room = Room::new();
    for (text, expected) in table {
        let error = room.read(text).unwrap_err().replace(&long, "LONG");
        assert_eq!(&error, expected, "{text:.400}");
    }
    let error = read(Path::new("/no/such.toml")).unwrap_err().to_string();
    assert_eq!(error, "/no/such.toml: No such file or directory (os error 2)");
}

/// Most builds have no use for the key, and say so.
#[test]
fn a_program_without_opentelemetry_says_how_to_build_one() {
    let text = format!("otlp = \"http://127.0.0.1:4318\"\n{SHOP}");
    let error = Room::new().read_by(&text, Power::Ordinary, false).unwrap_err();
    let expected = "flupd.toml:1:8: otlp can't be used: this flupd was built without OpenTelemetry; \
                    build it with `make install FEATURES=opentelemetry`, or remove this";
    assert_eq!(error, expected);
}

#[test]
fn root_has_to_say_who_runs_an_app() {
    let room = Room::new();
    let error = room.read_as(SHOP, Power::Root).unwrap_err();
    let expected = "flupd.toml:1:1: user is missing: flupd was started as root; name the user that \
                    the app shall run as, or root if it must be";
    assert_eq!(error, expected);
    let config = room.read_as(&format!("{SHOP}user = \"root\"\n"), Power::Root).unwrap();
    let privileges = &config.apps[&AppId(0)].privileges;
    assert_eq!(privileges.identity.as_ref().map(|identity| identity.uid), Some(0));
    assert!(!privileges.no_new_privs);
    assert!(config.privileges.identity.unwrap().uid != 0);

    let text = format!(
        "gateway-user = \"3999999999\"\ngateway-group = \"8\"\n{SHOP}user = \"3999999998\"\n\
         group = \"7\"\numask = \"027\"\nrlimit-nofile = 256\nrlimit-core = 0\nrlimit-as = \"unlimited\"\n"
    );
    let config = room.read_as(&text, Power::Root).unwrap();
    let gateway = config.privileges.identity.unwrap();
    assert_eq!((gateway.uid, gateway.gid), (3_999_999_999, 8));
    let privileges = &config.apps[&AppId(0)].privileges;
    let identity = privileges.identity.as_ref().unwrap();
    assert_eq!((identity.uid, identity.gid), (3_999_999_998, 7));
    assert_eq!((privileges.umask, privileges.no_new_privs), (Some(0o27), true));
    let limits = privileges.limits;
    assert_eq!(
        (limits.nofile, limits.core, limits.address_space),
        (Some(256), Some(0), Some(u64::MAX))
    );
}

/// What `flupd check` prints means the same as what it has read.
#[test]
fn a_resolved_configuration_can_be_read_again() {
    let room = Room::new();
    let rights = "user = \"root\"\ngroup = \"0\"\numask = \"027\"\nrlimit-nofile = 256\n\
                  rlimit-core = 0\nrlimit-as = \"unlimited\"\nno-new-privs = true\n";
    let all = EVERYTHING.replace("[apps.blog]", &format!("{rights}\n[apps.blog]\nuser = \"0\"\n"));
    let all = format!("gateway-user = \"root\"\ngateway-group = \"0\"\n{all}");
    for (text, power) in [(SHOP, Power::Ordinary), (&all, Power::Root)] {
        let config = room.read_as(text, power).unwrap();
        let resolved = config.resolved(&BTreeMap::new());
        let again = room.read_as(&resolved, power).unwrap();
        assert_eq!(
            again.resolved(&BTreeMap::new()).replace(DEFAULT, ""),
            resolved.replace(DEFAULT, "")
        );
        let plain = |mut config: ServeConfig| {
            // Now all is given.
            config.apps.values_mut().for_each(|app| app.defaults.clear());
            config.listeners.iter_mut().for_each(|listen| listen.default = false);
            format!("{config:#?}")
        };
        assert_eq!(plain(config), plain(again), "{resolved}");
    }
    // Nothing is forgotten.
    let text = room.read_as(&all, Power::Root).unwrap().resolved(&BTreeMap::new());
    let every = [keys::<Written>(), keys::<WrittenListen>(), keys::<WrittenApp>()].concat();
    for key in every.iter().filter(|key| *key != "listen" && *key != "apps") {
        assert!(
            text.contains(&format!("\n{key} = ")) || text.starts_with(key.as_str()),
            "{key}\n{text}"
        );
    }
}

/// A default in the documents that is a value is the one that holds.
#[test]
fn the_documented_defaults_are_the_real_ones() {
    let room = Room::new();
    let text = format!("[[listen]]\nfastcgi = \"unix:a.sock\"\n{SHOP}");
    let resolved = room.read(&text).unwrap().resolved(&BTreeMap::new());
    let mut compared = 0;
    for line in include_str!("../../../docs/configuration.md").lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(key), Some(default)) = (cells.next(), cells.next()) else { continue };
        let code = |cell: &str| {
            let inside = cell.strip_prefix('`')?.strip_suffix('`')?;
            (!inside.contains('`')).then(|| inside.to_owned())
        };
        let (Some(key), Some(default)) = (code(key), code(default)) else { continue };
        let expected = format!("{key} = {default}{DEFAULT}");
        assert!(resolved.lines().any(|line| line == expected), "{expected}\n{resolved}");
        compared += 1;
    }
    assert!(compared > 12, "{compared}");
}

/// The keys that a section can have, as serde has them.
fn keys<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let error = toml::from_str::<T>("\"?\" = 0").err().unwrap();
    let all = error.message().split('`').skip(3).step_by(2);
    all.map(str::to_owned).collect()
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let text = include_str!("../../../docs/configuration.md");
    let mut documented = std::collections::BTreeMap::<&str, Vec<String>>::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        if let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            documented.entry(section).or_default().push(key.to_owned());
        }
    }
    let sections = [
        ("For all", keys::<Written>()),
        ("Listeners: `[[listen]]`", keys::<WrittenListen>()),
        ("Apps: `[apps.NAME]`", keys::<WrittenApp>()),
    ];
    for (title, mut keys) in sections {
        let mut told = documented.remove(title).unwrap_or_default();
        told.sort();
        keys.sort();
        assert_eq!(told, keys, "{title}");
    }
    assert!(documented.is_empty(), "{documented:?}");
}
