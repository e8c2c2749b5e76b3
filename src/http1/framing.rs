//! The rule that ends a body: one function a side, in the numbered order of RFC 9112 section 6.3.

use super::ascii::{decimal, is_token, trim};
use super::fields::{Seen, Survey, members};
use super::{Asked, Version, Violation};

/// What ends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none, and nothing said so.
    None,
    /// So many bytes, and 0 among them.
    Length(u64),
    /// The chunked coding, and its trailer section.
    Chunked,
    /// The end of the connection: of responses only.
    UntilClose,
}

impl Framing {
    /// Whether bytes of a body may follow the head.
    pub fn has_body(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }

    /// Whether a body of this length may pass; a chunked one shows its size only on the way.
    ///
    /// # Errors
    /// [`Violation::BodyTooLarge`].
    pub fn check_size(self, limit: Option<u64>) -> Result<(), Violation> {
        match (self, limit) {
            (Self::Length(length), Some(limit)) if length > limit => Err(Violation::BodyTooLarge),
            _ => Ok(()),
        }
    }
}

/// The framing of a request's body. Rules 1 and 2 are about responses.
///
/// # Errors
/// What is no plain length and no plain `chunked`.
pub(super) fn of_request(version: Version, survey: &Survey<'_>) -> Result<Framing, Violation> {
    // 3. "A server MAY reject a request that contains both Content-Length and Transfer-Encoding": we do.
    // 4. "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not the final
    //    encoding, the message body length cannot be determined reliably; the server MUST respond with the 400 (Bad
    //    Request) status code and then close the connection."
    // 5. "If a message is received without Transfer-Encoding and with an invalid Content-Length header field, then the
    //    message framing is invalid and the recipient MUST treat it as an unrecoverable error."
    // 6. A valid Content-Length is the length.
    match declared(version, survey)? {
        Declared::Chunked => Ok(Framing::Chunked),
        Declared::Length(length) => Ok(Framing::Length(length)),
        // 7. "If this is a request message and none of the above are true, then the message body length is zero."
        Declared::Nothing => Ok(Framing::None),
    }
}

/// The framing of a response's body, and the `Content-Length` that goes on where there is no body.
///
/// # Errors
/// What is no plain length and no plain `chunked`. Behind 1xx and 204, where these fields are forbidden, they are
/// ignored and go nowhere; with HEAD and 304 the length is handed on, and so it has to be right.
pub(super) fn of_response(
    version: Version,
    status: u16,
    survey: &Survey<'_>,
    asked: &Asked<'_>,
) -> Result<(Framing, Option<u64>), Violation> {
    // 1. "Any response to a HEAD request and any response with a 1xx (Informational), 204 (No Content), or 304 (Not
    //    Modified) status code is always terminated by the first empty line after the header fields, regardless of the
    //    header fields present in the message."
    if status < 200 || status == 204 {
        return Ok((Framing::None, None));
    }
    // 2. Is about CONNECT, which we do not send. 3. to 6. as above.
    let declared = declared(version, survey)?;
    if asked.is_head || status == 304 {
        let length = if let Declared::Length(length) = declared { Some(length) } else { None };
        return Ok((Framing::None, length));
    }
    match declared {
        Declared::Chunked => Ok((Framing::Chunked, None)),
        Declared::Length(length) => Ok((Framing::Length(length), None)),
        // 8. "Otherwise, this is a response message without a declared message body length, so the message body length
        //    is determined by the number of octets received prior to the server closing the connection."
        Declared::Nothing => Ok((Framing::UntilClose, None)),
    }
}

/// Whether fields promise a body where there can be none: the bytes that may follow are nobody's.
pub(super) fn promises_body(survey: &Survey<'_>) -> bool {
    let is_zero = |value| decimal(value) == Some(0);
    !matches!(survey.transfer_encoding, Seen::Never)
        || match survey.content_length {
            Seen::Never => false,
            Seen::Once(value) => !is_zero(value),
            Seen::Often => true,
        }
}

/// What the fields say.
enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

fn declared(version: Version, survey: &Survey<'_>) -> Result<Declared, Violation> {
    match (survey.transfer_encoding, survey.content_length) {
        (Seen::Never, Seen::Never) => Ok(Declared::Nothing),
        (Seen::Never, Seen::Once(value)) => length(value).map(Declared::Length),
        (Seen::Never, Seen::Often) => Err(Violation::DoubledContentLength),
        (Seen::Once(_) | Seen::Often, Seen::Once(_) | Seen::Often) => Err(Violation::DoubledFraming),
        // RFC 9112 section 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding
        // header field MUST treat the message as if the framing is faulty".
        _ if version == Version::Http10 => Err(Violation::TransferEncodingInHttp10),
        (Seen::Once(value), Seen::Never) => coding(value).map(|()| Declared::Chunked),
        (Seen::Often, Seen::Never) => Err(Violation::BadTransferEncoding),
    }
}

/// One decimal number. Equal ones in a list are allowed by the RFC to be taken for one; whoever sends them has
/// something in between that we cannot see.
fn length(value: &[u8]) -> Result<u64, Violation> {
    match decimal(value) {
        Some(length) => Ok(length),
        None if value.split(|&byte| byte == b',').all(|member| decimal(trim(member)).is_some()) => {
            Err(Violation::DoubledContentLength)
        }
        None => Err(Violation::BadContentLength),
    }
}

/// One `chunked`, without parameters.
fn coding(value: &[u8]) -> Result<(), Violation> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let is_chunked = |member: &[u8]| member.eq_ignore_ascii_case(b"chunked");
    let count = members(value).count();
    let is_well_formed = members(value).all(is_token)
        && members(value).last().is_some_and(is_chunked)
        && members(value).filter(|&member| is_chunked(member)).count() == 1;
    // RFC 9112 section 6.1: "A server that receives a request message with a transfer coding it does not understand
    // SHOULD respond with 501 (Not Implemented)."
    Err(if is_well_formed && count > 1 { Violation::UnknownCoding } else { Violation::BadTransferEncoding })
}
