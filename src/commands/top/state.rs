//! What `flupd top` shows, and what keys do to it. Neither terminal nor socket.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::history::History;
use crate::commands::status::traces;
use crate::observe::snapshot::{AppSnapshot, RequestSnapshot, Snapshot};

/// What each key does, and what the columns are.
const HELP: &str = "\
q, Esc      leave (Esc leaves a page first)
Up, Down    select a request, or scroll; also j, k, PgUp, PgDn, Home, End
Enter       where the selected request is: its Python frames, live
t           where all requests are
s           sort by age, CPU, app or phase
a           one app after the other, and all
p, Space    stop the picture, and go on
h, ?        this page

REQ/S       requests that ended since the last look, in a second
ERR/S       those of them that were answered with 5xx, or cut
P50 P95 P99 how long they took, over the last ten looks
CPU%        of one core: of the whole worker process
CPU         what a request has cost so far: CPU time of its app thread
W/T         worker and app thread that have the request
";

/// All that a picture depends on.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) history: History,
    /// Why there is nothing new, since when.
    pub(super) trouble: Option<(Instant, String)>,
    pub(super) page: Page,
    pub(super) sort: Sort,
    /// Only this app.
    pub(super) app: Option<String>,
    /// Nothing new is shown.
    pub(super) paused: bool,
    /// Which of the requests shown, counted from 0, and what it is.
    selected: usize,
    selection: Option<RequestKey>,
    /// How far a page of text is scrolled.
    pub(super) scroll: usize,
    /// From one look to the next.
    pub(super) interval: Duration,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// Apps, workers, requests.
    Overview,
    /// The same, with the frames of the selected request.
    Frames,
    /// The frames of all requests.
    Trace,
    Help,
}

/// In which order requests stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Age,
    Cpu,
    App,
    Phase,
}

/// What a key asks for besides another picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// Frames may be needed from now on: look again at once.
    Look,
    Suspend,
    Quit,
}

/// Which request it is, as far as that can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RequestKey {
    worker: Option<u64>,
    thread: Option<usize>,
    line: String,
}

impl RequestKey {
    fn of(request: &RequestSnapshot) -> Self {
        Self { worker: request.worker, thread: request.thread, line: request.line() }
    }
}

impl Sort {
    /// As it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Cpu => "CPU",
            Self::App => "app",
            Self::Phase => "phase",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Age => Self::Cpu,
            Self::Cpu => Self::App,
            Self::App => Self::Phase,
            Self::Phase => Self::Age,
        }
    }
}

impl Top {
    /// Nothing has been seen yet.
    pub(super) fn new(interval: Duration, app: Option<String>) -> Self {
        Self {
            history: History::default(),
            trouble: None,
            page: Page::Overview,
            sort: Sort::Age,
            app,
            paused: false,
            selected: 0,
            selection: None,
            scroll: 0,
            interval,
        }
    }

    /// A look at flupd, or why there was none.
    pub(super) fn told(&mut self, at: Instant, told: Result<Snapshot, String>) {
        if self.paused {
            return;
        }
        match told {
            Ok(snapshot) => {
                self.trouble = None;
                self.history.push(at, snapshot);
                self.follow();
            }
            Err(why) => {
                let since = self.trouble.take().map_or(at, |(since, _)| since);
                self.trouble = Some((since, why));
            }
        }
    }

    /// Whether the frames of requests are to be asked for.
    pub(super) const fn wants_frames(&self) -> bool {
        matches!(self.page, Page::Frames | Page::Trace)
    }

    /// The apps that are shown.
    pub(super) fn apps(&self) -> Vec<&AppSnapshot> {
        let all = self.history.newest().map(|snapshot| &*snapshot.apps).unwrap_or_default();
        all.iter().filter(|app| self.shows(app.app.as_deref())).collect()
    }

    /// The requests that are shown, in their order.
    pub(super) fn requests(&self) -> Vec<&RequestSnapshot> {
        let all = self.history.newest().map(|snapshot| &*snapshot.requests).unwrap_or_default();
        let mut shown: Vec<_> =
            all.iter().filter(|request| self.shows(request.app.as_deref())).collect();
        match self.sort {
            Sort::Age => shown.sort_by_key(|request| std::cmp::Reverse(request.age_ms)),
            Sort::Cpu => shown.sort_by_key(|request| std::cmp::Reverse(request.cpu_ms)),
            Sort::App => shown.sort_by_key(|request| request.app.clone()),
            // As flupd tells them.
            Sort::Phase => {}
        }
        shown
    }

    /// What a page of text says; none if this is no such page.
    pub(super) fn text(&self) -> Option<String> {
        match self.page {
            Page::Overview | Page::Frames => None,
            Page::Help => Some(HELP.to_owned()),
            Page::Trace => {
                let requests = self.requests().into_iter().cloned().collect();
                let more = self.history.newest().map_or(0, |snapshot| snapshot.more);
                Some(traces(&Snapshot { requests, more, ..Snapshot::default() }, None))
            }
        }
    }

    /// Which of the requests is selected; none if there is none.
    pub(super) fn selected(&self) -> Option<usize> {
        let count = self.requests().len();
        (count > 0).then(|| self.selected.min(count - 1))
    }

    /// One of several apps may be chosen; one that has no name is the only one.
    fn shows(&self, app: Option<&str>) -> bool {
        self.app.as_deref().is_none_or(|wanted| app.is_none_or(|app| app == wanted))
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                KeyCode::Char('z') => Wish::Suspend,
                _ => Wish::Nothing,
            };
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc if self.page == Page::Overview => return Wish::Quit,
            KeyCode::Esc => self.turn_to(Page::Overview),
            KeyCode::Char('h' | '?') => self.toggle(Page::Help),
            KeyCode::Enter => return self.toggled(Page::Frames),
            KeyCode::Char('t') => return self.toggled(Page::Trace),
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.follow();
            }
            KeyCode::Char('a') => self.next_app(),
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::PageUp => self.go(-10),
            KeyCode::PageDown => self.go(10),
            KeyCode::Home => self.go(isize::MIN),
            KeyCode::End => self.go(isize::MAX),
            _ => {}
        }
        Wish::Nothing
    }

    fn toggled(&mut self, page: Page) -> Wish {
        self.toggle(page);
        if self.wants_frames() { Wish::Look } else { Wish::Nothing }
    }

    fn toggle(&mut self, page: Page) {
        self.turn_to(if self.page == page { Page::Overview } else { page });
    }

    const fn turn_to(&mut self, page: Page) {
        self.page = page;
        self.scroll = 0;
    }

    /// Selects another request, or scrolls a page of text.
    fn go(&mut self, by: isize) {
        let moved = |at: usize, count: usize| {
            let last = count.saturating_sub(1);
            let at = isize::try_from(at.min(last)).unwrap_or(0).saturating_add(by);
            usize::try_from(at.max(0)).unwrap_or(0).min(last)
        };
        if let Some(text) = self.text() {
            self.scroll = moved(self.scroll, text.lines().count());
            return;
        }
        self.selected = moved(self.selected, self.requests().len());
        self.selection = self.requests().get(self.selected).map(|one| RequestKey::of(one));
    }

    /// The selected request may stand elsewhere now.
    fn follow(&mut self) {
        let Some(key) = &self.selection else { return };
        let at = self.requests().iter().position(|request| RequestKey::of(request) == *key);
        match at {
            Some(at) => self.selected = at,
            None => self.selection = None,
        }
    }

    /// All apps, then each alone.
    fn next_app(&mut self) {
        let Some(snapshot) = self.history.newest() else { return };
        let mut names: Vec<_> = snapshot.apps.iter().filter_map(|app| app.app.as_deref()).collect();
        names.dedup();
        let next = match &self.app {
            None => 0,
            Some(app) => names.iter().position(|name| name == app).map_or(0, |at| at + 1),
        };
        self.app = names.get(next).map(|name| (*name).to_owned());
        self.follow();
    }
}
