//! `[admin]`: where the admin API listens.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The prefix of the path of a unix socket.
const UNIX: &str = "unix:";

/// Where it listens if nothing else is said, on loopback.
pub(super) const DEFAULT_PORT: u16 = 9901;

/// Where the admin API listens, or is asked: `127.0.0.1:9901` or `unix:/run/ringway/admin.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl AdminAddress {
    /// Whether others than this machine can reach it.
    pub fn is_exposed(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }
}

impl Default for AdminAddress {
    /// Where it listens, and is asked, if nothing else is said: 127.0.0.1:9901.
    fn default() -> Self {
        Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))
    }
}

impl FromStr for AdminAddress {
    type Err = String;

    /// # Errors
    /// What is wrong with it and what to write.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some(path) if path.starts_with(['/', '.']) && !path.contains('\0') => {
                Ok(Self::Unix(PathBuf::from(path)))
            }
            Some(_) => Err(format!("\"{text}\": the path of a unix socket begins with \"/\" or \"./\"")),
            None => super::values::listen_address(text).map(Self::Tcp),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for text in ["127.0.0.1:9901", "[::1]:1", "unix:/run/a b.sock", "unix:./x"] {
            assert_eq!(text.parse::<AdminAddress>().unwrap().to_string(), text);
        }
        for text in ["unix:x", "unix:", "localhost:1", "9901"] {
            assert!(text.parse::<AdminAddress>().is_err(), "{text}");
        }
        let is_exposed = |text: &str| text.parse::<AdminAddress>().unwrap().is_exposed();
        assert!(is_exposed("0.0.0.0:1") && !is_exposed("127.0.0.2:1") && !is_exposed("unix:/x"));
    }
}
