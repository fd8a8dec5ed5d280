//! The committed table: layouts by full Go version, since fields moved between patch releases.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{super::GoVersion, LayoutSource, StructOffsets};

static TABLE: LazyLock<Result<Vec<(GoVersion, StructOffsets)>, String>> = LazyLock::new(|| {
    let text = include_str!("../../../layouts/layouts.json");
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
/// the closest minor release.
pub(super) fn lookup(version: &GoVersion) -> Result<(StructOffsets, LayoutSource), String> {
    let rows = TABLE
        .as_ref()
        .map_err(|e| format!("the built-in layout table is broken: {e}"))?;
    let distance = |row: &GoVersion| {
        (
            row.major.abs_diff(version.major),
            row.minor.abs_diff(version.minor),
            row.patch.abs_diff(version.patch),
        )
    };
    let (row, structs) = rows
        .iter()
        .min_by_key(|(row, _)| distance(row))
        .ok_or("the built-in layout table is empty")?;
    let experimental = version.raw.contains("X:") || version.raw.starts_with("devel");
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
    use crate::image::layout::Layout;

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
        assert_eq!(source("go1.31.0"), LayoutSource::Nearest("go1.27.0".into()));
        assert_eq!(
            source("go1.26.6 X:foo"),
            LayoutSource::Nearest("go1.26.6".into())
        );
    }

    #[test]
    fn every_row_is_a_whole_layout() {
        for (version, structs) in TABLE.as_ref().unwrap() {
            Layout::new(structs, version).unwrap();
        }
    }
}
