//! gostuck beside the goroutineleak profile of Go 1.27, in the same process at the same moment:
//! writes the tables of docs/comparison.md.

mod subject;

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use clap::Args;

use self::subject::{Comparison, Subject};
use crate::{
    command::{self, step},
    paths,
};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The gostuck to run; built for release unless given
    #[arg(long)]
    gostuck: Option<std::path::PathBuf>,
    /// Print the tables only; docs/comparison.md is left alone
    #[arg(long)]
    print: bool,
}

/// Programs whose goroutines hold each other's locks, all reachable from something alive.
const CYCLES: &[&str] = &[
    "abba",
    "demo-server",
    "double-lock-http",
    "queue-behind-cycle",
    "relock-helper",
    "rlock-twice",
    "waitgroup-under-lock",
];

/// One row: what was run, and what the two said.
struct Row {
    name: String,
    comparison: Comparison,
}

impl Row {
    fn cells(&self) -> String {
        let proven = self.comparison.proven();
        let theirs = &self.comparison.theirs;
        let kinds: Vec<&str> = self.comparison.ours.keys().map(String::as_str).collect();
        format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            self.name,
            proven.len(),
            theirs.len(),
            proven.difference(theirs).count(),
            theirs.difference(&proven).count(),
            kinds.join(", ")
        )
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let gostuck = match &options.gostuck {
        Some(path) => path.clone(),
        None => {
            command::cargo(["build", "--release", "--locked", "--package", "tracer-user"])?;
            paths::target().join("release/gostuck")
        }
    };
    let mut text = String::new();
    let cycles: Vec<Row> = CYCLES
        .iter()
        .map(|name| {
            let comparison = Subject::build(name)?.compare(&gostuck, &[])?;
            Ok(Row {
                name: format!("[{name}](../programs/{name}/main.go)"),
                comparison,
            })
        })
        .collect::<Result<_>>()?;
    table(&mut text, "Lock cycles among live state", &cycles);
    let kernels = kernels(&gostuck)?;
    table(
        &mut text,
        "Leak patterns and kernels of real bugs",
        &kernels,
    );
    println!("{text}");
    if options.print {
        step("docs/comparison.md is left alone");
        return Ok(());
    }
    publish(&text)
}

fn kernels(gostuck: &Path) -> Result<Vec<Row>> {
    let subject = Subject::build("leak-kernels")?;
    let names = command::output(Command::new(subject.binary()).arg("-list"))
        .context("the kernels cannot be listed")?;
    let names: Vec<&str> = names.lines().collect();
    let mut rows = Vec::new();
    for name in names {
        step(name);
        rows.push(Row {
            name: name.to_owned(),
            comparison: subject.compare(gostuck, &[name])?,
        });
    }
    Ok(rows)
}

fn table(text: &mut String, title: &str, rows: &[Row]) {
    let _ = write!(
        text,
        "\n### {title}\n\n\
         | program | gostuck proves | profile reports | only gostuck | only the profile | findings |\n\
         |---|---|---|---|---|---|\n"
    );
    for row in rows {
        text.push_str(&row.cells());
    }
    let sum = |count: fn(&Comparison) -> usize| -> usize {
        rows.iter().map(|row| count(&row.comparison)).sum()
    };
    let _ = writeln!(
        text,
        "| **{} in all** | **{}** | **{}** | **{}** | **{}** | |",
        rows.len(),
        sum(|c| c.proven().len()),
        sum(|c| c.theirs.len()),
        sum(|c| c.proven().difference(&c.theirs).count()),
        sum(|c| c.theirs.difference(&c.proven()).count()),
    );
}

const BEGIN: &str = "<!-- measured: cargo xtask compare -->\n";
const END: &str = "<!-- end of measured -->";

fn publish(text: &str) -> Result<()> {
    let path = paths::workspace().join("docs/comparison.md");
    let page = fs::read_to_string(&path).context("reading docs/comparison.md")?;
    let page = replace(&page, text).context("docs/comparison.md has no place for the tables")?;
    fs::write(&path, page).context("writing docs/comparison.md")?;
    step("wrote docs/comparison.md");
    Ok(())
}

/// `page` with what stands between the marks replaced.
fn replace(page: &str, text: &str) -> Option<String> {
    let start = page.find(BEGIN)? + BEGIN.len();
    let end = start + page[start..].find(END)?;
    Some(format!(
        "{}\n{}\n\n{}",
        &page[..start],
        text.trim(),
        &page[end..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_measured_part_of_the_page_is_replaced() {
        let page = format!("a\n{BEGIN}old\n{END}\nb\n");
        let page = replace(&page, "\nnew\n").unwrap();
        assert_eq!(page, format!("a\n{BEGIN}\nnew\n\n{END}\nb\n"));
        assert_eq!(replace("none", "new"), None);
    }
}
