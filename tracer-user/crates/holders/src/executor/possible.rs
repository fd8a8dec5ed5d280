//! What branches have told of flags that are not known.

use super::super::isa::Condition;

/// The flags by which [`Condition`]s are decided: zero, below, less, negative.
const FLAGS: u16 = 4;

/// Which of all combinations of flags are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Possible(u16);

impl Possible {
    /// Nothing is known.
    pub const ANY: Self = Self(u16::MAX);

    /// Those in which `condition` holds, or does not.
    #[must_use]
    pub fn told(self, condition: Condition, holds: bool) -> Self {
        match with(condition) {
            Some(with) if holds => Self(self.0 & with),
            Some(with) => Self(self.0 & !with),
            None => self,
        }
    }

    /// Whether `condition` holds in all of them, or in none.
    #[must_use]
    pub fn decide(self, condition: Condition) -> Option<bool> {
        let with = with(condition)?;
        match (self.0 & with == 0, self.0 & !with == 0) {
            (false, true) => Some(true),
            (true, false) => Some(false),
            _ => None,
        }
    }
}

/// The combinations in which `condition` holds: bit `n` stands for the combination of the flags that
/// are set in `n`.
fn with(condition: Condition) -> Option<u16> {
    let all = |holds: &dyn Fn(bool, bool, bool, bool) -> bool| {
        let is_set = |combination: u16, flag: u16| combination >> flag & 1 == 1;
        let holds = |n: &u16| holds(is_set(*n, 0), is_set(*n, 1), is_set(*n, 2), is_set(*n, 3));
        let which = (0..1_u16 << FLAGS).filter(holds);
        which.fold(0, |all, combination| all | 1 << combination)
    };
    Some(match condition {
        Condition::Equal => all(&|zero, _, _, _| zero),
        Condition::NotEqual => all(&|zero, _, _, _| !zero),
        Condition::Below => all(&|_, below, _, _| below),
        Condition::AboveOrEqual => all(&|_, below, _, _| !below),
        Condition::BelowOrEqual => all(&|zero, below, _, _| zero || below),
        Condition::Above => all(&|zero, below, _, _| !zero && !below),
        Condition::Less => all(&|_, _, less, _| less),
        Condition::GreaterOrEqual => all(&|_, _, less, _| !less),
        Condition::LessOrEqual => all(&|zero, _, less, _| zero || less),
        Condition::Greater => all(&|zero, _, less, _| !zero && !less),
        Condition::Negative => all(&|_, _, _, negative| negative),
        Condition::NotNegative => all(&|_, _, _, negative| !negative),
        Condition::Other => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_flags_tell_the_same_again() {
        use Condition::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, Other};
        let less = Possible::ANY.told(Less, true);
        assert_eq!(less.decide(Less), Some(true));
        assert_eq!(less.decide(GreaterOrEqual), Some(false));
        assert_eq!(less.decide(LessOrEqual), Some(true));
        assert_eq!(less.decide(Greater), Some(false));
        // That would follow after a comparison, but not after other operations.
        assert_eq!(less.decide(Equal), None);
        let between = Possible::ANY.told(LessOrEqual, true).told(Less, false);
        assert_eq!(between.decide(Equal), Some(true));
        assert_eq!(between.decide(NotEqual), Some(false));
        assert_eq!(Possible::ANY.told(Other, true), Possible::ANY);
        assert_eq!(less.decide(Other), None);
    }

    #[test]
    fn what_is_contradictory_decides_nothing() {
        let never = Possible::ANY
            .told(Condition::Equal, true)
            .told(Condition::Equal, false);
        assert_eq!(never.decide(Condition::Equal), None);
    }
}
