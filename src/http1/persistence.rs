//! Whether a connection carries another exchange (RFC 9112 section 9.3).

use super::fields::Options;
use super::{Framing, Version};

/// What a message says of its connection: HTTP/1.1 stays unless it says `close`, HTTP/1.0 ends unless it says
/// `keep-alive`, and `close` is stronger.
pub(super) fn stays(version: Version, options: Options) -> bool {
    !options.close && (version == Version::Http11 || options.keep_alive)
}

/// Whether the client's connection may stay after a response of this framing: it has to be able to tell where the
/// body ends, and to HTTP/1.0 a chunked one goes on decoded, up to the end of the connection.
pub fn client_stays(wants_keep_alive: bool, client: Version, framing: Framing) -> bool {
    wants_keep_alive
        && match framing {
            Framing::None | Framing::Length(_) => true,
            Framing::Chunked => client == Version::Http11,
            Framing::UntilClose => false,
        }
}

/// The field that tells a client what becomes of the connection; nothing where that goes without saying.
pub(super) fn client_field(client: Version, stays: bool) -> &'static [u8] {
    match (client, stays) {
        (_, false) => b"Connection: close\r\n",
        (Version::Http10, true) => b"Connection: keep-alive\r\n",
        (Version::Http11, true) => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_becomes_of_their_connection() {
        let options = |close, keep_alive| Options { close, keep_alive, upgrade: false };
        for (version, close, keep_alive, stay) in [
            (Version::Http11, false, false, true),
            (Version::Http11, true, false, false),
            (Version::Http11, true, true, false),
            (Version::Http11, false, true, true),
            (Version::Http10, false, false, false),
            (Version::Http10, false, true, true),
            (Version::Http10, true, true, false),
        ] {
            assert_eq!(stays(version, options(close, keep_alive)), stay, "{version:?} {close} {keep_alive}");
        }
    }

    #[test]
    fn a_client_that_cannot_see_the_end_does_not_stay() {
        assert!(client_stays(true, Version::Http11, Framing::Chunked));
        assert!(client_stays(true, Version::Http10, Framing::Length(3)));
        assert!(!client_stays(true, Version::Http10, Framing::Chunked));
        assert!(!client_stays(true, Version::Http11, Framing::UntilClose));
        assert!(!client_stays(false, Version::Http11, Framing::None));
    }
}
