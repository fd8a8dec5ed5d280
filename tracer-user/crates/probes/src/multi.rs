//! uprobe_multi links (Linux 6.6), which aya 0.14 does not know: one link detaches in milliseconds,
//! and CAP_BPF with CAP_PERFMON is enough. The maps stay aya's; only the programs and the links are
//! made here. To be dropped on the move to aya 0.15, which needs a newer Rust.

use std::{
    collections::{HashMap, HashSet},
    ffi::{CStr, CString, c_char},
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use aya::{Ebpf, maps::Map};
use aya_obj::generated::{
    BPF_ALU64, BPF_EXIT, BPF_JMP, BPF_K, BPF_MOV, bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn,
    bpf_prog_type,
};

use super::{
    bpf_call::{attributes, call_for_descriptor},
    error::ProbeError,
};
use ids::{FileOffset, Pid};

/// Longest verifier log that is kept.
const LOG_BYTES: usize = 64 * 1024;

/// Whether this process can have uprobe_multi links here ([`is_supported`]), tried with a program that
/// does nothing: no kernel's version tells.
///
/// # Errors
/// When this process may not load programs.
pub fn has_links() -> io::Result<bool> {
    let instruction = |code: u32| bpf_insn {
        code: code as u8,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm: 0,
    };
    // r0 = 0; exit
    let nothing = [
        instruction(BPF_ALU64 | BPF_MOV | BPF_K),
        instruction(BPF_JMP | BPF_EXIT),
    ];
    let mut attributes = load_attributes("nothing", &nothing, c"GPL");
    match call_for_descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes) {
        Ok(program) => Ok(is_supported(program.as_fd())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Such programs are unknown.
        Err(_) => Ok(false),
    }
}

/// Whether this kernel has uprobe_multi links whose process filter works: the first ones compared
/// threads (mended by commit 46ba0e49b642, Linux 6.10). `any` is any loaded multi program.
pub fn is_supported(any: BorrowedFd<'_>) -> bool {
    // As libbpf asks: "/" is no regular file, so a kernel with links says EBADF; one with a sound
    // filter refuses process -1 before it looks for it.
    let site = [FileOffset(0)];
    let by_path = link(any, Path::new("/"), &site, 0).err();
    let by_process = link(any, Path::new("/"), &site, u32::MAX).err();
    let code = |error: Option<io::Error>| error.and_then(|error| error.raw_os_error());
    code(by_path) == Some(libc::EBADF) && code(by_process) == Some(libc::EINVAL)
}

/// Loads program `name` of `object` for multi links, on the maps (and globals) of `ebpf`.
pub fn load(object: &[u8], ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, ProbeError> {
    let broken = |_| ProbeError::Missing(name);
    let mut object = aya_obj::Object::parse(object).map_err(broken)?;
    let descriptors: HashMap<&str, RawFd> = ebpf
        .maps()
        .filter_map(|(name, map)| Some((name, descriptor(map)?)))
        .collect();
    let maps: Vec<(String, aya_obj::Map)> = object.maps.drain().collect();
    let bound = maps
        .iter()
        .map(|(name, map)| {
            let descriptor = descriptors.get(name.as_str()).copied();
            Ok((
                name.as_str(),
                descriptor.ok_or(ProbeError::Missing("map"))?,
                map,
            ))
        })
        .collect::<Result<Vec<_>, ProbeError>>()?;
    let text: HashSet<usize> = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object
        .relocate_maps(bound.into_iter(), &text)
        .map_err(|_| ProbeError::Missing(name))?;
    object
        .relocate_calls(&text)
        .map_err(|_| ProbeError::Missing(name))?;
    let program = object.programs.get(name).ok_or(ProbeError::Missing(name))?;
    let function = object
        .functions
        .get(&program.function_key())
        .ok_or(ProbeError::Missing(name))?;

    let mut attributes = load_attributes(name, &function.instructions, &program.license);
    call_for_descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes)
        .map_err(|source| refusal(name, source, &mut attributes))
}

/// For loading `instructions`, which have to live until then, as has `license`.
fn load_attributes(name: &str, instructions: &[bpf_insn], license: &CStr) -> bpf_attr {
    let mut attributes = attributes();
    // SAFETY: the fields that BPF_PROG_LOAD reads.
    let fields = unsafe { &mut attributes.__bindgen_anon_3 };
    fields.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    fields.expected_attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    fields.insns = instructions.as_ptr() as u64;
    fields.insn_cnt = u32::try_from(instructions.len()).unwrap_or(u32::MAX);
    fields.license = license.as_ptr() as u64;
    for (to, from) in fields.prog_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from as c_char;
    }
    attributes
}

/// Loads once more for the verifier's reasons.
fn refusal(program: &'static str, source: io::Error, attributes: &mut bpf_attr) -> ProbeError {
    let mut log = vec![0_u8; LOG_BYTES];
    // SAFETY: the fields that BPF_PROG_LOAD reads.
    let fields = unsafe { &mut attributes.__bindgen_anon_3 };
    fields.log_buf = log.as_mut_ptr() as u64;
    fields.log_size = LOG_BYTES as u32;
    fields.log_level = 1;
    // It fails as before; what it writes is wanted.
    let _ = call_for_descriptor(bpf_cmd::BPF_PROG_LOAD, attributes);
    let text = String::from_utf8_lossy(&log);
    ProbeError::Verifier {
        program,
        source,
        log: text.trim_end_matches('\0').to_owned(),
    }
}

fn descriptor(map: &Map) -> Option<RawFd> {
    match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::HashMap(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data) => Some(data.fd().as_fd().as_raw_fd()),
        _ => None,
    }
}

/// One link for all `sites` of the file at `path`, for one process or for all. The probes go when
/// the descriptor is closed, also by the end of this process.
pub fn attach(
    program: BorrowedFd<'_>,
    path: &Path,
    sites: &[FileOffset],
    process: Option<Pid>,
) -> Result<OwnedFd, ProbeError> {
    let call = Some("attaching uprobes (BPF_LINK_CREATE)");
    link(program, path, sites, process.map_or(0, |pid| pid.0))
        .map_err(|source| ProbeError::of_file(path, call, source))
}

fn link(
    program: BorrowedFd<'_>,
    path: &Path,
    sites: &[FileOffset],
    process: u32,
) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let offsets: Vec<u64> = sites.iter().map(|site| site.0).collect();
    let mut attributes = attributes();
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().unsigned_abs();
    attributes.link_create.attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    // SAFETY: the fields that BPF_LINK_CREATE reads for this attach type.
    let multi = unsafe { &mut attributes.link_create.__bindgen_anon_3.uprobe_multi };
    multi.path = path.as_ptr() as u64;
    multi.offsets = offsets.as_ptr() as u64;
    multi.cnt = u32::try_from(offsets.len()).unwrap_or(u32::MAX);
    multi.pid = process;
    call_for_descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attributes)
}
