//! The park table: what each goroutine of each target last parked on.

/// Bits of a park table key that hold the address of the `g`. User addresses of amd64 and arm64
/// have 47 bits (48 on arm64).
const G_BITS: u32 = 48;

/// What a goroutine last parked on. The entry stays when it wakes and is used again at the next
/// park, which spares the hash table an insertion and a deletion a wait.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Park {
    /// When it parked (`CLOCK_MONOTONIC`, nanoseconds); 0 while it is not parked.
    pub since_ns: u64,
    /// The semaphore's address for waits of package sync, else the lock argument of `gopark`:
    /// for channels the address of `hchan.lock`, for select 0.
    pub object: u64,
    /// Address given to the last `semacquire1` of this goroutine.
    pub semaphore: u64,
    /// The wait reason, in the numbering of the target's Go version.
    pub reason: u8,
    /// Its [`crate::WaitClass`].
    pub class: u8,
    /// Zero.
    pub padding: [u8; 6],
}

const _: () = assert!(size_of::<Park>() == 32);

/// Key of the goroutine whose `g` is at `g` in the target of slot `slot`.
#[inline(always)]
#[must_use]
pub const fn park_key(slot: u32, g: u64) -> u64 {
    ((slot as u64) << G_BITS) | (g & ((1 << G_BITS) - 1))
}

/// The slot of a key.
#[must_use]
pub const fn park_slot(key: u64) -> u32 {
    (key >> G_BITS) as u32
}

/// The address of the `g` of a key.
#[must_use]
pub const fn park_g(key: u64) -> u64 {
    key & ((1 << G_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        let key = park_key(65_535, 0x7fff_ffff_fff0);
        assert_eq!((park_slot(key), park_g(key)), (65_535, 0x7fff_ffff_fff0));
    }
}
