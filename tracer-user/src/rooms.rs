//! The order of the rooms, held by a test: cargo holds the crates' order, and this that of the modules.

use std::{fs, path::Path};

/// The rooms, in the order in which they may be imported: each imports those before it.
const ORDER: [&str; 10] = [
    "target_text",
    "log_fields",
    "timeline",
    "finding",
    "inspect",
    "recording",
    "document",
    "daemon",
    "export",
    "cli",
];

#[test]
fn no_import_runs_up() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (at, room) in ORDER.iter().enumerate() {
        for file in files(&source, room) {
            let text = fs::read_to_string(&file).unwrap();
            let later = ORDER[at + 1..].iter();
            let imported = later.filter(|later| imports(&text, later));
            wrong.extend(imported.map(|later| format!("{} imports {later}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn imports_are_seen_alone_and_in_groups() {
    assert!(imports("use crate::cli::Failure;", "cli"));
    assert!(imports(
        "use crate::{\n    cli::Failure,\n    finding,\n};",
        "cli"
    ));
    assert!(imports("use crate::{finding::{A, B}, cli};", "cli"));
    assert!(!imports("use crate::{finding::{cli, B}, export};", "cli"));
    assert!(!imports("/// [`crate::cli`]", "cli"));
}

/// The Rust files of `room`: a file, or all below a folder.
fn files(source: &Path, room: &str) -> Vec<std::path::PathBuf> {
    let file = source.join(format!("{room}.rs"));
    if file.is_file() {
        return vec![file];
    }
    let mut found = Vec::new();
    let mut folders = vec![source.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no such room: {room}");
    found
}

/// Whether `text` names `room` of this crate, but for comments.
fn imports(text: &str, room: &str) -> bool {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n");
    code.split("crate::").skip(1).any(|rest| {
        let starts = |text: &str| {
            let name = text.trim_start();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            name.split_at(end.unwrap_or(name.len())).0 == room
        };
        match rest.strip_prefix('{') {
            Some(group) => members(group).iter().any(|member| starts(member)),
            None => starts(rest),
        }
    })
}

/// What stands between the commas of a group, whose opening brace has been read, up to its end.
fn members(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut begin = 0;
    let mut members = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    members
}
