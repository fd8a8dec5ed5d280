//! Goroutines that are seen while they run.

use libtest_mimic::Trial;
use serde_json::Value;
use testing::{
    Result,
    go::{self, Flavour, NEWEST, Toolchain},
    json,
    process::{Process, stdout},
    trials::{Need, trial},
    wait::for_some,
};

use crate::GOSTUCK;

/// The oldest Go whose goroutines name their parent, and the newest.
const VERSIONS: [&str; 2] = ["1.21.13", NEWEST];

pub(crate) fn trials() -> Vec<Trial> {
    let trials = VERSIONS.map(|version| {
        let name =
            format!("sampled: a goroutine that computes with a lock held is seen, Go {version}");
        trial(&name, &[Need::Root, Need::Go(version)], || {
            a_holder_that_computes_is_seen(Toolchain::of(version))
        })
    });
    trials.into()
}

fn a_holder_that_computes_is_seen(toolchain: Toolchain) -> Result {
    for flavour in [Flavour::Plain, Flavour::Pie, Flavour::NoOptimisation] {
        let program = go::program(toolchain, "running-holder", flavour)?;
        let target = Process::run(&program)?;
        seen(&target.pid().to_string()).map_err(|error| format!("{flavour}: {error}"))?;
    }
    Ok(())
}

/// Looks until the holder is seen: its thread may get no CPU for a while.
fn seen(pid: &str) -> Result {
    let document = for_some("a sample of the holder", || {
        let document = json(&stdout(GOSTUCK, &["inspect", pid, "--format", "json"])?)?;
        Ok(holder(&document).is_some().then_some(document))
    })?;
    let holder = holder(&document).ok_or("it was there")?;
    let frames = holder["stack"].as_array().ok_or("no stack")?;
    let functions: Vec<&str> = frames
        .iter()
        .filter_map(|f| f["function"].as_str())
        .collect();
    let outermost = functions.last().copied().unwrap_or_default();
    assert!(outermost.starts_with("main.main"), "{functions:?}");
    assert!(functions.contains(&"main.compute"), "{functions:?}");
    assert_eq!(holder["stack_truncated"], false, "{holder:#}");
    let proven = document["findings"].as_array().into_iter().flatten();
    let proven: Vec<&Value> = proven.filter(|f| f["verdict"] == "proven").collect();
    assert!(proven.is_empty(), "{proven:#?}");
    let text = for_some("the stack in the text", || {
        let text = stdout(GOSTUCK, &["inspect", pid, "--all"])?;
        Ok(text.contains("[running, sampled]").then_some(text))
    })?;
    assert!(text.contains("main.compute  "), "{text}");
    Ok(())
}

/// The goroutine that was seen in its computation.
fn holder(document: &Value) -> Option<&Value> {
    let mut goroutines = document["goroutines"].as_array()?.iter();
    goroutines.find(|g| g["sampled"] == true && g["stack"][0]["function"] == "main.burn")
}
