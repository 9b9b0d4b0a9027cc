//! A program on a terminal: a real pseudo-terminal of the kernel, and what a
//! person would see on it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::wait;

/// A program that runs on a terminal of its own.
pub struct Terminal {
    child: Child,
    keyboard: File,
    /// Our hold on the other side, so that it stays when the program has ended.
    device: File,
    before: Termios,
    picture: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Starts it on a terminal of so many columns and lines.
    pub fn start(command: &Command, (columns, lines): (u16, u16)) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let name = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        // Not our terminal: the program's.
        let flags = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let device = {
            use std::os::unix::fs::OpenOptionsExt;
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(name).unwrap()
        };
        tcsetwinsize(&ours, size(columns, lines)).unwrap();
        let before = tcgetattr(&device).unwrap();
        let side = || OwnedFd::from(device.try_clone().unwrap());
        // From util-linux: makes it the terminal of a session, as a login does.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.env("TERM", "xterm-256color");
        let child = session.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let picture = Arc::new(Mutex::new(vt100::Parser::new(cells(lines), cells(columns), 0)));
        let (mut screen, drawn) = (File::from(ours.try_clone().unwrap()), Arc::clone(&picture));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It fails once nobody has the other side.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                drawn.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { child, keyboard: File::from(ours), device, before, picture }
    }

    /// What stands on it, without the blanks at the ends of lines.
    pub fn text(&self) -> String {
        let text = self.picture.lock().unwrap().screen().contents();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// Waits until this text stands on it.
    pub fn wait_for(&self, text: &str) {
        let seen = || self.text().contains(text);
        let start = std::time::Instant::now();
        while !seen() {
            let what = format!("the terminal shows {text:?}; it shows\n{}", self.text());
            assert!(start.elapsed() < wait::DEADLINE, "{what}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// The window gets another size.
    pub fn resize(&self, columns: u16, lines: u16) {
        self.picture.lock().unwrap().screen_mut().set_size(cells(lines), cells(columns));
        tcsetwinsize(&self.keyboard, size(columns, lines)).unwrap();
    }

    /// Whether a picture fills it, and not what was there before.
    pub fn is_full_screen(&self) -> bool {
        self.picture.lock().unwrap().screen().alternate_screen()
    }

    /// Whether it is as the program has found it.
    pub fn is_restored(&self) -> bool {
        let now = tcgetattr(&self.device).unwrap();
        let modes = |t: &Termios| (t.input_modes, t.output_modes, t.local_modes, t.control_modes);
        let picture = self.picture.lock().unwrap();
        let cursor = !picture.screen().hide_cursor();
        modes(&now) == modes(&self.before) && !picture.screen().alternate_screen() && cursor
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the program is stopped, as by Ctrl-Z.
    pub fn wait_stopped(&self) {
        let pid = WaitId::Pid(Pid::from_child(&self.child));
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        wait::until("it is stopped", || {
            waitid(pid.clone(), options).unwrap().is_some_and(|status| status.stopped())
        });
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until_some("the program on the terminal ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- on the terminal\n{}", self.text());
        }
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

const fn size(columns: u16, lines: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: lines, ws_xpixel: 0, ws_ypixel: 0 }
}
