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
            None if is_path(text) => Err(format!(
                "\"{text}\" is a path: for a unix socket write \"{UNIX}{}{text}\"",
                if text.starts_with(['/', '.']) { "" } else { "./" }
            )),
            None => super::values::listen_address(text).map(Self::Tcp).map_err(|message| {
                // With a colon it is meant to be an address and a port.
                let is_unclear = !text.contains([':', '.']);
                let unix = format!(", or for a unix socket \"{UNIX}\" and its path");
                message + if is_unclear { &unix } else { "" }
            }),
        }
    }
}

/// Whether it looks like a path, and neither like an address nor like a URL.
fn is_path(text: &str) -> bool {
    let is_relative = !text.contains(':') && (text.contains('/') || text.ends_with(".sock"));
    (text.starts_with(['/', '.']) || is_relative) && !text.contains('\0')
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
        for (text, says) in [
            ("/tmp/x/admin.sock", "is a path: for a unix socket write \"unix:/tmp/x/admin.sock\""),
            ("./admin", "write \"unix:./admin\""),
            ("admin.sock", "write \"unix:./admin.sock\""),
            ("run/admin", "write \"unix:./run/admin\""),
            ("admin", "or for a unix socket \"unix:\" and its path"),
            ("http://127.0.0.1:9901/", "write \"127.0.0.1:9901\""),
            ("127.0.0.1:9901/metrics", "is not an address"),
        ] {
            let error = text.parse::<AdminAddress>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let is_exposed = |text: &str| text.parse::<AdminAddress>().unwrap().is_exposed();
        assert!(is_exposed("0.0.0.0:1") && !is_exposed("127.0.0.2:1") && !is_exposed("unix:/x"));
    }
}
