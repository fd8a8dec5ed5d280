//! One inspection, and everything that is made of what it says.

use std::{io, time::Duration};

use tracer_user::{
    daemon::process_metrics::ProcessMetrics,
    document::{Document, Overview},
    export::{
        dot, folded, groups, json, pprof,
        text::{self, Paint},
        view::View,
    },
    finding::Options,
    inspect::{Inspection, Inspector, StoppedProcess},
    reach,
};

use crate::screen;

/// From when on waits count as long.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// Walks of a heap of some hundred pages end long before.
const WALK_LIMIT: Duration = Duration::from_secs(20);

/// What looks at the moments.
pub(crate) fn looker() -> Inspector {
    Inspector::new(Options {
        stuck_after: STUCK_AFTER,
        reach: Some(reach::Options {
            limit: WALK_LIMIT,
            ..reach::Options::default()
        }),
        ..Options::default()
    })
}

/// Looks at `still`, and shows what was seen in every way there is.
pub(crate) fn inspect(still: StoppedProcess) {
    if let Ok(look) = looker().look_at_still(still) {
        show(&look);
    }
}

/// Shows `look` in every way there is.
pub(crate) fn show(look: &Inspection) {
    let document = Document::new(look);
    let mut out = io::sink();
    for (paint, width, all) in [(Paint::Plain, 80, true), (Paint::Colour, 40, false)] {
        let options = text::Options { paint, width, all };
        written(text::write(&mut out, &document, options));
    }
    written(json::write(&mut out, &document));
    written(dot::write(&mut out, &document));
    written(folded::write(&mut out, &document));
    written(pprof::write(&mut out, &document));
    drop(groups::groups(&document));
    let snapshot = &look.diagnosis.snapshot;
    let figures = ProcessMetrics::new(snapshot, &look.diagnosis.findings, 1_000_000_000);
    let (overview, members) = Overview::new(look);
    let view = View::of((overview, members), Duration::ZERO);
    written(view.json(false));
    drop(figures);
    screen::draw(document);
}

/// Nothing fails where everything may be written.
fn written<T>(outcome: io::Result<T>) {
    assert!(outcome.is_ok(), "{:?}", outcome.err());
}
