//! The seal itself: in a process of its own, since it cannot be taken back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(unsafe_code, reason = "the bare system call is what has to be refused")]

use std::process::Command;
use std::sync::mpsc;
use std::thread;

/// What io_uring_setup says to a call that makes a ring where it is allowed: the descriptor, or the error's number.
fn make_ring() -> Result<i64, i32> {
    // struct io_uring_params, which the kernel fills in.
    let mut parameters = [0u8; 120];
    // SAFETY: the kernel writes no more than the structure, for which there is room.
    let made = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    if made >= 0 { Ok(made) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) }
}

#[test]
fn a_sealed_process_makes_no_ring_on_any_thread() {
    let this = std::env::current_exe().unwrap();
    let child = ["--exact", "sealed", "--ignored", "--nocapture"];
    let output = Command::new(this).args(child).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// Run by the test above.
#[test]
#[ignore = "seals its process"]
fn sealed() {
    let before = make_ring();
    let (asks, asked) = mpsc::channel::<()>();
    let older = thread::spawn(move || {
        asked.recv().unwrap();
        make_ring()
    });
    ringway::control::seal().unwrap();
    asks.send(()).unwrap();
    assert_eq!(make_ring(), Err(libc::EPERM));
    assert_eq!(older.join().unwrap(), Err(libc::EPERM), "a thread from before");
    assert_eq!(thread::spawn(make_ring).join().unwrap(), Err(libc::EPERM), "a thread from after");
    let child = Command::new("true").status().unwrap();
    assert!(child.success(), "everything else is allowed");
    if before.is_err() {
        eprintln!("skipped: that a ring can be made without the seal: {before:?}");
    }
}
