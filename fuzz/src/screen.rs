//! The terminal view, on a screen that nobody sees.

use std::sync::Arc;

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent},
};
use tracer_user::document::Document;
use tracer_user::{
    daemon::process_table::{Findings, Mode, ProcessSummary},
    export::terminal::View,
};

/// Opens the process of `document`, and pages through it.
pub(crate) fn draw(document: Document) {
    let listed = ProcessSummary {
        process: document.process.clone(),
        goroutines_total: document.process.goroutines,
        threads_total: document.process.threads,
        findings: Findings::default(),
        mode: Mode::Snapshots,
        cost_ratio: None,
        growth_per_minute: None,
        last_look_seconds_ago: Some(1),
    };
    let document = Arc::new(document);
    for (width, height) in [(80, 24), (7, 3)] {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
        let mut view = View::default();
        view.set_processes(vec![listed.clone()]);
        for key in [
            KeyCode::Enter,
            KeyCode::Down,
            KeyCode::PageDown,
            KeyCode::End,
            KeyCode::Enter,
            KeyCode::Esc,
        ] {
            let drawn = terminal.draw(|frame| view.draw(frame));
            assert!(drawn.is_ok(), "{drawn:?}");
            view.on_key(KeyEvent::from(key));
            view.set_document(Arc::clone(&document));
        }
    }
}
