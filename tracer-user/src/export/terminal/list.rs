//! The list of processes, stuck and growing ones first.

use ratatui::{
    Frame,
    crossterm::event::KeyCode,
    layout::{Constraint, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Row, Table, TableState},
};

use crate::{daemon::process_table::ProcessSummary, export::text, target_text::TargetText};

/// The list with its selection, which follows the process and not the row.
#[derive(Debug, Default)]
pub struct List {
    processes: Vec<ProcessSummary>,
    state: TableState,
}

impl List {
    /// Shows `processes`, the worst first.
    pub fn set(&mut self, mut processes: Vec<ProcessSummary>) {
        processes.sort_by(|a, b| {
            let rank = |listed: &ProcessSummary| {
                (
                    listed.findings.proven,
                    listed.findings.suspected,
                    growth(listed),
                    listed.goroutines_total,
                )
            };
            rank(b)
                .cmp(&rank(a))
                .then_with(|| a.process.pid.cmp(&b.process.pid))
        });
        let selected = self.selected().map(|listed| listed.process.key.clone());
        self.processes = processes;
        let row = selected.and_then(|key| {
            let mut rows = self.processes.iter();
            rows.position(|listed| listed.process.key == key)
        });
        self.state
            .select(row.or((!self.processes.is_empty()).then_some(0)));
    }

    /// The selected process.
    pub fn selected(&self) -> Option<&ProcessSummary> {
        self.processes.get(self.state.selected()?)
    }

    /// Moves the selection.
    pub fn on_key(&mut self, key: KeyCode) {
        match key {
            KeyCode::Down | KeyCode::Char('j') => self.state.select_next(),
            KeyCode::Up | KeyCode::Char('k') => self.state.select_previous(),
            KeyCode::Home | KeyCode::Char('g') => self.state.select_first(),
            KeyCode::End | KeyCode::Char('G') => self.state.select_last(),
            KeyCode::PageDown => self.state.scroll_down_by(10),
            KeyCode::PageUp => self.state.scroll_up_by(10),
            _ => {}
        }
    }

    /// Draws it.
    pub fn draw(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let title = Row::new([
            "PID",
            "COMMAND",
            "GO",
            "PROVEN",
            "SUSPECT",
            "GOROUTINES",
            "/MIN",
            "THREADS",
            "MODE",
            "AGO",
        ])
        .style(Style::new().add_modifier(Modifier::BOLD));
        let widths = [
            Constraint::Length(7),
            Constraint::Min(12),
            Constraint::Length(6),
            Constraint::Length(6),
            Constraint::Length(7),
            Constraint::Length(10),
            Constraint::Length(5),
            Constraint::Length(7),
            Constraint::Length(6),
            Constraint::Length(5),
        ];
        let rows = self.processes.iter().map(row);
        let table = Table::new(rows, widths)
            .header(title)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let [head, body] =
            ratatui::layout::Layout::vertical([Constraint::Length(1), Constraint::Min(0)])
                .areas(area);
        frame.render_widget(self.heading(), head);
        frame.render_stateful_widget(table, body, &mut self.state);
    }

    fn heading(&self) -> Line<'static> {
        let with_proven = self
            .processes
            .iter()
            .filter(|p| p.findings.proven > 0)
            .count();
        let number = self.processes.len();
        let processes = if number == 1 { "process" } else { "processes" };
        let mut spans = vec![
            Span::styled("gostuck top", Style::new().add_modifier(Modifier::BOLD)),
            Span::raw(format!("  {number} Go {processes}")),
        ];
        if with_proven > 0 {
            spans.push(Span::styled(format!(", {with_proven} deadlocked"), PROVEN));
        }
        Line::from(spans)
    }
}

const PROVEN: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const SUSPECTED: Style = Style::new().fg(Color::Yellow);

/// The slope of the goroutine count as whole goroutines a minute, at least 0.
fn growth(listed: &ProcessSummary) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float to integer cast saturates"
    )]
    let whole = listed.growth_per_minute.unwrap_or(0.0) as u64;
    whole
}

fn row(listed: &ProcessSummary) -> Row<'static> {
    let process = &listed.process;
    let style = if listed.findings.proven > 0 {
        PROVEN
    } else if listed.findings.suspected > 0 {
        SUSPECTED
    } else {
        Style::new()
    };
    let growth = listed
        .growth_per_minute
        .map_or_else(|| "-".to_owned(), |slope| format!("{slope:+.0}"));
    Row::new([
        process.pid.to_string(),
        process.command.to_string(),
        TargetText::from(process.image.go_version.raw().trim_start_matches("go")).to_string(),
        listed.findings.proven.to_string(),
        listed.findings.suspected.to_string(),
        listed.goroutines_total.to_string(),
        growth,
        listed.threads_total.to_string(),
        listed.mode.cell().to_owned(),
        text::ago(listed.last_look_seconds_ago)
            .trim_end_matches(" ago")
            .to_owned(),
    ])
    .style(style)
}
