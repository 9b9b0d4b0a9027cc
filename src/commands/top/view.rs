//! The picture: a function of [`Top`] and of the terminal's size.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{self, Cell, Paragraph, TableState};

use super::rows::{self, Rows};
use super::state::{Page, Top};
use crate::commands::status::units::printable;

/// The smallest terminal on which it can be read.
const LEAST: (u16, u16) = (72, 12);

const HEAD: Style = Style::new().add_modifier(Modifier::REVERSED);
const ALARM: Style = Style::new().fg(Color::Red);

/// Draws it as it is at this time.
pub(super) fn draw(frame: &mut Frame<'_>, top: &Top, now: Instant) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = LEAST;
        let why = format!(
            "flupd top needs {width} columns and {height} lines; here are {} and {}",
            area.width, area.height
        );
        let wrapped = Paragraph::new(why).wrap(widgets::Wrap { trim: true });
        return frame.render_widget(wrapped, area);
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(area);
    frame.render_widget(title(top, now), head);
    frame.render_widget(Line::styled(keys(top.page), HEAD), foot);
    if let Some(text) = top.text() {
        let shown: Vec<_> = text.lines().skip(top.scroll).map(Line::raw).collect();
        return frame.render_widget(Paragraph::new(shown), body);
    }
    if top.history.newest().is_none() {
        return frame.render_widget("waiting for flupd's answer ...", body);
    }
    overview(frame, top, body);
}

/// What is going on, in a line.
fn title(top: &Top, now: Instant) -> Line<'static> {
    let mut spans = vec![Span::styled("flupd top ", Style::new().add_modifier(Modifier::BOLD))];
    if let Some(snapshot) = top.history.newest() {
        let waiting: usize = snapshot.apps.iter().map(|app| app.waiting).sum();
        spans.push(Span::raw(format!(
            " {} connections, {waiting} queued, {} arriving; by {}",
            snapshot.connections,
            snapshot.reading,
            top.sort.name()
        )));
    }
    if let Some(app) = &top.app {
        spans.push(Span::raw(format!("; only {app}")));
    }
    if top.paused {
        spans.push(Span::styled("  PAUSED", ALARM));
    }
    if let Some((since, why)) = &top.trouble {
        let seconds = now.saturating_duration_since(*since).as_secs();
        spans.push(Span::styled(format!("  {seconds} s: {}", printable(why)), ALARM));
    } else if let Some(seen) = top.history.seen()
        && !top.paused
        && now.saturating_duration_since(seen) > top.interval * 3
    {
        let seconds = now.saturating_duration_since(seen).as_secs();
        spans.push(Span::styled(format!("  no answer for {seconds} s"), ALARM));
    }
    Line::from(spans)
}

const fn keys(page: Page) -> &'static str {
    match page {
        Page::Overview => {
            "q quit  Up/Down select  Enter frames  t trace  s sort  a app  p pause  h help      "
        }
        Page::Frames => {
            "q quit  Up/Down select  Enter close  t trace  s sort  a app  p pause  h help       "
        }
        Page::Trace | Page::Help => {
            "q quit  Up/Down scroll  Esc back                                                   "
        }
    }
}

fn overview(frame: &mut Frame<'_>, top: &Top, area: Rect) {
    let (apps, workers) = (rows::apps(top), rows::workers(top));
    let height = area.height;
    // Requests get at least half; what does not fit above is cut, and said.
    let apps_height = length(&apps).min(height / 4).max(2);
    let workers_height = length(&workers).min((height / 2).saturating_sub(apps_height)).max(2);
    let frames_height = if top.page == Page::Frames { height / 3 } else { 0 };
    let [above, middle, below, frames] = Layout::vertical([
        Constraint::Length(apps_height),
        Constraint::Length(workers_height),
        Constraint::Min(2),
        Constraint::Length(frames_height),
    ])
    .areas(area);
    table(frame, &apps, above, None);
    table(frame, &workers, middle, None);
    table(frame, &rows::requests(top), below, top.selected());
    if top.page == Page::Frames {
        frame.render_widget(of_selected(top, frames), frames);
    }
}

fn length(rows: &Rows) -> u16 {
    u16::try_from(rows.rows.len() + 1).unwrap_or(u16::MAX)
}

/// A table with its header. Rows that have no room are counted in the last line,
/// unless one of them can be selected.
fn table(frame: &mut Frame<'_>, rows: &Rows, area: Rect, selected: Option<usize>) {
    let room = usize::from(area.height.saturating_sub(1));
    let hidden = rows.rows.len().saturating_sub(room);
    let shown = match (hidden, selected) {
        (1.., None) => room.saturating_sub(1),
        _ => rows.rows.len(),
    };
    let cell = |text: &str, right: bool| {
        let alignment = if right { Alignment::Right } else { Alignment::Left };
        Cell::new(Text::from(text.to_owned()).alignment(alignment))
    };
    let line = |cells: Vec<Cell<'static>>| widgets::Row::new(cells);
    let columns = rows.columns;
    let header = columns.iter().map(|column| cell(column.name, column.right)).collect();
    let body = rows.rows.iter().take(shown).map(|row| {
        let cells = row.cells.iter().zip(columns).map(|(text, column)| cell(text, column.right));
        line(cells.collect()).style(if row.alarms { ALARM } else { Style::new() })
    });
    let widths = columns.iter().enumerate().map(|(at, column)| {
        if at + 1 == columns.len() && !column.right {
            Constraint::Min(column.width)
        } else {
            Constraint::Length(column.width)
        }
    });
    let table = widgets::Table::new(body, widths)
        .header(line(header).style(HEAD))
        .row_highlight_style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED))
        .column_spacing(1);
    let mut state = TableState::new().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
    if hidden > 0 && selected.is_none() {
        let last = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        let more = rows.rows.len() - shown;
        frame.render_widget(Line::raw(format!("and {more} more")), last);
    }
}

/// Where the selected request is. The innermost frames are those that are shown.
fn of_selected(top: &Top, area: Rect) -> Paragraph<'static> {
    let requests = top.requests();
    let request = top.selected().and_then(|at| requests.get(at));
    let mut lines = vec![Line::styled(
        request.map_or_else(|| "no request".to_owned(), |request| printable(&request.line())),
        HEAD,
    )];
    let room = usize::from(area.height.saturating_sub(1));
    match request.map(|request| (request, &request.frames)) {
        None => {}
        Some((_, Some(frames))) if frames.is_empty() => lines.push(Line::raw("no Python code")),
        Some((_, Some(frames))) => {
            let skip = frames.len().saturating_sub(room);
            lines.extend(frames.iter().skip(skip).map(|frame| Line::raw(printable(frame))));
        }
        Some((request, None)) if request.worker.is_none() => {
            lines.push(Line::raw("no app thread has it yet"));
        }
        Some((_, None)) => lines.push(Line::raw("asking ...")),
    }
    Paragraph::new(lines)
}
