//! Why one goroutine waits, as text.

use std::io::{self, Write};

use super::{Paint, Style, wrap};
use crate::{
    inspect::{ExplainedFinding, ExplainedObject, Explanation},
    target_text::TargetText,
};

/// Prints `explanation` in lines of at most so many columns.
///
/// # Errors
/// When `out` cannot be written.
pub fn explanation(
    out: &mut impl Write,
    explanation: &Explanation,
    (paint, width): (Paint, usize),
) -> io::Result<()> {
    paragraph(out, &explanation.doing, ("", "  "), width)?;
    let verdict = explanation.verdict.to_string();
    writeln!(out, "{}", paint.style(Style::Heading, verdict))?;
    for finding in &explanation.findings {
        told(out, finding, (paint, width))?;
    }
    for object in &explanation.objects {
        reached(out, object, (paint, width))?;
    }
    Ok(())
}

fn told(
    out: &mut impl Write,
    finding: &ExplainedFinding,
    (paint, width): (Paint, usize),
) -> io::Result<()> {
    let heading = format!(
        "{}  {}",
        finding.verdict.to_string().to_uppercase(),
        finding.id
    );
    writeln!(out, "\n{}", paint.style(Style::Heading, heading))?;
    paragraph(out, &finding.summary, ("  ", "  "), width)?;
    for line in &finding.story {
        paragraph(out, line, ("    ", "    "), width)?;
    }
    for doubt in &finding.doubts {
        let doubt = format!("Missing for proof: {doubt}.");
        paragraph(out, &doubt.as_str().into(), ("    ", "    "), width)?;
    }
    Ok(())
}

fn reached(
    out: &mut impl Write,
    of: &ExplainedObject,
    (paint, width): (Paint, usize),
) -> io::Result<()> {
    let heading = paint.style(Style::Heading, of.object.to_string());
    writeln!(out, "\n{heading}")?;
    for way in &of.ways {
        for (depth, step) in way.iter().enumerate() {
            let indent = " ".repeat(2 + 2 * depth.min(10));
            paragraph(out, step, (&indent, &format!("{indent}  ")), width)?;
        }
    }
    for line in of.note.iter().chain(&of.actors) {
        paragraph(out, line, ("  ", "    "), width)?;
    }
    Ok(())
}

/// Prints `text`, its first line behind one indent and the others behind another.
fn paragraph(
    out: &mut impl Write,
    text: &TargetText,
    (first, others): (&str, &str),
    width: usize,
) -> io::Result<()> {
    let columns = width.saturating_sub(others.len()).max(20);
    for (index, line) in wrap(text, columns).iter().enumerate() {
        let indent = if index == 0 { first } else { others };
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
}
