//! Words and figures for sentences that are read at 3 a.m.

use holders::ReleaseKind;
use image::WaitReason;
use snapshot::{ObjectKind, Operation, WaitSince};

/// How long something has lasted, as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    /// It began before anybody looked.
    Unknown,
    /// At least so many nanoseconds.
    AtLeast(u64),
    /// So many nanoseconds.
    Exact(u64),
}

impl Age {
    /// The age at `now_ns` of what has lasted since `since`.
    pub(crate) fn at(now_ns: u64, since: WaitSince) -> Self {
        match since {
            WaitSince::Exact(ns) => Self::Exact(now_ns.saturating_sub(ns)),
            WaitSince::AtLeast(ns) => Self::AtLeast(now_ns.saturating_sub(ns)),
            WaitSince::Unknown => Self::Unknown,
        }
    }

    /// Nanoseconds it is known to have lasted.
    pub(crate) const fn known_ns(self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::AtLeast(ns) | Self::Exact(ns) => ns,
        }
    }

    /// `for 4 m 10 s`, or nothing when not known; with a leading space.
    pub(crate) fn phrase(self) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::AtLeast(ns) => format!(" for at least {}", duration(ns)),
            Self::Exact(ns) => format!(" for {}", duration(ns)),
        }
    }
}

/// A length of time in its two leading units: `340 ms`, `4 m 10 s`, `2 d 4 h`.
pub(crate) fn duration(ns: u64) -> String {
    let ms = ns / 1_000_000;
    let s = ms / 1000;
    let two = |big: u64, big_unit, small: u64, small_unit| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{s} s"),
        60..3600 => two(s / 60, "m", s % 60, "s"),
        3600..86400 => two(s / 3600, "h", s / 60 % 60, "m"),
        _ => two(s / 86400, "d", s / 3600 % 24, "h"),
    }
}

/// `1 goroutine`, `2 goroutines`.
pub(crate) fn count(number: u64, singular: &str) -> String {
    match number {
        1 => format!("1 {singular}"),
        _ => format!("{} {singular}s", grouped(number)),
    }
}

/// A number with its thousands set apart: `10,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount of memory: `512 B`, `1.8 GiB`.
pub(crate) fn bytes(amount: u64) -> String {
    let mut unit = 0;
    let mut tenths = amount.saturating_mul(10);
    while tenths >= 10_240 && unit < UNITS.len() - 1 {
        tenths /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{amount} B"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// The kind of an object as Go programmers call it.
pub(crate) const fn kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Channel => "channel",
        ObjectKind::Mutex => "mutex",
        ObjectKind::RwMutex => "RWMutex",
        ObjectKind::WaitGroup => "WaitGroup",
        ObjectKind::Cond => "Cond",
        ObjectKind::Semaphore => "semaphore",
    }
}

/// What somebody does who waits: `waits to lock` + object.
pub(crate) const fn waiting(operation: Operation) -> &'static str {
    match operation {
        Operation::Send => "waits to send on",
        Operation::Receive => "waits to receive from",
        Operation::Lock => "waits to lock",
        Operation::ReadLock => "waits to read-lock",
        Operation::DrainReaders => "waits for the readers to leave",
        Operation::Wait => "waits for",
        Operation::CondWait => "waits to be notified by",
        Operation::Acquire => "waits to acquire",
    }
}

/// What somebody would do later: `send on` + object.
pub(crate) const fn would(kind: ReleaseKind) -> &'static str {
    match kind {
        ReleaseKind::Unlock | ReleaseKind::WriteUnlock => "unlock",
        ReleaseKind::ReadUnlock => "read-unlock",
        ReleaseKind::Done => "call Done on",
        ReleaseKind::Send => "send on",
        ReleaseKind::Receive => "receive from",
        ReleaseKind::Close => "close",
        ReleaseKind::Notify => "notify",
    }
}

/// What somebody does who waits without an object of its own.
pub(crate) fn pausing(reason: Option<WaitReason>) -> String {
    match reason {
        Some(WaitReason::Sleep) => "sleeps".to_owned(),
        Some(WaitReason::IoWait) => "is in IO wait".to_owned(),
        Some(WaitReason::ChanReceiveNil) => "receives from a nil channel".to_owned(),
        Some(WaitReason::ChanSendNil) => "sends to a nil channel".to_owned(),
        Some(WaitReason::SelectNoCases) => "sits in select {}".to_owned(),
        Some(WaitReason::SelectAllNil) => "waits in a select whose channels are all nil".to_owned(),
        Some(reason) => format!("waits ({reason})"),
        None => "runs".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let s = 1_000_000_000;
        for (ns, expected) in [
            (340_000_000, "340 ms"),
            (12 * s, "12 s"),
            (250 * s, "4 m 10 s"),
            (240 * s, "4 m"),
            (11_100 * s, "3 h 5 m"),
            (187_200 * s, "2 d 4 h"),
        ] {
            assert_eq!(duration(ns), expected);
        }
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!(count(1, "goroutine"), "1 goroutine");
        assert_eq!(count(10_000, "goroutine"), "10,000 goroutines");
        assert_eq!(count(0, "thread"), "0 threads");
    }

    #[test]
    fn memory_has_one_decimal() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(2048), "2.0 KiB");
        assert_eq!(bytes(1_932_735_283), "1.7 GiB");
        assert_eq!(bytes(u64::MAX / 16), "1048575.9 TiB");
    }

    #[test]
    fn an_age_says_what_is_known() {
        assert_eq!(Age::at(10, WaitSince::Unknown).phrase(), "");
        assert_eq!(
            Age::at(5_000_000_000, WaitSince::AtLeast(0)).phrase(),
            " for at least 5 s"
        );
        assert_eq!(Age::at(0, WaitSince::Exact(7)).known_ns(), 0);
    }
}
