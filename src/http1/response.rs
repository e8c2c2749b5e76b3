//! What a response's head says, given what was asked.

use httparse::Status;

use super::fields::{MAX_FIELDS, Seen, Survey};
use super::head::{diagnose, diagnose_status_line};
use super::{Fields, Framing, HeadLimits, Slots, Version, Violation, framing, persistence};

/// What the request was that a response answers, as far as that decides what the response means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// HEAD.
    pub is_head: bool,
    /// [`super::Request::upgrade`], as it was sent on.
    pub upgrade: Option<&'a [u8]>,
}

/// A response's head.
#[derive(Debug)]
pub struct Response<'b> {
    /// The backend's version.
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// As it came; empty if it had none, or one beyond ASCII.
    pub reason: &'b str,
    /// What ends its body.
    pub framing: Framing,
    /// `Content-Length` of a response to HEAD and of a 304: of the body that there would be.
    pub length: Option<u64>,
    /// 1xx but 101: the answer is still to come.
    pub is_interim: bool,
    /// The 101 that was asked for: both directions are a tunnel from here.
    pub is_switching: bool,
    /// Whether the backend's connection may carry another exchange once the body has ended.
    pub may_reuse_backend: bool,
    /// The protocol that is switched to.
    pub upgrade: Option<&'b [u8]>,
    /// All fields.
    pub fields: Fields<'b>,
}

/// Reads a head that a [`super::HeadScanner`] has found: `head` is the whole of it, with its empty line, and no more.
/// The scan is not repeated here, and what it refuses is taken for granted.
///
/// # Errors
/// Every rule about a response's head that its bytes break; the first one found. All of them are 502.
pub fn parse_response<'b>(
    head: &'b [u8],
    limits: &HeadLimits,
    slots: &'b mut Slots<'b>,
    asked: &Asked<'_>,
) -> Result<Response<'b>, Violation> {
    let mut line = httparse::Response::new(&mut []);
    let room = &mut slots.headers[..limits.fields.min(MAX_FIELDS)];
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut line, head, room) {
        Ok(Status::Complete(len)) if len == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Violation::TooManyFields),
        _ => return Err(diagnose(head, diagnose_status_line, Violation::BadStatusLine)),
    }
    let (Some(status), Some(reason)) = (line.code, line.reason) else { return Err(Violation::BadStatusLine) };
    let version = if line.version == Some(1) { Version::Http11 } else { Version::Http10 };
    if !(100..600).contains(&status) {
        return Err(Violation::BadStatus);
    }
    let (fields, survey) = Fields::new(head, line.headers, &mut slots.kinds)?;
    let upgrade = switch(version, status, &survey, asked)?;
    let (framing, length) = framing::of_response(version, status, &survey, asked)?;
    let has_end = framing != Framing::UntilClose && upgrade.is_none();
    let is_clean = status != 204 || !framing::promises_body(&survey);
    Ok(Response {
        version,
        status,
        reason,
        framing,
        length,
        is_interim: status < 200 && upgrade.is_none(),
        is_switching: upgrade.is_some(),
        may_reuse_backend: has_end && is_clean && persistence::stays(version, survey.options),
        upgrade,
        fields,
    })
}

/// The protocol that a 101 switches to, which has to be the one that was asked for.
fn switch<'b>(
    version: Version,
    status: u16,
    survey: &Survey<'b>,
    asked: &Asked<'_>,
) -> Result<Option<&'b [u8]>, Violation> {
    if status != 101 {
        return Ok(None);
    }
    match (survey.upgrade, asked.upgrade) {
        (Seen::Once(to), Some(asked))
            if to.eq_ignore_ascii_case(asked) && survey.options.upgrade && version == Version::Http11 =>
        {
            Ok(Some(to))
        }
        _ => Err(Violation::UnaskedSwitch),
    }
}
