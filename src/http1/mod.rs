//! HTTP/1.1 on bytes: heads are scanned, parsed and written again, and bodies are framed; nothing here waits or connects.
//!
//! The way of a message: [`HeadScanner`] finds where a head ends, [`parse_request`] or [`parse_response`] decides
//! everything that the proxy has to know of it, once, and [`write_request`] or [`write_response`] writes the head
//! that goes on. Only bytes that were parsed and written again go on as a head. A body is a number of bytes, or is
//! walked by a [`ChunkedWalker`]. Every doubt is a [`Violation`].
//!
//! | Module | Holds |
//! | --- | --- |
//! | `violation` | the rules, a variant each |
//! | `head` | where a head ends, and what it says |
//! | `fields` | field names by what they mean to us, and lists of tokens |
//! | `target` | forms of the request target |
//! | `path` | the normalised path, and the one that goes on |
//! | `host` | names with ports |
//! | `framing` | the rule that ends a body |
//! | `chunked` | a walk along a chunked body |
//! | `trailers` | what may stand in a trailer section |
//! | `persistence` | whether a connection carries another exchange |
//! | `edit` | the heads that we write for others' messages |
//! | `location` | `Location` of a route whose prefix was taken off |
//! | `reply` | our own answers |

mod ascii;
mod chunked;
mod edit;
mod fields;
mod framing;
mod head;
mod host;
mod location;
mod path;
mod persistence;
mod reply;
mod request;
mod response;
mod target;
mod trailers;
mod violation;

pub use chunked::{ChunkedWalker, Passed, Step};
pub use edit::{ForwardRequest, ForwardResponse, write_request, write_response};
pub use fields::{Field, Fields, Kind, Nominated, Slots};
pub use framing::Framing;
pub use head::{HeadLimits, HeadScanner};
pub use host::Authority;
pub use path::Path;
pub use persistence::client_stays;
pub use reply::{Reply, reason_phrase, write_reply};
pub use request::{Request, parse_request};
pub use response::{Asked, Response, parse_response};
pub use target::{Form, Target};
pub use violation::{Side, Violation};

/// The version of a message; there are no others here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: ends with its connection unless it says `keep-alive`.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Where written bytes go.
pub trait Sink {
    /// Adds bytes behind those that were put before.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}
