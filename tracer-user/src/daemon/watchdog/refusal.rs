//! Whom nobody is sent to, because threads are lost at others like it, or held there.

use super::Subject;

/// When so many threads are lost or held at the processes of one owner, or at the executables of one file
/// system, nobody is sent to a process of that kind that nobody has been to before.
const MOST_OF_A_KIND: usize = 4;
/// When so many are altogether, nobody is sent to any process that nobody has been to before, nor to
/// any other of such a kind. Those of all others are looked at all the same.
const MOST: usize = 16;

/// Why a process is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is silent itself, or executes a file that is.
    Silent,
    /// Several of its owner are.
    Owner,
    /// Several executables on its file system are.
    FileSystem,
    /// Many processes are, and it is new.
    Newcomer,
}

impl Refused {
    /// Why `subject` is, where threads are lost or held at all of `silent`.
    pub(super) fn by<'a>(
        silent: impl Iterator<Item = &'a Subject>,
        subject: &Subject,
        newcomer: bool,
    ) -> Option<Self> {
        let (mut all, mut of_owner, mut on_file_system) = (0, 0, 0);
        for silent in silent {
            let file = silent.file.filter(|_| subject.file.is_some());
            if silent.pid == subject.pid || file.is_some() && file == subject.file {
                return Some(Self::Silent);
            }
            all += 1;
            of_owner += usize::from(silent.owner.is_some() && silent.owner == subject.owner);
            let device = |of: &Subject| of.file.map(|file| file.device);
            on_file_system += usize::from(file.is_some() && device(silent) == device(subject));
        }
        let many = all >= MOST;
        if of_owner >= MOST_OF_A_KIND && (newcomer || many) {
            Some(Self::Owner)
        } else if on_file_system >= MOST_OF_A_KIND && (newcomer || many) {
            Some(Self::FileSystem)
        } else {
            (newcomer && many).then_some(Self::Newcomer)
        }
    }

    /// The value of label `why` of `gostuck_processes_refused_total`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Owner => "owner",
            Self::FileSystem => "file-system",
            Self::Newcomer => "newcomer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Pid;
    use process::{FileIdentity, Owner};

    fn subject(pid: u32, user: u32, file: Option<(u64, u64)>) -> Subject {
        Subject {
            pid: Pid(pid),
            owner: Some(Owner::User(user)),
            file: file.map(|(device, inode)| FileIdentity {
                device,
                inode,
                size: 1,
                changed_ns: 1,
            }),
        }
    }

    fn refused(lost: &[Subject], subject: &Subject, newcomer: bool) -> Option<Refused> {
        Refused::by(lost.iter(), subject, newcomer)
    }

    #[test]
    fn others_of_the_same_owner_are_left_alone_and_nobody_else() {
        let lost: Vec<_> = (1..=4).map(|pid| subject(pid, 1000, None)).collect();
        let another = subject(9, 1000, None);
        assert_eq!(refused(&lost, &another, true), Some(Refused::Owner));
        assert_eq!(refused(&lost[..3], &another, true), None);
        // One that has answered so far is no newcomer.
        assert_eq!(refused(&lost, &another, false), None);
        let many: Vec<_> = (101..=116).map(|pid| subject(pid, 1000, None)).collect();
        assert_eq!(refused(&many, &another, false), Some(Refused::Owner));
        assert_eq!(refused(&lost, &subject(9, 1001, None), true), None);
        assert_eq!(refused(&lost, &lost[0], false), Some(Refused::Silent));
    }

    #[test]
    fn a_silent_file_is_read_once_and_a_silent_file_system_a_few_times() {
        let on = |pid, inode| subject(pid, pid, Some((7, inode)));
        let lost: Vec<_> = (1..=4).map(|pid| on(pid, u64::from(pid))).collect();
        assert_eq!(refused(&lost[..1], &on(9, 1), true), Some(Refused::Silent));
        assert_eq!(refused(&lost[..1], &on(9, 2), true), None);
        assert_eq!(refused(&lost, &on(9, 9), true), Some(Refused::FileSystem));
        let elsewhere = subject(9, 9, Some((8, 9)));
        assert_eq!(refused(&lost, &elsewhere, true), None);
        // Its memory is another matter.
        assert_eq!(refused(&lost, &subject(9, 9, None), true), None);
    }

    #[test]
    fn where_many_are_silent_those_known_to_answer_are_looked_at_all_the_same() {
        let lost: Vec<_> = (1..=16).map(|pid| subject(pid, pid, None)).collect();
        let other = subject(99, 99, None);
        assert_eq!(refused(&lost, &other, true), Some(Refused::Newcomer));
        assert_eq!(refused(&lost, &other, false), None);
    }
}
