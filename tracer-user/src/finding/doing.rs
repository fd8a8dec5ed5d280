//! What goroutines do, in words.

use super::{
    coroutine::Resumer,
    index::{SnapshotIndex, capitalised},
    phrase,
    site::is_plumbing,
    timers::is_stopped,
};
use ids::Goid;
use snapshot::{Goroutine, ObjectState, Operation, Status, WaitOn};

impl SnapshotIndex<'_> {
    /// What `g` is doing: `waits to lock mutex 0xc000014080 for 3 s at main.f (x.go:3)`.
    pub(crate) fn doing(&self, g: &Goroutine) -> String {
        match g.status {
            Status::Running => {
                let unseen = self.snapshot.sampling.why_unseen(g.goid);
                return match unseen {
                    Some(why) => format!("runs and could not be seen: {why}"),
                    None => format!("runs{}", self.at(g)),
                };
            }
            Status::Runnable | Status::Preempted | Status::CopyStack | Status::Idle => {
                return format!("is ready to run{}", self.at(g));
            }
            Status::Syscall => return format!("is in a system call{}", self.at(g)),
            Status::Waiting | Status::Leaked => {}
        }
        let what = match g.waits_on[..] {
            [] => self.pausing(g),
            [wait] => self.waiting(wait),
            ref cases => format!(
                "waits in select on {}",
                phrase::count(cases.len() as u64, "channel")
            ),
        };
        format!("{what}{}{}", self.age(g).phrase(), self.at(g))
    }

    /// What `g` does, which waits on no object.
    fn pausing(&self, g: &Goroutine) -> String {
        match self.resumers.get(&g.goid) {
            Some(Resumer::Puller(_)) => {
                "is a coroutine of iter.Pull and waits to be pulled".to_owned()
            }
            Some(Resumer::Coroutine(coroutine)) => {
                format!("pulls {} (iter.Pull)", Self::name(*coroutine))
            }
            None => phrase::pausing(g.wait_reason),
        }
    }

    /// How it is known that `other` is who resumes `g`, which waits in a switch of coroutines.
    pub(super) fn resumes(&self, g: &Goroutine, other: Goid) -> Option<String> {
        let resumer = self.resumers.get(&g.goid).filter(|r| r.goid() == other)?;
        let name = capitalised(&Self::name(other));
        Some(match resumer {
            Resumer::Puller(_) => {
                let made_at = self.created_at(g);
                let made_at = made_at.filter(|site| !is_plumbing(&site.function));
                let at = made_at.map_or_else(String::new, |site| format!(" at {site}"));
                format!(
                    "{name} made that coroutine{at} and pulls it: it goes on, and gives back what \
                     it holds, when goroutine {other} calls next or stop."
                )
            }
            Resumer::Coroutine(_) => format!("{name} is that coroutine, and has to yield."),
        })
    }

    fn waiting(&self, wait: WaitOn) -> String {
        let verb = phrase::waiting(wait.operation);
        let object = self.object(wait.object.addr);
        if is_stopped(&self.snapshot.objects, wait) {
            return format!(
                "waits for a timer that does not run (channel {})",
                wait.object.addr
            );
        }
        match wait.operation {
            Operation::DrainReaders => format!("{verb} {object}, whose writer side it has taken,"),
            Operation::Send => format!("{verb} {object}{}", self.full_buffer(wait)),
            _ => format!("{verb} {object}"),
        }
    }

    /// `, buffer 5 of 5,` where somebody waits to send although there is a buffer.
    fn full_buffer(&self, wait: WaitOn) -> String {
        let object = self.snapshot.objects.get(&wait.object.addr);
        match object.and_then(|object| object.state.as_ref()) {
            Some(ObjectState::Channel { len, cap, .. }) if *cap > 0 && len == cap => {
                format!(", buffer {len} of {cap},")
            }
            _ => String::new(),
        }
    }

    /// `Goroutine 7 waits to lock …`
    pub(crate) fn sentence(&self, goid: Goid) -> String {
        let doing = match self.goroutine(goid) {
            Some(g) => self.doing(g),
            None => "was not seen".to_owned(),
        };
        capitalised(&format!("{} {doing}.", Self::name(goid)))
    }
}
