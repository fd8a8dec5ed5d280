//! One process: its findings, its goroutines by stack, its threads.

use std::sync::Arc;

use ratatui::{
    Frame,
    crossterm::event::KeyCode,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Text},
    widgets::{Paragraph, Tabs},
};

use crate::{
    document::Document,
    export::{
        groups::groups,
        text::{self, Paint, count, duration, place, short_function},
    },
};
use ids::Pid;

/// The parts of the view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Findings,
    Goroutines,
    Threads,
}

const TABS: [Tab; 3] = [Tab::Findings, Tab::Goroutines, Tab::Threads];

/// One process with what the reader looks at.
#[derive(Debug)]
pub struct ProcessView {
    pid: Pid,
    document: Option<Arc<Document>>,
    tab: Tab,
    /// The selected group of goroutines.
    selected: usize,
    /// Whether the selected group's whole stack is shown.
    opened: bool,
    scroll: u16,
    /// Lines of the last drawing, which bound the scrolling.
    lines: u16,
    height: u16,
}

impl ProcessView {
    /// The process `pid`, not looked at yet.
    pub fn new(pid: Pid) -> Self {
        Self {
            pid,
            document: None,
            tab: Tab::default(),
            selected: 0,
            opened: false,
            scroll: 0,
            lines: 0,
            height: 0,
        }
    }

    /// Shows an inspection of it.
    pub fn set(&mut self, document: Arc<Document>) {
        if document.process.pid == self.pid {
            self.document = Some(document);
        }
    }

    /// The keys that do something now.
    pub fn keys(&self) -> &'static [(&'static str, &'static str)] {
        match (self.tab, self.opened) {
            (Tab::Goroutines, false) => &[
                ("Tab", "next part"),
                ("↑↓", "select"),
                ("Enter", "stack"),
                ("Esc", "back"),
                ("q", "quit"),
            ],
            _ => &[
                ("Tab", "next part"),
                ("↑↓", "scroll"),
                ("r", "refresh"),
                ("Esc", "back"),
                ("q", "quit"),
            ],
        }
    }

    /// Does what a key asks for; false when it means nothing here.
    pub fn on_key(&mut self, key: KeyCode) -> bool {
        let selecting = self.tab == Tab::Goroutines && !self.opened;
        match key {
            KeyCode::Tab | KeyCode::Char('\t') => self.switch(1),
            KeyCode::BackTab => self.switch(TABS.len() - 1),
            KeyCode::Enter if selecting => {
                self.opened = true;
                self.scroll = 0;
            }
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left if self.opened => {
                self.opened = false;
                self.scroll = 0;
            }
            KeyCode::Down | KeyCode::Char('j') => self.step(1, selecting),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1, selecting),
            KeyCode::PageDown | KeyCode::Char(' ') => self.step(10, selecting),
            KeyCode::PageUp => self.step(-10, selecting),
            _ => return false,
        }
        true
    }

    fn switch(&mut self, by: usize) {
        let now = TABS.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        self.tab = TABS
            .get((now + by) % TABS.len())
            .copied()
            .unwrap_or_default();
        self.opened = false;
        self.scroll = 0;
    }

    fn step(&mut self, by: i16, selecting: bool) {
        if selecting {
            let number = self.document.as_deref().map_or(0, |d| groups(d).len());
            self.selected = self
                .selected
                .saturating_add_signed(by.into())
                .min(number.saturating_sub(1));
        } else {
            let last = self.lines.saturating_sub(self.height);
            self.scroll = self.scroll.saturating_add_signed(by).min(last);
        }
    }

    /// Draws it.
    pub fn draw(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let rows = [
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(0),
        ];
        let [head, tabs, body] = Layout::vertical(rows).areas(area);
        let Some(document) = self.document.clone() else {
            frame.render_widget(
                Line::raw(format!("looking at process {} …", self.pid)),
                head,
            );
            return;
        };
        frame.render_widget(heading(&document), head);
        let titles = [
            format!("Findings ({})", document.told().count()),
            format!("Goroutines ({})", document.process.goroutines),
            format!("Threads ({})", document.process.threads),
        ];
        let selected = TABS.iter().position(|tab| *tab == self.tab);
        let widget = Tabs::new(titles)
            .select(selected)
            .highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_widget(widget, tabs);
        let width = usize::from(body.width);
        let content = match (self.tab, self.opened) {
            (Tab::Findings, _) => printed(width, |out, options| {
                text::findings(out, &document, options)
            }),
            (Tab::Threads, _) => {
                printed(width, |out, options| text::threads(out, &document, options))
            }
            (Tab::Goroutines, true) => self.stack(&document, width),
            (Tab::Goroutines, false) => self.groups(&document, body.height),
        };
        self.lines = u16::try_from(content.height()).unwrap_or(u16::MAX);
        self.height = body.height;
        self.scroll = self.scroll.min(self.lines.saturating_sub(self.height));
        frame.render_widget(Paragraph::new(content).scroll((self.scroll, 0)), body);
    }

    /// The groups around the selected one, as many as fit.
    fn groups(&mut self, document: &Document, height: u16) -> Text<'static> {
        let groups = groups(document);
        self.selected = self.selected.min(groups.len().saturating_sub(1));
        let height = usize::from(height).max(1);
        let first = self.selected.saturating_sub(height - 1);
        let lines = groups.iter().enumerate().skip(first).take(height);
        lines
            .map(|(row, group)| {
                let wait = group.oldest_wait.map_or_else(String::new, duration);
                let place = group.first().and_then(|first| first.place());
                let place = place.map_or_else(String::new, |frame| {
                    format!("{}  {}", short_function(&frame.function), place_text(frame))
                });
                let text = format!(
                    "{:>8} {:<20} {wait:>10}  {}",
                    group.members.len(),
                    group.state(),
                    place
                );
                let style = if row == self.selected {
                    Style::new().add_modifier(Modifier::REVERSED)
                } else {
                    Style::new()
                };
                Line::styled(text, style)
            })
            .collect()
    }

    fn stack(&self, document: &Document, width: usize) -> Text<'static> {
        let groups = groups(document);
        let Some(group) = groups.get(self.selected) else {
            return Text::default();
        };
        let ids: Vec<String> = group
            .members
            .iter()
            .take(20)
            .map(|member| member.id.to_string())
            .collect();
        let more = if group.members.len() > ids.len() {
            ", …"
        } else {
            ""
        };
        let heading = format!(
            "{} [{}]: {}{more}",
            count(group.members.len(), "goroutine"),
            group.state(),
            ids.join(", ")
        );
        let mut content = Text::from(Line::styled(
            heading,
            Style::new().add_modifier(Modifier::BOLD),
        ));
        if let Some(first) = group.first() {
            content.extend(printed(width, |out, options| {
                text::goroutine(out, first, options)
            }));
        }
        content
    }
}

fn place_text(frame: &crate::document::Frame) -> String {
    place(frame, false)
}

fn heading(document: &Document) -> Line<'static> {
    let process = &document.process;
    let name = format!("{} (pid {})", process.command, process.pid);
    #[expect(clippy::cast_precision_loss, reason = "an uptime in seconds")]
    let uptime = duration(process.uptime_seconds.unwrap_or(0) as f64);
    let rest = format!("  {}, up {uptime}", process.image.go_version);
    Line::from(vec![
        ratatui::text::Span::styled(name, Style::new().add_modifier(Modifier::BOLD)),
        ratatui::text::Span::raw(rest),
    ])
}

/// What a part of the text view prints, as lines of the terminal view.
fn printed(
    width: usize,
    print: impl FnOnce(&mut Vec<u8>, text::Options) -> std::io::Result<()>,
) -> Text<'static> {
    let mut out = Vec::new();
    let options = text::Options {
        paint: Paint::Plain,
        width,
        all: false,
    };
    // Writing to memory cannot fail.
    let _ = print(&mut out, options);
    let printed = String::from_utf8_lossy(&out);
    printed
        .lines()
        .skip_while(|line| line.is_empty())
        .map(|line| {
            let style = if line.starts_with("PROVEN") {
                Style::new()
                    .fg(ratatui::style::Color::Red)
                    .add_modifier(Modifier::BOLD)
            } else if line.starts_with("suspected") {
                Style::new().fg(ratatui::style::Color::Yellow)
            } else {
                Style::new()
            };
            Line::styled(line.to_owned(), style)
        })
        .collect()
}
