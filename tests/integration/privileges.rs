//! Who the processes run as, and what they may not: seen in /proc.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::Signal;

use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::installed::Installed;
use crate::harness::{is_root, wait};

/// A Python that every user can run.
const PYTHON: &str = "/usr/bin/python3";

const APP: &str = "\
import json, os
def application(environ, start_response):
    start_response('200 OK', [])
    status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
    told = {name: value.split() for name, value in status.items()}
    limits = {line[:25].strip(): line[26:].split()[:2] for line in open('/proc/self/limits')}
    names = {name: os.environ.get(name) for name in ('HOME', 'USER', 'LOGNAME')}
    return [json.dumps({'status': told, 'limits': limits, 'env': names, 'cwd': os.getcwd()}).encode()]
";

/// A room that every user can read, with an app in it.
fn room(text: &str) -> Option<Serve> {
    if !is_root() || !Path::new(PYTHON).exists() {
        println!("skipped: needs root, and a Python at {PYTHON}");
        return None;
    }
    let serve = Serve::config(text);
    fs::set_permissions(serve.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(serve.dir().join("app.py"), APP).unwrap();
    Some(serve)
}

fn ask(flupd: &Flupd, path: &str) -> serde_json::Value {
    let output = flupd::command().args(["request", &flupd.address(), path]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", flupd.log()))
}

/// This line of a process's status.
fn status(pid: i32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

/// The numbers of a user, and of their groups.
fn id(user: &str) -> (String, String) {
    let number = |option: &str| {
        let output = std::process::Command::new("id").args([option, user]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    (number("-u"), number("-g"))
}

/// The gateway of this supervisor.
fn gateway(supervisor: i32) -> i32 {
    let is_gateway = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with("flupd:\0gateway")
    };
    flupd::tree(supervisor).into_iter().find(is_gateway).unwrap()
}

fn four(number: &str) -> Vec<String> {
    vec![number.to_owned(); 4]
}

#[test]
fn each_process_has_its_own_user() {
    let Some(serve) = room(
        "gateway-user = \"nobody\"\n[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.plain]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 1\n\
         user = \"www-data\"\numask = \"027\"\nrlimit-nofile = 300\nrlimit-core = 0\nrlimit-as = \"4G\"\n\
         [apps.forked]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 1\npreload = true\n\
         prefix = \"/forked\"\nuser = \"4242\"\ngroup = \"4343\"\nno-new-privs = false\n\
         [apps.root]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 1\nprefix = \"/root\"\n\
         user = \"root\"\n",
    ) else {
        return;
    };
    let flupd = serve.on_its_socket();
    flupd.wait_for_log("ready");
    let (uid, gid) = id("www-data");
    let told = ask(&flupd, "/");
    let status_of = |name: &str| told["status"][name].clone();
    assert_eq!(status_of("Uid"), serde_json::json!(four(&uid)));
    assert_eq!(status_of("Gid"), serde_json::json!(four(&gid)));
    assert_eq!(status_of("Groups"), serde_json::json!([gid]));
    assert_eq!(status_of("Umask"), serde_json::json!(["0027"]));
    assert_eq!(status_of("NoNewPrivs"), serde_json::json!(["1"]));
    assert_eq!(status_of("CapEff"), serde_json::json!(["0000000000000000"]));
    assert_eq!(told["limits"]["Max open files"], serde_json::json!(["300", "300"]));
    assert_eq!(told["limits"]["Max core file size"], serde_json::json!(["0", "0"]));
    let four_gib = (4_u64 << 30).to_string();
    assert_eq!(told["limits"]["Max address space"], serde_json::json!([four_gib, four_gib]));
    assert_eq!(told["env"]["USER"], "www-data");
    assert_eq!(told["env"]["LOGNAME"], "www-data");
    assert_eq!(told["env"]["HOME"], "/var/www");

    let told = ask(&flupd, "/forked");
    assert_eq!(told["status"]["Uid"], serde_json::json!(four("4242")));
    assert_eq!(told["status"]["Gid"], serde_json::json!(four("4343")));
    assert_eq!(told["status"]["Groups"], serde_json::json!(["4343"]));
    assert_eq!(told["status"]["NoNewPrivs"], serde_json::json!(["0"]));
    let told = ask(&flupd, "/root");
    assert_eq!(told["status"]["Uid"], serde_json::json!(four("0")));

    let (uid, gid) = id("nobody");
    let supervisor = flupd.pid().as_raw_nonzero().get();
    let gateway = gateway(supervisor);
    assert_eq!((status(gateway, "Uid"), status(gateway, "Gid")), (four(&uid), four(&gid)));
    assert_eq!(status(gateway, "Groups"), [gid]);
    assert_eq!(status(gateway, "NoNewPrivs"), ["1"]);
    assert_eq!(status(gateway, "CapEff"), ["0000000000000000"]);
    assert_eq!(status(supervisor, "Uid"), four("0"));
}

/// A change of the user takes the parent-death signal away: it has to be set
/// afterwards.
#[test]
fn a_killed_root_leaves_nobody_of_other_users_behind() {
    let Some(serve) = room(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.plain]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 2\nuser = \"www-data\"\n\
         [apps.forked]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 2\npreload = true\n\
         prefix = \"/forked\"\nuser = \"nobody\"\n",
    ) else {
        return;
    };
    let mut flupd = serve.on_its_socket();
    flupd.wait_for_log("ready");
    ask(&flupd, "/");
    ask(&flupd, "/forked");
    let tree = flupd.tree();
    assert!(tree.len() >= 6, "{tree:?}");
    flupd.signal(Signal::KILL);
    flupd.wait();
    for pid in tree {
        wait::until(&format!("{pid} ends"), || !Path::new(&format!("/proc/{pid}")).exists());
    }
}

#[test]
fn a_dead_worker_of_another_user_is_replaced() {
    let Some(serve) = room(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.plain]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 1\nuser = \"www-data\"\n",
    ) else {
        return;
    };
    let mut flupd = serve.on_its_socket();
    let pid = |told: &serde_json::Value| told["status"]["Pid"][0].as_str().unwrap().to_owned();
    let first = ask(&flupd, "/");
    let raw = pid(&first).parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(raw, Signal::KILL).unwrap();
    flupd.wait_for_log("replacement worker is ready");
    let second = ask(&flupd, "/");
    assert_ne!(pid(&first), pid(&second));
    assert_eq!(first["status"]["Uid"], second["status"]["Uid"]);
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
}

/// The new flupd is root's, too; what runs under it is of whom the file says now.
#[test]
fn an_upgrade_has_the_users_of_the_file() {
    let text = |user: &str| {
        format!(
            "gateway-user = \"nobody\"\n[[listen]]\nfastcgi = \"unix:app.sock\"\n\
             [apps.plain]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 1\n\
             user = \"www-data\"\n\
             [apps.forked]\napp = \"app\"\npython = \"/usr/bin/python3\"\nworkers = 1\n\
             preload = true\nprefix = \"/forked\"\nuser = {user:?}\ngroup = \"nogroup\"\n"
        )
    };
    let Some(serve) = room(&text("www-data")) else { return };
    let installed = Installed::new();
    let flupd = serve.installed(&installed).on_its_socket();
    flupd.wait_for_log("ready");
    let socket = || fs::metadata(flupd.socket()).unwrap();
    let before = (ask(&flupd, "/"), ask(&flupd, "/forked"), socket());
    flupd.write_config(&text("4242"));
    installed.replace();
    installed.upgrade(&flupd);
    let supervisor = installed.the_one().as_raw_nonzero().get();
    let (plain, forked) = (ask(&flupd, "/"), ask(&flupd, "/forked"));
    let (uid, _) = id("www-data");
    for (before, after, user) in [(before.0, plain, &*uid), (before.1, forked, "4242")] {
        assert_ne!(before["status"]["Pid"], after["status"]["Pid"], "{}", flupd.log());
        assert_eq!(before["status"]["Uid"], serde_json::json!(four(&uid)));
        assert_eq!(after["status"]["Uid"], serde_json::json!(four(user)));
        assert_eq!(after["status"]["CapEff"], serde_json::json!(["0000000000000000"]));
    }
    assert_eq!(status(supervisor, "Uid"), four("0"));
    let (uid, _) = id("nobody");
    assert_eq!(status(gateway(supervisor), "Uid"), four(&uid));
    let after = socket();
    assert_eq!((before.2.uid(), before.2.mode()), (after.uid(), after.mode()));
}

#[test]
fn root_is_asked_who_runs_the_app() {
    if !is_root() {
        println!("skipped: needs root");
        return;
    }
    let mut command = flupd::command();
    let output = command.args(["serve", "app:app"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: --user is missing: flupd was started as root;"), "{text}");
}
