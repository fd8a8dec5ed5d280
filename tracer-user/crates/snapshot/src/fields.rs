//! Little-endian fields in the bytes of one runtime struct.

use ids::TargetAddr;

/// The bytes of one struct. Every read is checked: an offset beyond the bytes reads as zero, which
/// no caller takes for a sound pointer or id.
#[derive(Clone, Copy)]
pub(super) struct Fields<'bytes>(pub(super) &'bytes [u8]);

impl Fields<'_> {
    fn array<const N: usize>(self, offset: u64) -> [u8; N] {
        usize::try_from(offset)
            .ok()
            .and_then(|from| self.0.get(from..from.checked_add(N)?))
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or([0; N])
    }

    pub(super) fn u8(self, offset: u64) -> u8 {
        self.array::<1>(offset)[0]
    }

    pub(super) fn u32(self, offset: u64) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    pub(super) fn i32(self, offset: u64) -> i32 {
        i32::from_le_bytes(self.array(offset))
    }

    pub(super) fn u64(self, offset: u64) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }

    pub(super) fn i64(self, offset: u64) -> i64 {
        i64::from_le_bytes(self.array(offset))
    }

    pub(super) fn addr(self, offset: u64) -> TargetAddr {
        TargetAddr(self.u64(offset))
    }
}
