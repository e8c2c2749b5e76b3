//! All that a ring may be asked for: the one list that set-up restricts it to and that is shown to whoever wants to know.

use std::io;

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, squeue};

use crate::runtime::features::Permit;

/// What may be submitted: it receives, sends, accepts, connects and waits on descriptors that the process has, and opens
/// no file.
const OPERATIONS: &[(u8, Permit)] = &[
    permit(opcode::Accept::CODE, "IORING_OP_ACCEPT", "new connections of a listener"),
    permit(opcode::Connect::CODE, "IORING_OP_CONNECT", "connections to backends"),
    permit(opcode::Recv::CODE, "IORING_OP_RECV", "bytes of a connection, once or many times"),
    permit(opcode::Send::CODE, "IORING_OP_SEND", "bytes to a connection"),
    permit(opcode::SendMsg::CODE, "IORING_OP_SENDMSG", "several buffers to a connection at once"),
    permit(
        opcode::PollAdd::CODE,
        "IORING_OP_POLL_ADD",
        "the drain signal, the bell, and what a splice waits for",
    ),
    permit(opcode::MsgRingData::CODE, "IORING_OP_MSG_RING", "an accepted connection for another worker"),
    permit(opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL", "taking back what is in flight"),
    permit(opcode::Timeout::CODE, "IORING_OP_TIMEOUT", "the one standing timeout of a loop"),
    permit(opcode::TimeoutUpdate::CODE, "IORING_OP_TIMEOUT_REMOVE", "moving that timeout"),
];

/// What may be registered once the ring is enabled: only this, which enabling has used up. The ring of provided
/// buffers is registered before. Without one of its kind on the list, a kernel may take the list to say nothing about
/// registrations.
const REGISTRATIONS: &[(u8, Permit)] = &[permit(
    12,
    "IORING_REGISTER_ENABLE_RINGS",
    "spent when the ring was enabled; nothing else can be registered",
)];

/// The flags that an entry may have.
const FLAGS: squeue::Flags = squeue::Flags::BUFFER_SELECT;

const fn permit(code: u8, name: &'static str, purpose: &'static str) -> (u8, Permit) {
    (code, Permit { name, purpose })
}

/// The list, for people.
pub(super) fn all() -> Vec<Permit> {
    OPERATIONS.iter().chain(REGISTRATIONS).map(|(_, permit)| *permit).collect()
}

/// How many operations there are.
pub(super) fn operations() -> usize {
    OPERATIONS.len()
}

/// Restricts a ring that is disabled to the list, for ever, and enables it.
///
/// # Errors
/// What the kernel says.
pub(super) fn restrict(ring: &IoUring) -> io::Result<()> {
    let operations = OPERATIONS.iter().map(|(code, _)| Restriction::sqe_op(*code));
    let registrations = REGISTRATIONS.iter().map(|(code, _)| Restriction::register_op(*code));
    let mut list: Vec<Restriction> =
        operations.chain(registrations).chain([Restriction::sqe_flags_allowed(FLAGS.bits())]).collect();
    ring.submitter().register_restrictions(&mut list)?;
    ring.submitter().register_enable_rings()
}
