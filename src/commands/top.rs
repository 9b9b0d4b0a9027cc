//! `flupd top`: what a flupd does, live on a terminal.
//!
//! ```text
//! poll: asks flupd ──┐
//! terminal: keys ────┼─▶ the loop here ─▶ state ─▶ view
//! signals ───────────┘
//! ```

mod history;
mod poll;
mod rows;
mod screen;
mod state;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ratatui::crossterm::event::{Event as Input, KeyEventKind};

use self::poll::Poll;
use self::screen::Screen;
use self::state::{Top, Wish};
use super::order;
use crate::cli::control::TopArgs;
use crate::observe::snapshot::Snapshot;

/// What the loop waits for.
enum Event {
    /// A look at flupd, or why there was none.
    Told(Result<Snapshot, String>),
    /// From the terminal; `None`: it has gone.
    Input(Option<Input>),
    Signal(Signal),
}

/// How long the picture may stand: the times in it go on.
const REDRAW: Duration = Duration::from_secs(1);

/// Shows it until `q`. Without a terminal, or if that is asked, prints it once.
pub fn run(args: &TopArgs) -> ExitCode {
    let done = order::socket(&args.control).and_then(|path| {
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        if args.once || !is_terminal { once(&path, args) } else { live(&path, args) }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Two looks, for what happens in a second; then the tables.
fn once(path: &Path, args: &TopArgs) -> anyhow::Result<()> {
    let mut top = Top::new(args.interval, args.app.clone());
    for look in 0..2 {
        if look > 0 {
            std::thread::sleep(args.interval);
        }
        let snapshot = poll::look(path, false).map_err(anyhow::Error::msg)?;
        top.told(Instant::now(), Ok(snapshot));
    }
    let tables = [rows::apps(&top), rows::workers(&top), rows::requests(&top)];
    let text = tables.map(|rows| rows.to_text()).join("\n");
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn live(path: &Path, args: &TopArgs) -> anyhow::Result<()> {
    let (events, inbox) = mpsc::channel();
    // Before there are other threads: they all leave signals to one.
    screen::signals(events.clone())?;
    // What is wrong at the start is said, and not drawn.
    let first = poll::look(path, false).map_err(anyhow::Error::msg)?;
    let mut top = Top::new(args.interval, args.app.clone());
    top.told(Instant::now(), Ok(first));
    let mut screen = Screen::enter()?;
    screen::input(events.clone())?;
    let poll = Poll::start(path, args.interval, events)?;
    loop {
        screen.draw(|frame| view::draw(frame, &top, Instant::now()))?;
        let wish = match inbox.recv_timeout(REDRAW) {
            Ok(Event::Told(told)) => {
                top.told(Instant::now(), told);
                Wish::Nothing
            }
            Ok(Event::Input(Some(Input::Key(key)))) if key.kind != KeyEventKind::Release => {
                top.key(key)
            }
            Ok(Event::Input(Some(_))) | Err(RecvTimeoutError::Timeout) => Wish::Nothing,
            Ok(Event::Input(None)) | Err(RecvTimeoutError::Disconnected) => Wish::Quit,
            Ok(Event::Signal(Signal::SIGTSTP)) => Wish::Suspend,
            Ok(Event::Signal(Signal::SIGCONT)) => {
                screen.again()?;
                Wish::Nothing
            }
            Ok(Event::Signal(_)) => Wish::Quit,
        };
        poll.want_frames(top.wants_frames());
        match wish {
            Wish::Nothing => {}
            Wish::Look => poll.at_once(),
            Wish::Suspend => screen.suspend()?,
            Wish::Quit => return screen.leave().map_err(Into::into),
        }
    }
}
