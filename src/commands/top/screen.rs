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
