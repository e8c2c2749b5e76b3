//! What a peer may do wrong on the wire: a variant a rule, with the status and the name of each beside it.

use std::fmt;

/// Which of our two peers sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Whoever connected to a listener.
    Client,
    /// One of our origin servers.
    Backend,
}

/// Declares the enum and its table in one place, so that neither can have what the other lacks.
macro_rules! violations {
    ($($(#[doc = $text:literal])+ $variant:ident = $status:literal $name:literal,)+) => {
        /// A rule of HTTP/1.1, or a bound of ours, that the bytes of a peer broke. The connection they came on can
        /// carry no other message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Violation {
            $($(#[doc = $text])+ $variant,)+
        }

        impl Violation {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in kebab case, for logs and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What a client that broke it is answered.
            const fn client_status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                }
            }
        }
    };
}

violations! {
    /// A line of a head, of a chunk or of a trailer section ends in LF without CR.
    BareLf = 400 "bare-lf",
    /// CR that no LF follows.
    BareCr = 400 "bare-cr",
    /// A zero byte in a head.
    Nul = 400 "nul",
    /// An empty line where a start line belongs.
    LeadingBlankLine = 400 "leading-blank-line",
    /// A line of a head begins with a space or tab: obsolete folding, or a hidden first field.
    FoldedLine = 400 "folded-line",
    /// More bytes of head than `head-size`.
    HeadTooLarge = 431 "head-too-large",
    /// More bytes of request target than `target-size`.
    TargetTooLong = 414 "target-too-long",
    /// More fields than `fields`.
    TooManyFields = 431 "too-many-fields",
    /// Not `method SP target SP version`.
    BadRequestLine = 400 "bad-request-line",
    /// Not `version SP status`.
    BadStatusLine = 502 "bad-status-line",
    /// A status below 100 or above 599.
    BadStatus = 502 "bad-status",
    /// HTTP, but neither 1.0 nor 1.1.
    UnsupportedVersion = 505 "unsupported-version",
    /// A field line without a colon, or a name that is not a token.
    BadFieldName = 400 "bad-field-name",
    /// A space or tab between a field's name and its colon.
    SpaceBeforeColon = 400 "space-before-colon",
    /// A control character in a field's value.
    BadFieldValue = 400 "bad-field-value",
    /// A target of no form that the method allows, with a byte that has no place in it, or of another scheme.
    BadTarget = 400 "bad-target",
    /// `%` in a path without two hexadecimal digits behind it.
    BadPercentEncoding = 400 "bad-percent-encoding",
    /// CONNECT, which is for forward proxies.
    ConnectRefused = 501 "connect-refused",
    /// TRACE with a body.
    TraceWithBody = 400 "trace-with-body",
    /// HTTP/1.1 without `Host`.
    MissingHost = 400 "missing-host",
    /// More than one `Host`, equal or not.
    DoubledHost = 400 "doubled-host",
    /// A `Host`, or an authority in the target, that is no host with an optional port.
    BadHost = 400 "bad-host",
    /// Both `Transfer-Encoding` and `Content-Length`.
    DoubledFraming = 400 "doubled-framing",
    /// `Transfer-Encoding` in an HTTP/1.0 message.
    TransferEncodingInHttp10 = 400 "transfer-encoding-in-http10",
    /// A `Transfer-Encoding` that does not end in one plain `chunked`.
    BadTransferEncoding = 400 "bad-transfer-encoding",
    /// A coding before `chunked`, which we do not speak.
    UnknownCoding = 501 "unknown-coding",
    /// A `Content-Length` that is not one decimal number below 2^63.
    BadContentLength = 400 "bad-content-length",
    /// More than one `Content-Length`, on lines or in a list, equal or not.
    DoubledContentLength = 400 "doubled-content-length",
    /// A `Connection` that is no list of tokens, or one of more than 32.
    BadConnection = 400 "bad-connection",
    /// An `Expect` other than `100-continue`.
    UnknownExpectation = 417 "unknown-expectation",
    /// A `Max-Forwards` on TRACE or OPTIONS that is not one decimal number.
    BadMaxForwards = 400 "bad-max-forwards",
    /// TRACE or OPTIONS that may go no further, and we answer neither ourselves.
    MaxForwardsSpent = 501 "max-forwards-spent",
    /// More bytes of request body than `body-size`.
    BodyTooLarge = 413 "body-too-large",
    /// A 101 that was not asked for, or one to another protocol.
    UnaskedSwitch = 502 "unasked-switch",
    /// A chunk's line without a size in plain hexadecimal digits.
    BadChunkSize = 400 "bad-chunk-size",
    /// A chunk's size of more than 16 digits, or of 2^63 and more.
    ChunkTooLarge = 400 "chunk-too-large",
    /// A chunk extension that is no `;name`, `;name=token` or `;name="text"`, or with spaces around it.
    BadChunkExtension = 400 "bad-chunk-extension",
    /// A chunk's line of more than 256 bytes.
    ChunkLineTooLong = 400 "chunk-line-too-long",
    /// A chunk's data that goes on where its CRLF belongs.
    BadChunkEnd = 400 "bad-chunk-end",
    /// A trailer section of more than 8 KiB.
    TrailersTooLarge = 431 "trailers-too-large",
    /// A trailer that says what only a head may say, or that `Connection` names.
    ForbiddenTrailer = 400 "forbidden-trailer",
}

impl Violation {
    /// The status that the client gets: the rule's own if the client broke it, 502 whatever a backend does.
    pub const fn status(self, side: Side) -> u16 {
        match side {
            Side::Client => self.client_status(),
            Side::Backend => 502,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../docs/http1.md");

    #[test]
    fn the_documented_table_is_this_table() {
        let documented: Vec<(&str, u16)> = DOCS
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0.parse().ok()?)))
            .collect();
        let declared: Vec<(&str, u16)> =
            Violation::ALL.iter().map(|rule| (rule.name(), rule.client_status())).collect();
        assert_eq!(documented, declared);
    }

    #[test]
    fn names_are_unique_and_kebab_case() {
        let mut names: Vec<_> = Violation::ALL.iter().map(|rule| rule.name()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Violation::ALL.len());
    }

    #[test]
    fn whatever_a_backend_does_is_502() {
        assert!(Violation::ALL.iter().all(|rule| rule.status(Side::Backend) == 502));
        assert_eq!(Violation::HeadTooLarge.status(Side::Client), 431);
    }
}
