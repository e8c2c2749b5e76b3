//! What can go wrong in an exchange: side × stage × cause, the same words in the log, the metrics and the docs.

use std::fmt;
use std::io;

use crate::http1::Violation;
use crate::telemetry::Label;

/// One failure, shown as `side.stage.cause`: `backend.response-head.timed-out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Who failed.
    pub side: Side,
    /// What was going on.
    pub stage: Stage,
    /// How it failed.
    pub cause: Cause,
}

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Whoever connected to a listener.
    Client,
    /// An origin server.
    Backend,
    /// Ringway itself: a limit, a missing route, the end of a drain.
    Proxy,
}

/// What was going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Taking a connection.
    Accept,
    /// Reading or passing on a request head.
    RequestHead,
    /// Finding a route and a backend.
    Route,
    /// Connecting to a backend.
    Connect,
    /// Relaying a request body.
    RequestBody,
    /// Waiting for, reading or passing on a response head.
    ResponseHead,
    /// Relaying a response body.
    ResponseBody,
    /// Both directions, unread.
    Tunnel,
}

/// How it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A deadline was missed.
    TimedOut,
    /// The connection was refused.
    Refused,
    /// The address cannot be reached.
    Unreachable,
    /// The connection was reset.
    Reset,
    /// The connection ended in order, but too early.
    Closed,
    /// A rule of HTTP was broken.
    Violation(Violation),
    /// There is no route.
    NoRoute,
    /// A limit of the configuration.
    Limit,
    /// Ended from this side: the other direction had failed, or a drain ran out of time.
    Stopped,
    /// This process has run out of descriptors or memory.
    Shortage,
    /// Bytes, or the end, came on a new connection before anything was asked.
    Unasked,
    /// Anything else the kernel says.
    Io,
}

impl Failure {
    /// A failure of the client.
    pub fn client(stage: Stage, cause: Cause) -> Self {
        Self { side: Side::Client, stage, cause }
    }

    /// A failure of a backend.
    pub fn backend(stage: Stage, cause: Cause) -> Self {
        Self { side: Side::Backend, stage, cause }
    }

    /// A failure of the proxy.
    pub fn proxy(stage: Stage, cause: Cause) -> Self {
        Self { side: Side::Proxy, stage, cause }
    }
}

impl Cause {
    /// The cause's name, kebab-case.
    pub fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Violation(violation) => violation.name(),
            Self::NoRoute => "no-route",
            Self::Limit => "limit",
            Self::Stopped => "stopped",
            Self::Shortage => "shortage",
            Self::Unasked => "unasked",
            Self::Io => "io",
        }
    }
}

impl From<&io::Error> for Cause {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Self::Unreachable,
            io::ErrorKind::OutOfMemory => Self::Shortage,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                Self::Reset
            }
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::Interrupted => Self::Stopped,
            _ if is_shortage(error) => Self::Shortage,
            _ => Self::Io,
        }
    }
}

/// Descriptors of the process and of the system, and memory of the kernel.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}

impl Failure {
    /// Its label in the log and the metrics.
    pub fn label(self) -> Label {
        Label { side: self.side.name(), stage: self.stage.name(), cause: self.cause.name() }
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Proxy => "proxy",
        }
    }
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::RequestHead => "request-head",
            Self::Route => "route",
            Self::Connect => "connect",
            Self::RequestBody => "request-body",
            Self::ResponseHead => "response-head",
            Self::ResponseBody => "response-body",
            Self::Tunnel => "tunnel",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.label().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn only_a_shortage_is_a_shortage() {
        let cause = |errno: Errno| Cause::from(&io::Error::from(errno));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(cause(errno), Cause::Shortage, "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::PERM, Errno::PROTO, Errno::HOSTUNREACH] {
            assert_ne!(cause(errno), Cause::Shortage, "{errno}");
        }
    }
}
