//! The first lines: which process this is.

use std::io::{self, Write};

use super::{Options, Style, count, duration};
use crate::document::Document;

/// Prints the process in one or two lines.
pub fn write(out: &mut impl Write, document: &Document, options: Options) -> io::Result<()> {
    let process = &document.process;
    let name = format!("{} (pid {})", process.command, process.pid);
    #[expect(clippy::cast_precision_loss, reason = "an uptime in seconds")]
    let since = match process.uptime_seconds {
        Some(seconds) => format!("up {}", duration(seconds as f64)),
        None => format!("as of {}", document.taken),
    };
    writeln!(
        out,
        "{}  {}, {since}, {}, {}",
        options.paint.style(Style::Heading, name),
        process.image.go_version,
        count(process.goroutines, "goroutine"),
        count(process.threads, "thread"),
    )?;
    let mut facts = vec![process.exe.to_string()];
    if process.image.stripped {
        facts.push("stripped".to_owned());
    }
    if process.image.cgo {
        facts.push("cgo".to_owned());
    }
    if let Some(identity) = &process.identity {
        let unknown = "?".into();
        let id = identity.container_id.as_ref().unwrap_or(&unknown);
        let name = identity.container.as_ref().unwrap_or(id);
        match (&identity.namespace, &identity.pod) {
            (Some(namespace), Some(pod)) => {
                facts.push(format!("pod {namespace}/{pod}, container {name}"));
            }
            _ => facts.push(format!("container {}", name)),
        }
    }
    let facts = facts.join(", ");
    writeln!(out, "{}", options.paint.style(Style::Faint, facts))
}
