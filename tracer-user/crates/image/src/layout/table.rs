//! The committed table: layouts by full Go version, since fields moved between patch releases.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{super::GoVersion, LayoutSource, StructOffsets};

static TABLE: LazyLock<Result<Vec<(GoVersion, StructOffsets)>, String>> = LazyLock::new(|| {
    let text = include_str!("../../layouts/layouts.json");
    let table: BTreeMap<String, StructOffsets> =
        serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut rows: Vec<_> = table
        .into_iter()
        .filter_map(|(version, structs)| {
            Some((GoVersion::parse(&format!("go{version}"))?, structs))
        })
        .collect();
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(rows)
});

/// The row of `version`, else the nearest: within the same minor release the closest patch, else
/// the last patch of the newest minor release for versions that are newer than the table.
pub(super) fn lookup(version: &GoVersion) -> Result<(StructOffsets, LayoutSource), String> {
    let rows = TABLE
        .as_ref()
        .map_err(|e| format!("the built-in layout table is broken: {e}"))?;
    let distance = |row: &GoVersion| {
        let patches = if row.minor == version.minor {
            row.patch.abs_diff(version.patch)
        } else {
            u32::MAX - row.patch
        };
        let minors = row.minor.abs_diff(version.minor);
        (row.major.abs_diff(version.major), minors, patches)
    };
    let (row, structs) = rows
        .iter()
        .min_by_key(|(row, _)| distance(row))
        .ok_or("the built-in layout table is empty")?;
    let experimental = version.raw.contains("X:") || version.raw.starts_with("devel");
    // Between two known minor releases nobody can tell which of them it is like, and no invariant
    // would notice every field that has moved.
    let newest = rows.last().map_or(0, |(row, _)| row.minor);
    if row.minor != version.minor && version.minor < newest {
        return Err(format!(
            "the table has no layout of Go 1.{}; a binary with debug information can be read",
            version.minor
        ));
    }
    let source = if distance(row) == (0, 0, 0) && !experimental {
        LayoutSource::Table
    } else {
        LayoutSource::Nearest(row.raw.clone())
    };
    Ok((structs.clone(), source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    fn source(raw: &str) -> LayoutSource {
        lookup(&GoVersion::parse(raw).unwrap()).unwrap().1
    }

    #[test]
    fn exact_nearest_patch_and_nearest_minor() {
        assert_eq!(source("go1.27.3"), LayoutSource::Table);
        assert_eq!(
            source("go1.24.10"),
            LayoutSource::Nearest("go1.24.11".into())
        );
        assert_eq!(source("go1.24.4"), LayoutSource::Nearest("go1.24.3".into()));
        assert_eq!(source("go1.31.0"), LayoutSource::Nearest("go1.27.3".into()));
        assert_eq!(
            source("go1.26.6 X:foo"),
            LayoutSource::Nearest("go1.26.6".into())
        );
    }

    #[test]
    fn a_release_between_known_ones_is_not_guessed() {
        let version = GoVersion::parse("go1.20.14").unwrap();
        let why = lookup(&version).unwrap_err();
        assert!(why.contains("no layout of Go 1.20"), "{why}");
    }

    #[test]
    fn every_row_is_a_whole_layout() {
        for (version, structs) in TABLE.as_ref().unwrap() {
            Layout::new(structs, version).unwrap();
        }
    }
}
