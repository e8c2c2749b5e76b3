//! Runs a command where io_uring is denied, as container runtimes do it: `without_io_uring EPERM|ENOSYS -- COMMAND…`.
//!
//! io_uring_setup, io_uring_enter and io_uring_register fail with that error in the command and in all that it starts;
//! everything else is allowed. EPERM is what Docker's and containerd's profiles say, ENOSYS what podman's does.

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

const CALLS: [i64; 3] = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (refusal, program, rest) = match arguments.as_slice() {
        [refusal, dashes, program, rest @ ..] if dashes == "--" => (refusal, program, rest),
        _ => return Err("without_io_uring EPERM|ENOSYS -- COMMAND…".into()),
    };
    let errno = match refusal.as_str() {
        "EPERM" => libc::EPERM,
        "ENOSYS" => libc::ENOSYS,
        other => return Err(format!("{other}: neither EPERM nor ENOSYS").into()),
    };
    apply_filter(&denial(errno)?)?;
    Err(Command::new(program).args(rest).exec().into())
}

fn denial(errno: i32) -> Result<BpfProgram, Box<dyn Error>> {
    let denied: BTreeMap<_, _> = CALLS.map(|call| (call, Vec::new())).into();
    let refuse = SeccompAction::Errno(errno as u32);
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(denied, SeccompAction::Allow, refuse, arch)?.try_into()?)
}
