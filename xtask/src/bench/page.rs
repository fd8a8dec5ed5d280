//! docs/performance.md: one section a measurement, replaced as a whole by its run.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result};

use crate::{
    command::{output, step},
    paths,
};

/// A section being written.
#[derive(Debug)]
pub(crate) struct Section {
    title: &'static str,
    body: String,
}

impl Section {
    /// A section that says first how its figures come about.
    pub(crate) fn new(title: &'static str, method: &str) -> Self {
        Self {
            title,
            body: format!("{method}\n\n{}\n", machine()),
        }
    }

    /// Adds a paragraph.
    pub(crate) fn text(&mut self, text: &str) {
        let _ = write!(self.body, "\n{text}\n");
    }

    /// Adds a table: a header and rows of as many cells.
    pub(crate) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        self.body.push('\n');
        self.body.push_str(&line(header.to_vec()));
        self.body.push_str(&line(vec!["---"; header.len()]));
        for row in rows {
            self.body
                .push_str(&line(row.iter().map(String::as_str).collect()));
        }
    }

    /// Prints the section and, unless the run was a quick one or of a part only, puts it in the page.
    pub(crate) fn publish(&self, partial: bool) -> Result<()> {
        println!("\n## {}\n\n{}", self.title, self.body);
        if partial {
            step("a quick run or a part: docs/performance.md is left alone");
            return Ok(());
        }
        let path = paths::workspace().join("docs/performance.md");
        let page = fs::read_to_string(&path).context("reading docs/performance.md")?;
        fs::write(&path, replace(&page, self.title, &self.body))
            .context("writing docs/performance.md")?;
        step(&format!("wrote \"{}\" of docs/performance.md", self.title));
        Ok(())
    }
}

/// `page` with the section `title` replaced, or put at its end.
fn replace(page: &str, title: &str, body: &str) -> String {
    let heading = format!("## {title}\n");
    let section = format!("{heading}\n{}\n", body.trim_end());
    let Some(start) = page.find(&heading) else {
        return format!("{}\n\n{section}", page.trim_end());
    };
    let after = start + heading.len();
    let rest = page[after..]
        .find("\n## ")
        .map_or("", |at| &page[after + at..]);
    format!("{}{section}{rest}", &page[..start])
}

/// The kernel and the processors that the figures are of.
fn machine() -> String {
    let kernel = output(std::process::Command::new("uname").arg("-r")).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    format!("Linux {kernel}, a virtual machine with {cpus} CPUs, load average {load} at the start.")
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn a_section_is_replaced_in_its_place_and_a_new_one_goes_last() {
        let page = "# P\n\n## A\n\nold\n\n## B\n\nkept\n";
        let page = replace(page, "A", "new\n");
        assert_eq!(page, "# P\n\n## A\n\nnew\n\n## B\n\nkept\n");
        let page = replace(&page, "B", "b\n");
        assert_eq!(page, "# P\n\n## A\n\nnew\n\n## B\n\nb\n");
        let page = replace(&page, "C", "c\n");
        assert_eq!(page, "# P\n\n## A\n\nnew\n\n## B\n\nb\n\n## C\n\nc\n");
    }
}
