//! Tests that were skipped although this machine can do them.
//!
//! A test names what it needs and did not find: `a name (needs root, podman)`, see
//! `testing::trials`.

use crate::{command, paths};

/// Returns why the test `name` had to be run here, or `None` if this machine cannot do it.
pub(super) fn reproach(name: &str) -> Option<String> {
    let needs = name
        .strip_suffix(')')
        .and_then(|name| Some(name.rsplit_once("(needs ")?.1));
    let Some(needs) = needs else {
        return Some("it does not say what it needs".to_owned());
    };
    // What really is missing excuses the rest.
    let reproaches: Option<Vec<String>> = needs.split(", ").map(reproach_need).collect();
    reproaches.map(|reproaches| reproaches.join(", "))
}

fn reproach_need(need: &str) -> Option<String> {
    if need.starts_with("Go ") {
        return Some(format!("{need} is what setup installs"));
    }
    let is_here = match need {
        "root" => command::is_root(),
        // What a machine has or has not is in several words; the test itself has looked for it.
        _ => !need.contains(' ') && paths::on_path(need).is_some(),
    };
    is_here.then(|| format!("{need} is here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_excuses_a_skipped_test() {
        for skipped in [
            "a",
            "a (needs sh)",
            "a (needs Go 1.2.3)",
            "a (needs Go 1.2.3, sh)",
        ] {
            assert!(reproach(skipped).is_some(), "{skipped}");
        }
        for skipped in [
            "a (needs /none)",
            "a (needs sh, /none)",
            "a (needs overlay file systems)",
        ] {
            assert_eq!(reproach(skipped), None, "{skipped}");
        }
    }
}
