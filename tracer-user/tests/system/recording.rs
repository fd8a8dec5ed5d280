//! `gostuck record` and `gostuck replay`: the same findings from the file, on any machine.

use std::{fs, os::unix::fs::PermissionsExt as _};

use libtest_mimic::Trial;
use testing::{
    Result,
    go::{Flavour, newest},
    json,
    process::{Process, output, stdout},
};

use crate::{GOSTUCK, core_file::findings, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a recording is replayed to what the live process showed",
            &[],
            a_recording_is_replayed,
        ),
        trial(
            "a process is held only while it is copied, and a failed recording leaves nothing",
            &[],
            a_hold_is_short,
        ),
        trial(
            "a series is replayed as its findings appeared, as far as the file goes",
            &[],
            a_series_is_replayed,
        ),
    ]
}

fn a_hold_is_short() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("shop.gostuck");
    let path = file.display().to_string();
    let target = Process::run(&newest("abba", Flavour::Stripped)?)?;
    let pid = target.pid().to_string();
    let entries = || fs::read_dir(folder.path()).map(Iterator::count);

    let refused = output(GOSTUCK, &["record", "--hold", "1us", &pid, "-o", &path])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("let it be held longer"), "{said}");
    assert_eq!(entries().map_err(|error| error.to_string())?, 0);
    let nowhere = folder.path().join("none/shop.gostuck");
    let nowhere = nowhere.display().to_string();
    let refused = output(GOSTUCK, &["record", &pid, "-o", &nowhere])?;
    assert_eq!(refused.status.code(), Some(1));

    let said = stdout(GOSTUCK, &["record", &pid, "-o", &path])?;
    let held = said.split("held the process for ").nth(1);
    let held = held.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    // Some milliseconds; but this machine may be busy.
    assert!(held.is_some_and(|ms| ms < 500.0), "{said}");
    assert_eq!(entries().map_err(|error| error.to_string())?, 1);
    let mode = fs::metadata(&file).map_err(|error| error.to_string())?;
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    Ok(())
}

fn a_series_is_replayed() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("shop.gostuck").display().to_string();
    let target = Process::run(&newest("abba", Flavour::Stripped)?)?;
    let pid = target.pid().to_string();
    let live = json(&stdout(GOSTUCK, &["inspect", "--format", "json", &pid])?)?;
    let series = ["record", "--for", "600ms", "--every", "200ms"];
    let said = stdout(GOSTUCK, &[&series[..], &[&pid, "-o", &file]].concat())?;
    assert!(said.starts_with("recorded 4 moments"), "{said}");
    drop(target);
    let replayed = stdout(GOSTUCK, &["replay", "--format", "json", &file])?;
    let lines = replayed.lines().map(json);
    let lines = lines.collect::<std::result::Result<Vec<_>, _>>()?;
    let cycle = &lines[0];
    assert_eq!(
        [
            &cycle["event"],
            &cycle["finding"]["kind"],
            &cycle["finding"]["verdict"]
        ],
        ["appeared", "lock-cycle", "proven"]
    );
    assert_eq!(
        cycle["finding"]["goroutines"],
        live["findings"][0]["goroutines"]
    );
    // It stands to the end.
    let told = lines
        .iter()
        .filter(|line| line["finding"]["kind"] == "lock-cycle");
    assert_eq!(told.count(), 1, "{replayed}");
    let summary = lines.last().map(|line| &line["findings"]["proven"]);
    assert_eq!(summary, Some(&serde_json::json!(1)), "{replayed}");

    // What was written before it broke off is shown, and that it broke off is said.
    let whole = fs::read(&file).map_err(|error| error.to_string())?;
    fs::write(&file, &whole[..whole.len() - 9]).map_err(|error| error.to_string())?;
    let cut = output(GOSTUCK, &["replay", &file])?;
    let shown = String::from_utf8_lossy(&cut.stdout).into_owned();
    assert!(shown.contains("PROVEN: lock cycle"), "{shown}");
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(said.contains("cut short or damaged"), "{said}");
    assert_eq!(cut.status.code(), Some(1));
    Ok(())
}

fn a_recording_is_replayed() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("shop.gostuck").display().to_string();
    for (name, flavour) in [
        ("abba", Flavour::Pie),
        ("range-unclosed", Flavour::Stripped),
    ] {
        // A copy that is gone when it is replayed.
        let program = folder.path().join("shop");
        fs::copy(newest(name, flavour)?, &program).map_err(|error| error.to_string())?;
        let target = Process::run(&program)?;
        let pid = target.pid().to_string();
        let live = json(&stdout(GOSTUCK, &["inspect", "--format", "json", &pid])?)?;
        let said = stdout(GOSTUCK, &["record", &pid, "-o", &file])?;
        assert!(said.contains("held the process for"), "{said}");
        // It runs on.
        let after = json(&stdout(GOSTUCK, &["inspect", "--format", "json", &pid])?)?;
        assert_eq!(findings(&after), findings(&live));
        drop(target);
        fs::remove_file(&program).map_err(|error| error.to_string())?;
        let replayed = json(&stdout(GOSTUCK, &["replay", "--format", "json", &file])?)?;
        if findings(&live).is_empty() || findings(&replayed) != findings(&live) {
            return Err(format!(
                "{name}, {flavour}: {live:#}\nreplayed: {replayed:#}"
            ));
        }
        assert_eq!(replayed["process"]["file"], file.as_str());
        assert_eq!(
            replayed["goroutines"].as_array().map(Vec::len),
            live["goroutines"].as_array().map(Vec::len)
        );
    }
    let whole = fs::read(&file).map_err(|error| error.to_string())?;
    fs::write(&file, &whole[..whole.len() / 2]).map_err(|error| error.to_string())?;
    let refused = output(GOSTUCK, &["replay", &file])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("cut short or damaged"), "{said}");
    assert_eq!(refused.status.code(), Some(1));
    Ok(())
}
