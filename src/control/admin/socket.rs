//! Where the admin API is reached: a TCP address, or a unix socket that is removed at the end.

use std::fs::Permissions;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use socket2::{Domain, SockAddr, Socket, Type};

use super::accept::{self, Places};
use crate::config::AdminAddress;
use crate::telemetry::notice;

/// Who may connect to a unix socket: its owner and its group.
const MODE: u32 = 0o660;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// A bound socket.
pub(in crate::control) enum AdminSocket {
    Tcp(TcpListener),
    Unix(UnixListener, Removed),
}

/// The path of a unix socket; dropping it removes the socket.
pub(in crate::control) struct Removed(PathBuf);

impl AdminSocket {
    /// # Errors
    /// Names the address and what to do.
    pub(super) fn bind(address: &AdminAddress) -> io::Result<Self> {
        let bound = match address {
            AdminAddress::Tcp(address) => TcpListener::bind(address).map(Self::Tcp),
            AdminAddress::Unix(path) => {
                bind_unix(path).map(|listener| Self::Unix(listener, Removed(path.clone())))
            }
        };
        bound.map_err(|error| {
            let what = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program uses it. End that, or change admin.address".to_owned()
                }
                _ => error.to_string(),
            };
            io::Error::new(error.kind(), format!("the admin API cannot listen on {address}: {what}"))
        })
    }

    /// Where it listens, with the port that the kernel chose for port 0.
    pub(in crate::control) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| format!("http://{address}")),
            Self::Unix(_, Removed(path)) => AdminAddress::Unix(path.clone()).to_string(),
        }
    }

    pub(super) async fn serve(self, pages: Router, places: Arc<Places>) {
        let failed = match self {
            Self::Tcp(listener) => match tcp(listener) {
                Ok(listener) => return accept::serve(listener, pages, places).await,
                Err(error) => error,
            },
            Self::Unix(listener, _removed) => match unix(listener) {
                Ok(listener) => return accept::serve(listener, pages, places).await,
                Err(error) => error,
            },
        };
        notice(format_args!("the admin API is not served: {failed}"));
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A socket that nobody listens on is left from a process that was killed, and taken away.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match listen_unix(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path) => {
            std::fs::remove_file(path)?;
            listen_unix(path)
        }
        bound => bound,
    }
}

/// The file takes the socket's own mode less the umask (unix(7)), so that it is never open to more than `MODE` says;
/// then it gets what the umask took.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(MODE))?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

fn is_dead(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn tcp(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

fn unix(listener: UnixListener) -> io::Result<tokio::net::UnixListener> {
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}
