//! Giving up what the daemon never needs, before it has a second thread or has read a byte of a
//! target: capabilities belong to threads (capabilities(7)).

use std::io;

use nix::sys::prctl;

use probes::has_multi_links;
use resources::scheduling::allow_return;

// include/uapi/linux/capability.h
const DAC_READ_SEARCH: u32 = 2;
const NET_BIND_SERVICE: u32 = 10;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const SYS_NICE: u32 = 23;
const SYS_RESOURCE: u32 = 24;
const PERFMON: u32 = 38;
const BPF: u32 = 39;
/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;
/// More than there are (`cap_last_cap` is 40 in Linux 6.18).
const CAPABILITIES: u32 = 64;

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: 32 capabilities each.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// What is kept, where it was there: to read other processes, to load programs and to attach to
/// processes that start later.
struct Kept(u64);

impl Kept {
    /// For this kernel, where `port` is to be listened on.
    fn here(port: u16) -> Self {
        let mut kept = vec![DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF];
        if !has_multi_links().unwrap_or(false) {
            // Attaching by perf events, and memory for maps that counts against a limit.
            kept.extend([SYS_ADMIN, SYS_RESOURCE]);
        }
        if !allow_return() {
            // Looks that give way to others have to come to their end nevertheless.
            kept.push(SYS_NICE);
        }
        if (1..1024).contains(&port) {
            kept.push(NET_BIND_SERVICE);
        }
        Self(kept.iter().fold(0, |all, capability| all | 1 << capability))
    }

    /// Those of the lower or the upper 32.
    const fn word(&self, upper: bool) -> u32 {
        let word = if upper { self.0 >> 32 } else { self.0 };
        (word & 0xffff_ffff) as u32
    }
}

/// Gives up all capabilities of the calling thread but those that tracing and listening on `port`
/// take, and every way to get others. To be called before there are other threads.
///
/// # Errors
/// When the kernel refuses; what was given up until then stays so.
pub fn keep_only_needed(port: u16) -> io::Result<()> {
    let kept = Kept::here(port);
    prctl::set_no_new_privs()?;
    for capability in (0..CAPABILITIES).filter(|capability| kept.0 & 1 << capability == 0) {
        // Fails for those that the kernel does not know, and without CAP_SETPCAP: then nothing can
        // be gained by the bounding set, since no program is executed with new privileges.
        // SAFETY: no memory is involved.
        let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability)) };
    }
    // SAFETY: no memory is involved.
    let cleared = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        )
    };
    if cleared != 0 {
        return Err(io::Error::last_os_error());
    }
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: both live during the call and have the layout that this version of it asks for.
    if unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for (data, upper) in data.iter_mut().zip([false, true]) {
        data.permitted &= kept.word(upper);
        data.effective &= kept.word(upper);
        data.inheritable = 0;
    }
    // SAFETY: as above; the kernel only reads them.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
