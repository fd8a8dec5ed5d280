//! bpf(2) for what aya 0.14 does not offer: uprobe_multi links and batches of map entries.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_info};

/// An attribute block of zeros.
pub fn attributes() -> bpf_attr {
    // SAFETY: a union of integers and structs of integers; the kernel wants unused bytes zero.
    unsafe { std::mem::zeroed() }
}

/// Runs one command; the result is a descriptor for some commands, else 0.
pub fn call(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<RawFd> {
    // SAFETY: `attributes` is a live bpf_attr of the size given, and its callers point it at memory
    // that lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as u32,
            std::ptr::from_mut(attributes),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}

/// Runs a command that makes a descriptor.
pub fn call_for_descriptor(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    let descriptor = call(command, attributes)?;
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// What the kernel tells of a loaded program.
pub fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: a struct of integers; the kernel fills it.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attributes = attributes();
    // SAFETY: the fields that BPF_OBJ_GET_INFO_BY_FD reads.
    let query = unsafe { &mut attributes.info };
    query.bpf_fd = program.as_raw_fd().unsigned_abs();
    query.info_len = u32::try_from(size_of::<bpf_prog_info>()).unwrap_or(u32::MAX);
    query.info = &raw mut info as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    Ok(info)
}

/// Reads the next entries of a hash map whose keys are `u64`. `cursor` is `None` at the start and
/// given back by each call; the second result says whether the end was reached.
pub fn lookup_batch<V: Copy>(
    map: BorrowedFd<'_>,
    cursor: &mut Option<u32>,
    keys: &mut [u64],
    values: &mut [V],
) -> io::Result<(usize, bool)> {
    let capacity = keys.len().min(values.len());
    let mut next = 0_u32;
    let mut attributes = attributes();
    // SAFETY: the batch fields are what BPF_MAP_LOOKUP_BATCH reads.
    let batch = unsafe { &mut attributes.batch };
    batch.map_fd = map.as_raw_fd().unsigned_abs();
    batch.in_batch = cursor
        .as_ref()
        .map_or(0, |at| std::ptr::from_ref(at) as u64);
    batch.out_batch = &raw mut next as u64;
    batch.keys = keys.as_mut_ptr() as u64;
    batch.values = values.as_mut_ptr() as u64;
    batch.count = u32::try_from(capacity).unwrap_or(u32::MAX);
    let ended = match call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attributes) {
        Ok(_) => false,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
        Err(error) => return Err(error),
    };
    *cursor = Some(next);
    // SAFETY: the kernel wrote how many it copied.
    let count = unsafe { attributes.batch.count } as usize;
    Ok((count.min(capacity), ended))
}

/// Deletes entries of a hash map whose keys are `u64`; those that are gone already are skipped.
pub fn delete_keys(map: BorrowedFd<'_>, keys: &[u64]) -> io::Result<()> {
    for key in keys {
        let mut attributes = attributes();
        // SAFETY: the fields that BPF_MAP_DELETE_ELEM reads.
        let element = unsafe { &mut attributes.__bindgen_anon_2 };
        element.map_fd = map.as_raw_fd().unsigned_abs();
        element.key = std::ptr::from_ref(key) as u64;
        match call(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attributes) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
