//! `gostuck record` and `gostuck replay`: the same findings from the file, on any machine.

use std::fs;

use libtest_mimic::Trial;

use crate::{
    core_file::findings,
    go::Flavour,
    running::{GOSTUCK, Running, built, json, output, stdout},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "a recording is replayed to what the live process showed",
        &[],
        a_recording_is_replayed,
    )]
}

fn a_recording_is_replayed() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("shop.gostuck").display().to_string();
    for (name, flavour) in [
        ("abba", Flavour::Pie),
        ("range-unclosed", Flavour::Stripped),
    ] {
        // A copy that is gone when it is replayed.
        let program = folder.path().join("shop");
        fs::copy(built(name, flavour)?, &program).map_err(|error| error.to_string())?;
        let target = Running::ready(&program)?;
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
