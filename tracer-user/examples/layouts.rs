//! Rewrites the committed table of runtime struct layouts from the debug information of Go
//! binaries: `cargo run --example layouts -- TABLE BINARY…`. Rows of versions that no binary was
//! built by stay. Run by `cargo xtask layouts`.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};
use tracer_user::image::{GoVersion, Image, layout};

type Structs = BTreeMap<String, BTreeMap<String, u64>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let table = arguments.next().context("usage: layouts TABLE BINARY…")?;
    let mut rows: BTreeMap<String, Structs> = match fs::read_to_string(&table) {
        Ok(text) => serde_json::from_str(&text).with_context(|| table.clone())?,
        Err(_) => BTreeMap::new(),
    };
    for binary in arguments {
        let image = Image::open(Path::new(&binary))?;
        let structs = layout::from_debug_information(Path::new(&binary))
            .with_context(|| format!("{binary} has no debug information"))?;
        let version = image.go_version();
        let key = format!("{}.{}.{}", version.major, version.minor, version.patch);
        eprintln!("{key}: {} structs", structs.len());
        rows.insert(key, structs);
    }
    fs::write(&table, render(&rows)?).with_context(|| table.clone())
}

/// One struct a line, versions in their own order, so that a diff shows what moved.
fn render(rows: &BTreeMap<String, Structs>) -> Result<String> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|(version, _)| GoVersion::parse(&format!("go{version}")));
    let mut text = String::from("{\n");
    for (at, (version, structs)) in rows.iter().enumerate() {
        writeln!(text, " {}: {{", serde_json::to_string(version)?)?;
        for (at, (name, fields)) in structs.iter().enumerate() {
            let comma = if at + 1 < structs.len() { "," } else { "" };
            writeln!(
                text,
                "  {}: {}{comma}",
                serde_json::to_string(name)?,
                serde_json::to_string(fields)?
            )?;
        }
        let comma = if at + 1 < rows.len() { "," } else { "" };
        writeln!(text, " }}{comma}")?;
    }
    text.push_str("}\n");
    Ok(text)
}
