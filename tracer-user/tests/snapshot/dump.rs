//! The runtime's own dump of goroutines (`runtime.Stack(buf, true)`), parsed: the oracle.

/// One goroutine of the dump.
#[derive(Debug)]
pub struct DumpedGoroutine {
    pub goid: u64,
    /// For example `chan receive`.
    pub state: String,
    pub locked: bool,
    pub frames: Vec<DumpedFrame>,
    /// Whether frames in the middle were left out.
    pub elided: Option<usize>,
    pub created_by: Option<String>,
    pub parent: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct DumpedFrame {
    pub function: String,
    pub file: String,
    pub line: u32,
}

/// The goroutines of `dump`, but for the one that made it.
pub fn parse(dump: &str) -> Vec<DumpedGoroutine> {
    dump.split("\n\n")
        .filter_map(|block| {
            let at = block.find("goroutine ")?;
            parse_block(&block[at..])
        })
        .filter(|goroutine| goroutine.state != "running")
        .collect()
}

fn parse_block(block: &str) -> Option<DumpedGoroutine> {
    let mut lines = block.lines();
    let (goid, state) = lines.next()?.strip_prefix("goroutine ")?.split_once(" [")?;
    let mut states = state.trim_end_matches("]:").split(", ");
    let mut goroutine = DumpedGoroutine {
        goid: goid.parse().ok()?,
        state: states.next()?.to_owned(),
        locked: states.any(|state| state == "locked to thread"),
        frames: Vec::new(),
        elided: None,
        created_by: None,
        parent: None,
    };
    while let Some(line) = lines.next() {
        if line.starts_with("...") {
            goroutine.elided = Some(goroutine.frames.len());
            continue;
        }
        let Some(place) = lines.next().and_then(|line| line.strip_prefix('\t')) else {
            break;
        };
        if let Some(creator) = line.strip_prefix("created by ") {
            let (name, parent) = creator
                .split_once(" in goroutine ")
                .unwrap_or((creator, ""));
            goroutine.created_by = Some(name.to_owned());
            goroutine.parent = parent.parse().ok();
            break;
        }
        let (file, line_number) = place.split(" +0x").next()?.rsplit_once(':')?;
        goroutine.frames.push(DumpedFrame {
            function: line[..line.rfind('(')?].to_owned(),
            file: file.to_owned(),
            line: line_number.parse().ok()?,
        });
    }
    // Go 1.19 cuts silently after a hundred frames, those that it does not show included.
    if goroutine.frames.len() > 90 && goroutine.elided.is_none() {
        goroutine.elided = Some(goroutine.frames.len());
    }
    Some(goroutine)
}
