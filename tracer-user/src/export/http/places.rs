//! Who may have a connection, and for what: places of several kinds, each with a number of its own.
//!
//! A connection is accepted before it is known what it is for, and then has a place by what it is at.
//! Where all places of a kind are taken, a newcomer gets the place of another connection: of the peer that has most of
//! them, the one that has been there longest. So each peer that wants them has an even share, one that
//! takes many takes them from itself, and whoever asks at once and reads the answer is done long before
//! its place is wanted.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// How long a connection is kept for further requests.
const MAX_LIFE: Duration = Duration::from_secs(600);

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It has not sent the header of its first or next request yet.
    Arriving,
    /// It is answered whether the daemon works, or its metrics.
    Vital,
    /// It is answered anything else.
    Answer,
    /// It gets events.
    Stream,
}

impl Kind {
    /// Most connections that can be at this.
    const fn limit(self) -> usize {
        match self {
            Self::Arriving => 256,
            Self::Vital | Self::Stream => 16,
            Self::Answer => 48,
        }
    }

    /// How long a place is its holder's own, if its peer has no more of them than another that wants one.
    const fn own_for(self) -> Duration {
        match self {
            // For a request that is on its way.
            Self::Arriving => Duration::from_millis(100),
            Self::Vital => Duration::ZERO,
            Self::Answer => Duration::from_secs(10),
            Self::Stream => Duration::from_secs(60),
        }
    }

    /// How long a connection may be at this in all.
    pub const fn at_most(self) -> Duration {
        match self {
            // The limit on the time for a header comes first.
            Self::Arriving | Self::Vital => Duration::from_secs(60),
            Self::Answer => Duration::from_secs(300),
            Self::Stream => Duration::from_secs(3_660),
        }
    }

    /// What a request of `path` is.
    pub fn of(path: &str) -> Self {
        match path {
            "/healthz" | "/readyz" | "/metrics" => Self::Vital,
            "/api/v1/events" => Self::Stream,
            _ => Self::Answer,
        }
    }
}

/// All places are taken, and each is its holder's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// Whom addresses stand for: one of IPv6 is one of as many as its owner likes in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

#[derive(Debug)]
struct Taken {
    peer: Peer,
    kind: Kind,
    since: Instant,
    signals: Arc<Signals>,
}

impl Taken {
    /// Whether the place is another one's if that wants it.
    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.kind.own_for()
            && (self.kind != Kind::Arriving || self.signals.read.load(Ordering::Relaxed))
    }
}

/// What a connection and its place tell each other.
#[derive(Debug, Default)]
struct Signals {
    /// Another connection has got the place.
    leave: Notify,
    /// All that the peer had sent was read: what it wants would be known by now.
    read: AtomicBool,
    /// The last request is answered, as soon as that is sent.
    answered: AtomicBool,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

impl Seats {
    fn count(&self, kind: Kind) -> usize {
        self.taken.values().filter(|one| one.kind == kind).count()
    }

    /// Frees a place of `kind` for `peer`, if none is free.
    fn make_room(&mut self, kind: Kind, peer: Peer, now: Instant) -> Result<(), Full> {
        if self.count(kind) < kind.limit() {
            return Ok(());
        }
        let mut shares: HashMap<Peer, usize> = [(peer, 1)].into();
        for one in self.taken.values().filter(|one| one.kind == kind) {
            *shares.entry(one.peer).or_default() += 1;
        }
        let most = shares.values().copied().max().unwrap_or_default();
        // Nothing beyond an even share is anybody's own.
        let greedy = shares.get(&peer).is_some_and(|own| *own < most);
        let oldest = self
            .taken
            .iter()
            .filter(|(_, one)| one.kind == kind && shares.get(&one.peer) == Some(&most))
            .filter(|(_, one)| greedy || one.is_due(now))
            .min_by_key(|(_, one)| one.since)
            .map(|(id, _)| *id);
        let left = oldest.and_then(|id| self.taken.remove(&id)).ok_or(Full)?;
        left.signals.leave.notify_one();
        Ok(())
    }

    /// Moves a connection to a place of `kind`.
    fn change(&mut self, id: u64, kind: Kind, now: Instant) -> Result<(), Full> {
        // It had to leave by now where it has none.
        let before = self.taken.remove(&id).ok_or(Full)?;
        let room = self.make_room(kind, before.peer, now);
        let after = match room {
            Ok(()) => Taken {
                kind,
                since: now,
                ..before
            },
            Err(Full) => before,
        };
        self.taken.insert(id, after);
        room
    }
}

/// The places of one listener.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<Seats>>);

impl Places {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection of `peer`.
    ///
    /// # Errors
    /// [`Full`], for a moment: connections that have just come are read first.
    pub fn arrive(&self, peer: IpAddr) -> Result<Arc<Seat>, Full> {
        let (peer, now) = (Peer::from(peer), Instant::now());
        let mut seats = self.seats();
        seats.make_room(Kind::Arriving, peer, now)?;
        let id = seats.next;
        seats.next += 1;
        let signals = Arc::new(Signals::default());
        let taken = Taken {
            peer,
            kind: Kind::Arriving,
            since: now,
            signals: Arc::clone(&signals),
        };
        seats.taken.insert(id, taken);
        Ok(Arc::new(Seat {
            places: self.clone(),
            id,
            signals,
            opened: now,
        }))
    }

    /// Whether so many connections wait for their next request that none should be kept for one.
    fn are_scarce(&self) -> bool {
        self.seats().count(Kind::Arriving) >= Kind::Arriving.limit() / 2
    }
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    places: Places,
    id: u64,
    signals: Arc<Signals>,
    opened: Instant,
}

impl Seat {
    /// Has a place of `kind` until what is returned is dropped and [`Seat::set_sent`] is called.
    ///
    /// # Errors
    /// [`Full`].
    pub fn enter(self: Arc<Self>, kind: Kind) -> Result<Sitting, Full> {
        self.places.seats().change(self.id, kind, Instant::now())?;
        self.signals.answered.store(false, Ordering::Relaxed);
        Ok(Sitting(self))
    }

    /// What the connection is at and since when; `None` when it has to leave.
    pub fn at(&self) -> Option<(Kind, Instant)> {
        let seats = self.places.seats();
        seats.taken.get(&self.id).map(|one| (one.kind, one.since))
    }

    /// Whether the connection is to be kept for another request after this one.
    pub fn may_stay(&self) -> bool {
        self.opened.elapsed() < MAX_LIFE && !self.places.are_scarce()
    }

    /// Resolves when another connection has got this place.
    pub async fn wanted(&self) {
        self.signals.leave.notified().await;
    }

    /// All that is to be sent by now was sent: after an answer, the place is one for the next request.
    pub fn set_sent(&self) {
        if !self.signals.answered.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut seats = self.places.seats();
        let back = seats.change(self.id, Kind::Arriving, Instant::now());
        // Where there is no place for that, the connection ends.
        if back.is_err() && seats.taken.remove(&self.id).is_some() {
            self.signals.leave.notify_one();
        }
    }

    /// All that the peer has sent by now was read.
    pub fn set_read(&self) {
        self.signals.read.store(true, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.places.seats().taken.remove(&self.id);
    }
}

/// A place of another kind than for those who arrive. When this is dropped, the connection keeps it until
/// all of the answer is sent.
#[derive(Debug)]
pub struct Sitting(Arc<Seat>);

impl Drop for Sitting {
    fn drop(&mut self) {
        self.0.signals.answered.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// Whether something asynchronous is there already.
    fn is_ready(future: impl Future) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(future).poll(&mut context).is_ready()
    }

    fn peer(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    /// A connection of `peer` of which all was read that it has sent.
    fn read(places: &Places, peer: IpAddr) -> Result<Arc<Seat>, Full> {
        places.arrive(peer).inspect(|seat| seat.set_read())
    }

    #[test]
    fn who_arrives_gets_a_place_of_the_greediest_peer() {
        let places = Places::default();
        let limit = Kind::Arriving.limit();
        let modest = read(&places, peer(1)).unwrap();
        let greedy: Vec<_> = (1..limit)
            .map(|_| read(&places, peer(2)).unwrap())
            .collect();
        // Its own connections have just come; one of another peer need not wait for that.
        assert_eq!(places.arrive(peer(2)).unwrap_err(), Full);
        let another = read(&places, peer(3)).unwrap();
        assert!(greedy[0].at().is_none() && is_ready(greedy[0].wanted()));
        assert!(greedy[1].at().is_some() && places.are_scarce());
        std::thread::sleep(Kind::Arriving.own_for());
        assert!(read(&places, peer(2)).is_ok());
        assert!(greedy[1].at().is_none() && greedy[2].at().is_some());
        assert!(modest.at().is_some() && !is_ready(modest.wanted()));
        drop(greedy);
        assert!(modest.at().is_some() && another.at().is_some());
        assert_eq!(places.seats().taken.len(), 2);
        assert!(!places.are_scarce());
    }

    #[test]
    fn a_connection_that_nobody_has_read_from_keeps_its_place() {
        let places = Places::default();
        let unread: Vec<_> = (0..Kind::Arriving.limit())
            .map(|_| places.arrive(peer(2)).unwrap())
            .collect();
        std::thread::sleep(Kind::Arriving.own_for());
        assert_eq!(places.arrive(peer(2)).unwrap_err(), Full);
        unread[7].set_read();
        assert!(places.arrive(peer(2)).is_ok());
        assert!(unread[7].at().is_none() && unread[0].at().is_some());
    }

    #[test]
    fn places_of_one_kind_are_none_of_another() {
        let places = Places::default();
        let streams: Vec<_> = (0..20)
            .map(|_| places.arrive(peer(2)).unwrap().enter(Kind::Stream))
            .collect();
        let held = streams.iter().filter(|place| place.is_ok()).count();
        assert_eq!(held, Kind::Stream.limit());
        let answers: Vec<_> = (0..100)
            .map(|_| places.arrive(peer(2)).unwrap().enter(Kind::Answer))
            .collect();
        let held = answers.iter().filter(|place| place.is_ok()).count();
        assert_eq!(held, Kind::Answer.limit());
        // Even where others hold all of its kind: they are done, or had to be.
        let vital: Vec<_> = (0..100)
            .map(|_| places.arrive(peer(2)).unwrap().enter(Kind::Vital))
            .collect();
        assert!(vital.iter().all(Result::is_ok));
        assert_eq!(places.seats().count(Kind::Vital), Kind::Vital.limit());
    }

    #[test]
    fn a_place_is_kept_until_the_answer_is_sent() {
        let places = Places::default();
        let seat = places.arrive(peer(1)).unwrap();
        let kind = || seat.at().map(|(kind, _)| kind);
        let place = Arc::clone(&seat).enter(Kind::Vital).unwrap();
        seat.set_sent();
        drop(place);
        assert_eq!(kind(), Some(Kind::Vital));
        seat.set_sent();
        assert_eq!(kind(), Some(Kind::Arriving));
    }

    #[test]
    fn an_even_share_is_ones_own_for_a_while_and_more_is_not() {
        let mut seats = Seats::default();
        let start = Instant::now();
        let add = |seats: &mut Seats, id, last, since| {
            let taken = Taken {
                peer: peer(last).into(),
                kind: Kind::Stream,
                since,
                signals: Arc::default(),
            };
            seats.taken.insert(id, taken);
        };
        for id in 0..8 {
            add(&mut seats, id, 2, start + Duration::from_secs(id));
            add(&mut seats, 8 + id, 1, start + Duration::from_secs(id));
        }
        let room = |seats: &mut Seats, last, seconds| {
            let now = start + Duration::from_secs(seconds);
            seats.make_room(Kind::Stream, peer(last).into(), now)
        };
        // Both have an even share.
        assert_eq!(room(&mut seats, 1, 59), Err(Full));
        // A third one has none yet.
        assert_eq!(room(&mut seats, 3, 1), Ok(()));
        assert!(!seats.taken.contains_key(&0) || !seats.taken.contains_key(&8));
        add(&mut seats, 16, 3, start + Duration::from_secs(1));
        assert_eq!(room(&mut seats, 1, 62), Ok(()));
        assert!(seats.taken.contains_key(&16));
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
    }
}
