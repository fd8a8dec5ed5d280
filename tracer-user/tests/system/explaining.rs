//! `gostuck explain`: the ways to what a goroutine waits for.

use libtest_mimic::Trial;
use serde_json::Value;
use testing::{
    Result,
    go::{Flavour, newest},
    process::{Process, stdout},
};

use crate::{GOSTUCK, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "explaining: variables, fields, types and frames are named",
            &[],
            everything_is_named,
        ),
        trial(
            "explaining: of a stripped program, types and fields are named where objects say them",
            &[],
            stripped_programs_have_addresses,
        ),
    ]
}

/// What `gostuck` prints with `arguments`.
fn gostuck(arguments: &[&str]) -> Result<String> {
    stdout(GOSTUCK, arguments)
}

/// What is explained of the goroutine of `target` that waits in `function`.
fn explained(target: &Process, function: &str) -> Result<Value> {
    let pid = target.pid().to_string();
    let look = gostuck(&["inspect", &pid, "--format", "json"])?;
    let look: Value = serde_json::from_str(&look).map_err(|error| error.to_string())?;
    let goroutines = look["goroutines"].as_array().ok_or("no goroutines")?;
    let is_in = |goroutine: &&Value| {
        let stack = goroutine["stack"].as_array();
        stack.is_some_and(|stack| stack.iter().any(|frame| frame["function"] == function))
    };
    let found = goroutines
        .iter()
        .find(is_in)
        .ok_or(format!("nobody is in {function}"))?;
    let goid = found["id"].to_string();
    let explained = gostuck(&["explain", &pid, &goid, "--format", "json"])?;
    serde_json::from_str(&explained).map_err(|error| error.to_string())
}

/// The first way to the first object, in one line.
fn way(explanation: &Value) -> String {
    let steps = explanation["objects"][0]["ways"][0].as_array();
    let steps = steps.into_iter().flatten().filter_map(Value::as_str);
    steps.collect::<Vec<_>>().join("; ")
}

fn everything_is_named() -> Result {
    let target = Process::run(&newest("reached", Flavour::Plain)?)?;
    for (function, parts) in [
        (
            "main.bySlice",
            &[
                "Variable main.state.hub refers to the main.hub at",
                "its subs refers to the elements of a []*main.subscriber",
                "its [2] refers to the main.subscriber",
                "its ch refers to it",
            ][..],
        ),
        (
            "main.byInterface",
            &[
                "Variable main.state.hub refers to the main.hub at",
                "its named refers to the main.subscriber",
                "its ch refers to it",
            ],
        ),
        (
            "main.byArray",
            &[
                "Variable main.state.hub refers to the main.hub at",
                "its large[7] refers to the main.subscriber",
                "its ch refers to it",
            ],
        ),
    ] {
        let way = way(&explained(&target, function)?);
        for part in parts {
            assert!(way.contains(part), "{function}: {part:?} in {way:?}");
        }
    }
    let by_frame = explained(&target, "main.byFrame")?;
    let first = way(&by_frame);
    assert!(
        first.starts_with("The frame of main.sendLater (main.go:"),
        "{first}"
    );
    let actor = by_frame["objects"][0]["actors"][0]
        .as_str()
        .unwrap_or_default();
    assert!(
        actor.contains("would send on it at main.sendLater (main.go:"),
        "{by_frame:#}"
    );
    assert!(actor.contains("it sleeps"), "{by_frame:#}");
    Ok(())
}

fn stripped_programs_have_addresses() -> Result {
    let target = Process::run(&newest("reached", Flavour::Stripped)?)?;
    // Large objects say themselves of which type they are.
    let way = way(&explained(&target, "main.byInterface")?);
    assert!(way.starts_with("The variable at 0x"), "{way}");
    assert!(way.contains("refers to the main.hub at"), "{way}");
    assert!(way.ends_with("its ch refers to it"), "{way}");
    let pid = target.pid().to_string();
    let error = gostuck(&["explain", &pid, "99999"]).expect_err("there is no such goroutine");
    assert!(error.contains("has no goroutine 99999"), "{error}");
    Ok(())
}
