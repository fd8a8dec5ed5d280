//! The terminal view: what `gostuck top` shows, and what its keys do. Drawing and keys only; who
//! looks at processes is the command's business.

mod list;
mod process;

use std::sync::Arc;

use ratatui::{
    Frame,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Modifier, Style},
    text::{Line, Span},
};

use self::{list::List, process::ProcessView};
use crate::{daemon::process_table::ProcessSummary, document::Document};
use ids::Pid;

/// What the command has to do after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing but drawing.
    None,
    /// Look at this process and keep its document up to date.
    Open(Pid),
    /// Look at no process in particular any more.
    Close,
    /// Look again now.
    Refresh,
    /// End.
    Quit,
}

/// The whole view.
#[derive(Debug, Default)]
pub struct View {
    list: List,
    process: Option<ProcessView>,
    /// What went wrong last, shown until something goes right.
    trouble: Option<String>,
}

impl View {
    /// Shows these processes.
    pub fn set_processes(&mut self, processes: Vec<ProcessSummary>) {
        self.list.set(processes);
    }

    /// Shows an inspection of the open process.
    pub fn set_document(&mut self, document: Arc<Document>) {
        self.trouble = None;
        if let Some(process) = &mut self.process {
            process.set(document);
        }
    }

    /// Shows that something went wrong.
    pub fn set_trouble(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    /// Does what a key asks for.
    pub fn on_key(&mut self, key: KeyEvent) -> Action {
        let control_c =
            key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if control_c || key.code == KeyCode::Char('q') {
            return Action::Quit;
        }
        if key.code == KeyCode::Char('r') {
            return Action::Refresh;
        }
        let Some(process) = &mut self.process else {
            return self.on_list_key(key.code);
        };
        if process.on_key(key.code) {
            return Action::None;
        }
        if matches!(key.code, KeyCode::Esc | KeyCode::Backspace | KeyCode::Left) {
            self.process = None;
            self.trouble = None;
            return Action::Close;
        }
        Action::None
    }

    fn on_list_key(&mut self, key: KeyCode) -> Action {
        match key {
            KeyCode::Enter | KeyCode::Right => {
                let Some(pid) = self.list.selected().map(|listed| listed.process.pid) else {
                    return Action::None;
                };
                self.process = Some(ProcessView::new(pid));
                Action::Open(pid)
            }
            key => {
                self.list.on_key(key);
                Action::None
            }
        }
    }

    /// Draws everything.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let [body, footer] =
            Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
        match &mut self.process {
            None => self.list.draw(frame, body),
            Some(process) => process.draw(frame, body),
        }
        let line = match &self.trouble {
            Some(trouble) => Line::styled(
                trouble.clone(),
                Style::new().add_modifier(Modifier::REVERSED),
            ),
            None => keys(match &self.process {
                None => &[
                    ("↑↓", "select"),
                    ("Enter", "open"),
                    ("r", "refresh"),
                    ("q", "quit"),
                ],
                Some(process) => process.keys(),
            }),
        };
        frame.render_widget(line, footer);
    }
}

fn keys(keys: &[(&'static str, &'static str)]) -> Line<'static> {
    let mut spans = Vec::new();
    for (key, does) in keys {
        spans.push(Span::styled(
            format!(" {key} "),
            Style::new().add_modifier(Modifier::REVERSED),
        ));
        spans.push(Span::raw(format!(" {does}  ")));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests;
