//! The terminal: entered, and left as it was found, however the program ends.

use std::io::{self, Stdout, stdout};
use std::sync::mpsc::Sender;

use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};

use super::Event;

/// The exit status after a panic, as Rust has it.
const PANICKED: i32 = 101;

/// The terminal, while it shows pictures. Dropped, it is left.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it does not let itself be used so.
    pub(super) fn enter() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Else nobody could read what went wrong.
            let _ = restore();
            before(panic);
            // Whichever thread it was: no other may draw on it now.
            std::process::exit(PANICKED);
        }));
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        terminal.map(|terminal| Self { terminal }).inspect_err(|_| drop(restore()))
    }

    /// Shows a picture.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(picture).map(drop)
    }

    /// Gives the terminal back to the shell until the process goes on.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        restore()?;
        // Not SIGTSTP: that one comes to us.
        raise(Signal::SIGSTOP)?;
        self.again()
    }

    /// The process goes on after it was stopped: others have used the terminal.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub(super) fn again(&mut self) -> io::Result<()> {
        take()?;
        // What it believes to stand there is gone.
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Leaves the terminal as it was found.
    ///
    /// # Errors
    /// When it has gone.
    pub(super) fn leave(self) -> io::Result<()> {
        restore()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = restore();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All), Hide)
}

fn restore() -> io::Result<()> {
    let shown = execute!(stdout(), LeaveAlternateScreen, Show);
    disable_raw_mode().and(shown)
}

/// Has signals come as events, from all threads that are started after this.
///
/// # Errors
/// When they can't be held, or there can be no thread more.
pub(super) fn signals(events: Sender<Event>) -> io::Result<()> {
    let all = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
        Signal::SIGCONT,
    ];
    let all = SigSet::from_iter(all);
    all.thread_block()?;
    let work = move || {
        while let Ok(signal) = all.wait() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("flupd-signals".to_owned()).spawn(work).map(drop)
}

/// Has keys and new sizes come as events.
///
/// # Errors
/// When there can be no thread more.
pub(super) fn input(events: Sender<Event>) -> io::Result<()> {
    let work = move || {
        loop {
            let input = event::read().ok();
            let gone = input.is_none();
            if events.send(Event::Input(input)).is_err() || gone {
                return;
            }
        }
    };
    std::thread::Builder::new().name("flupd-input".to_owned()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::process::Command;

    use ratatui::widgets::Paragraph;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

    use super::*;

    /// Set for the program on the terminal: which of its threads panics.
    const PANICS: &str = "FLUPD_TEST_PANICS";

    /// The program on the terminal is this test itself.
    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        if let Ok(thread) = std::env::var(PANICS) {
            let mut screen = Screen::enter().unwrap();
            screen
                .draw(|frame| frame.render_widget(Paragraph::new("picture"), frame.area()))
                .unwrap();
            io::stdin().read_exact(&mut [0]).unwrap();
            assert!(thread != "main", "in the main thread");
            let other = std::thread::spawn(|| panic!("in another thread"));
            assert!(other.join().is_ok(), "that was the end");
        }
        for (thread, message) in [("main", "in the main thread"), ("other", "in another thread")] {
            on_a_terminal(thread, message);
        }
    }

    fn on_a_terminal(thread: &str, message: &str) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize { ws_col: 80, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
        // From util-linux: makes it the terminal of a session, as a login does.
        let mut program = Command::new("setsid");
        program.arg("--ctty").arg(std::env::current_exe().unwrap());
        let (_, here) = module_path!().split_once("::").unwrap();
        program.arg(format!("{here}::a_panic_leaves_the_terminal_as_it_was"));
        program.args(["--exact", "--nocapture"]);
        program.env(PANICS, thread).env("TERM", "xterm-256color");
        let side = || theirs.try_clone().unwrap();
        let mut child = program.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        // Nobody but the program has that side now: reading ends with it.
        drop((program, theirs));

        let (mut terminal, mut shown) = (File::from(ours), String::new());
        let mut read_until = |text: &str| {
            let mut bytes = [0; 4096];
            while !shown.contains(text) {
                let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
                let ready = poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&limit));
                assert_eq!(ready, Ok(1), "{text:?} in {shown:?}");
                let count = terminal.read(&mut bytes).unwrap();
                shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            let modes = tcgetattr(&terminal).unwrap().local_modes;
            let is_cooked = modes.contains(LocalModes::ICANON | LocalModes::ECHO);
            assert_eq!(is_cooked, text == message);
            terminal.write_all(b"x").unwrap();
            shown.clone()
        };
        read_until("picture");
        let shown = read_until(message);
        // The message stands on the screen that was there before, and can be read.
        let mut screen = vt100::Parser::default();
        screen.process(shown.as_bytes());
        assert!(screen.screen().contents().contains(message), "{shown}");
        assert!(!screen.screen().alternate_screen() && !screen.screen().hide_cursor());
        assert_eq!(child.wait().unwrap().code(), Some(PANICKED), "{shown}");
    }
}
