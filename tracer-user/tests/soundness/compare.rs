//! A look against the shadow table, as it was before and after the look.

use serde_json::Value;

use crate::{generate::Program, shadow::Table};

/// What is wrong with a look.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Goroutines are proven stuck that are not dead by the table.
    Proof {
        /// The finding.
        finding: Value,
        /// Who of them is not dead.
        alive: Vec<u64>,
    },
    /// A goroutine is said to hold a lock, for certain or in a proof, that it does not hold.
    Holder {
        /// The lock's number.
        lock: usize,
        /// Who was named.
        named: u64,
        /// What the table says.
        truth: String,
        /// The object with its holders.
        object: Value,
    },
}

/// What a look says, compared.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) faults: Vec<Fault>,
    /// Goroutines proven stuck.
    pub(crate) proven: Vec<u64>,
    /// Holders named for certain that could be compared, and were right.
    pub(crate) holders: u64,
}

fn array<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Compares the document of a look with the tables read before and after it.
pub(crate) fn compare(
    program: &Program,
    document: &Value,
    before: &Table,
    after: &Table,
) -> Comparison {
    let mut comparison = Comparison::default();
    for finding in array(document, "findings") {
        if finding["verdict"] == "proven" {
            proof(finding, after, &mut comparison);
        }
    }
    if program.shadowed {
        for object in array(document, "objects") {
            holders(object, before, after, &mut comparison);
            edges(object, document, before, after, &mut comparison);
        }
    }
    comparison
}

fn proof(finding: &Value, after: &Table, comparison: &mut Comparison) {
    let members = array(finding, "goroutines").iter();
    let members: Vec<u64> = members.filter_map(Value::as_u64).collect();
    let alive: Vec<u64> = members
        .iter()
        .copied()
        .filter(|goid| after.death_of(*goid).is_none())
        .collect();
    comparison.proven.extend(members);
    if !alive.is_empty() {
        comparison.faults.push(Fault::Proof {
            finding: finding.clone(),
            alive,
        });
    }
}

fn holders(object: &Value, before: &Table, after: &Table, comparison: &mut Comparison) {
    let address = object["address"].as_str().and_then(hexadecimal);
    let Some(lock) = address.and_then(|address| before.lock_at(address)) else {
        return;
    };
    let waiters = array(object, "waiters");
    // A writer that waits for readers keeps out others, though it does not hold the lock yet.
    let by_protocol = |holder: &Value| {
        holder["release"]["how"] == "protocol" && waiters.contains(&holder["goroutine"])
    };
    let certain = array(object, "holders")
        .iter()
        .filter(|holder| holder["certain"] == true && !by_protocol(holder));
    for named in certain.filter_map(|holder| holder["goroutine"].as_u64()) {
        named_holder(lock, named, object, before, after, comparison);
    }
}

/// Who is waited for at `object` in proofs. One who only waits there, too, is not said to hold it.
fn edges(
    object: &Value,
    document: &Value,
    before: &Table,
    after: &Table,
    comparison: &mut Comparison,
) {
    let address = object["address"].as_str().and_then(hexadecimal);
    let Some(lock) = address.and_then(|address| before.lock_at(address)) else {
        return;
    };
    let waiters = array(object, "waiters");
    let proven = array(document, "findings").iter();
    let proven = proven.filter(|finding| finding["verdict"] == "proven");
    let edges = proven.flat_map(|finding| array(finding, "edges"));
    let edges = edges.filter(|edge| edge["object"] == object["address"]);
    let mut holders: Vec<u64> = edges
        .filter(|edge| !waiters.contains(&edge["to"]))
        .filter_map(|edge| edge["to"].as_u64())
        .collect();
    holders.sort_unstable();
    holders.dedup();
    for named in holders {
        named_holder(lock, named, object, before, after, comparison);
    }
}

fn named_holder(
    lock: usize,
    named: u64,
    object: &Value,
    before: &Table,
    after: &Table,
    comparison: &mut Comparison,
) {
    match truth(lock, named, before, after) {
        Truth::Unknown => {}
        Truth::Holds => comparison.holders += 1,
        Truth::HoldsNot(truth) => comparison.faults.push(Fault::Holder {
            lock,
            named,
            truth,
            object: object.clone(),
        }),
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

enum Truth {
    Holds,
    HoldsNot(String),
    /// It changed during the look, or is changing.
    Unknown,
}

/// Whether goroutine `named` has lock number `lock`, as far as both tables agree.
fn truth(lock: usize, named: u64, before: &Table, after: &Table) -> Truth {
    let (lock_before, lock_after) = (before.lock(lock), after.lock(lock));
    let stable = lock_before.same(&lock_after);
    let owner = lock_before.owner().filter(|_| stable);
    let slot = before.slot_of(named);
    if let Some(owner) = owner {
        // One that is taken by somebody is not anybody else's.
        return if slot == Some(owner) {
            Truth::Holds
        } else {
            Truth::HoldsNot(format!(
                "goroutine {} has it, all through the look",
                before.row(owner).goid()
            ))
        };
    }
    let Some(slot) = slot else {
        return Truth::Unknown;
    };
    let (row_before, row_after) = (before.row(slot), after.row(slot));
    let moving = !row_before.same(&row_after)
        || row_before.wants() == Some(lock) && !waits_for(lock, slot, before, after)
        || row_after.wants() == Some(lock) && !waits_for(lock, slot, before, after)
        || lock_before.in_transit()
        || lock_after.in_transit();
    if moving {
        return Truth::Unknown;
    }
    if row_before.holds(lock) {
        Truth::Holds
    } else {
        Truth::HoldsNot("it took and gave back nothing during the look and has not got it".into())
    }
}

/// Whether the goroutine of row `slot` certainly still waits for `lock`: it says that it asks for it,
/// and it is dead. One that is alive may have got it and not yet said so.
fn waits_for(lock: usize, slot: usize, before: &Table, after: &Table) -> bool {
    let goid = before.row(slot).goid();
    before.row(slot).wants() == Some(lock)
        && after.row(slot).wants() == Some(lock)
        && before.death_of(goid).is_some()
}
