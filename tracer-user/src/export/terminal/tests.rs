//! The view on a terminal of 80×24, without a terminal.

use std::sync::Arc;

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent},
};

use super::{Action, View};
use crate::{daemon::process_table, document::example};
use ids::Pid;

fn screen(view: &mut View) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(80);
    let row =
        |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect::<String>();
    rows.map(|cells| row(cells).trim_end().to_owned() + "\n")
        .collect()
}

fn press(view: &mut View, key: KeyCode) -> Action {
    view.on_key(KeyEvent::from(key))
}

fn listed() -> process_table::ProcessSummary {
    process_table::example::entry().1.listed
}

#[test]
fn the_stuck_process_comes_first_and_stays_selected() {
    let mut healthy = listed();
    healthy.process.pid = Pid(1);
    healthy.process.key = "1-1".to_owned();
    healthy.process.command = "healthy".into();
    healthy.findings = process_table::Findings::default();
    let mut view = View::default();
    view.set_processes(vec![healthy.clone(), listed()]);
    let text = screen(&mut view);
    assert!(
        text.find("bank").unwrap() < text.find("healthy").unwrap(),
        "{text}"
    );
    assert!(text.contains("2 Go processes, 1 deadlocked"), "{text}");
    assert!(text.contains("Enter  open"), "{text}");
    press(&mut view, KeyCode::Down);
    healthy.findings.proven = 9;
    view.set_processes(vec![healthy, listed()]);
    assert_eq!(press(&mut view, KeyCode::Enter), Action::Open(Pid(1)));
}

#[test]
fn a_process_shows_findings_then_goroutines_then_threads() {
    let mut view = View::default();
    view.set_processes(vec![listed()]);
    assert_eq!(press(&mut view, KeyCode::Enter), Action::Open(Pid(4711)));
    assert!(screen(&mut view).contains("looking at process 4711"));
    view.set_document(Arc::new(example::document()));
    let text = screen(&mut view);
    assert!(text.contains("PROVEN: lock cycle"), "{text}");
    press(&mut view, KeyCode::Tab);
    let text = screen(&mut view);
    assert!(text.contains("3 chan receive"), "{text}");
    press(&mut view, KeyCode::Enter);
    let text = screen(&mut view);
    assert!(
        text.contains("3 goroutines [chan receive]: 20, 21, 22"),
        "{text}"
    );
    press(&mut view, KeyCode::Esc);
    press(&mut view, KeyCode::Tab);
    assert!(screen(&mut view).contains("Go's own detector"));
    assert_eq!(press(&mut view, KeyCode::Esc), Action::Close);
    assert_eq!(press(&mut view, KeyCode::Char('q')), Action::Quit);
}

#[test]
fn no_process_is_no_trouble() {
    let mut view = View::default();
    view.set_processes(Vec::new());
    assert_eq!(press(&mut view, KeyCode::Enter), Action::None);
    press(&mut view, KeyCode::Down);
    assert!(screen(&mut view).contains("0 Go processes"));
}
