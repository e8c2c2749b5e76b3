//! Where a head ends: a scan that resumes where it stopped, and that takes CRLF alone for the end of a line.

use memchr::{memchr, memchr3};

use super::Violation;
use super::ascii::{is_token, is_token_byte, is_value_byte, trim};

/// Room on a request line for the method, the version and what stands between.
const BESIDE_TARGET: usize = 64;

/// Bounds of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes, the empty line included.
    pub head_size: usize,
    /// Bytes of a request's target.
    pub target_size: usize,
    /// Fields; 256 are the most that there is room for.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head_size: 32 * 1024, target_size: 8 * 1024, fields: 100 }
    }
}

/// Finds the end of a head in bytes that come bit by bit: each byte is looked at once, however they are cut.
#[derive(Debug, Clone, Copy)]
pub struct HeadScanner {
    lines: LineScanner,
    head_limit: u32,
    first_line_limit: u32,
}

const _: () = assert!(size_of::<HeadScanner>() <= 16);

impl HeadScanner {
    /// For the head of a request.
    pub fn for_request(limits: &HeadLimits) -> Self {
        let first_line = limits.target_size.saturating_add(BESIDE_TARGET);
        Self { first_line_limit: saturate(first_line), ..Self::for_response(limits) }
    }

    /// For the head of a response.
    pub fn for_response(limits: &HeadLimits) -> Self {
        Self {
            lines: LineScanner::default(),
            head_limit: saturate(limits.head_size),
            first_line_limit: u32::MAX,
        }
    }

    /// Goes on where it stopped; `bytes` are all that came of the message so far. Gives the length of the head with
    /// its empty line once that is there. What it finds does not depend on how the bytes are cut.
    ///
    /// # Errors
    /// Bare LF, bare CR, NUL, a leading blank line, a folded line, a head or target that is too long: each at the
    /// first byte that shows it.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        loop {
            let limit = self.limit();
            let window = &bytes[..bytes.len().min(limit)];
            match self.lines.next(window)? {
                Some((0, [])) => return Err(Violation::LeadingBlankLine),
                Some((start, [])) => return Ok(Some(start + 2)),
                Some(_) => {}
                None if bytes.len() <= limit => return Ok(None),
                None if self.lines.line == 0 && self.first_line_limit < self.head_limit => {
                    return Err(Violation::TargetTooLong);
                }
                None => return Err(Violation::HeadTooLarge),
            }
        }
    }

    /// How far it may look as long as the line is unfinished that it stands on.
    fn limit(&self) -> usize {
        let limit =
            if self.lines.line == 0 { self.head_limit.min(self.first_line_limit) } else { self.head_limit };
        limit as usize
    }
}

fn saturate(size: usize) -> u32 {
    size.try_into().unwrap_or(u32::MAX)
}

/// Takes lines that end in CRLF off bytes that come bit by bit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LineScanner {
    /// Everything before was looked at.
    at: u32,
    /// Where the unfinished line begins.
    line: u32,
}

impl LineScanner {
    /// The next whole line without its CRLF, and where it begins; `bytes` are all that came so far.
    ///
    /// # Errors
    /// Bare LF, bare CR, NUL, and a line that begins with a space or tab.
    #[inline]
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<(usize, &'b [u8])>, Violation> {
        let line = self.line as usize;
        if matches!(bytes.get(line), Some(b' ' | b'\t')) {
            return Err(Violation::FoldedLine);
        }
        let Some(ahead) = memchr3(b'\r', b'\n', 0, &bytes[self.at as usize..]) else {
            self.at = bytes.len() as u32;
            return Ok(None);
        };
        let end = self.at as usize + ahead;
        match (bytes[end], bytes.get(end + 1)) {
            (b'\r', Some(b'\n')) => {
                self.line = end as u32 + 2;
                self.at = self.line;
                Ok(Some((line, &bytes[line..end])))
            }
            (b'\r', None) => {
                self.at = end as u32;
                Ok(None)
            }
            (b'\r', Some(_)) => Err(Violation::BareCr),
            (b'\n', _) => Err(Violation::BareLf),
            _ => Err(Violation::Nul),
        }
    }

    /// How many bytes the lines that were taken have, with their ends.
    pub(super) fn taken(&self) -> usize {
        self.line as usize
    }
}

/// A field line as its name and its value.
///
/// # Errors
/// What RFC 9112 section 5 forbids.
pub(super) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    let colon = memchr(b':', line).ok_or(Violation::BadFieldName)?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    match name {
        // RFC 9112 section 5.1: "A server MUST reject, with a response status code of 400 (Bad Request), any received
        // request message that contains whitespace between a header field name and colon."
        [token @ .., b' ' | b'\t'] if is_token(trim(token)) => Err(Violation::SpaceBeforeColon),
        _ if !is_token(name) => Err(Violation::BadFieldName),
        _ if !value.iter().all(|&byte| is_value_byte(byte)) => Err(Violation::BadFieldValue),
        _ => Ok((name, value)),
    }
}

/// Why the tokeniser did not take this scanned head: it gives no rule, and this look is taken only then.
pub(super) fn diagnose(
    head: &[u8],
    start_line: fn(&[u8]) -> Option<Violation>,
    otherwise: Violation,
) -> Violation {
    let mut lines = LineScanner::default();
    while let Ok(Some((start, line))) = lines.next(head) {
        let found = if start == 0 { start_line(line) } else { field_line(line).err() };
        match found {
            Some(violation) if !line.is_empty() => return violation,
            _ => {}
        }
    }
    otherwise
}

/// Why this is no request line of a version that we speak.
pub(super) fn diagnose_request_line(line: &[u8]) -> Option<Violation> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next(), parts.next());
    match (target, version, parts.next()) {
        (Some(target), Some(version), None) if !method.is_empty() && !target.is_empty() => match version {
            _ if !method.iter().all(|&byte| is_token_byte(byte)) => Some(Violation::BadRequestLine),
            b"HTTP/1.1" | b"HTTP/1.0" if target.iter().all(|byte| matches!(byte, b'!'..=b'~')) => None,
            b"HTTP/1.1" | b"HTTP/1.0" => Some(Violation::BadTarget),
            _ if is_foreign_version(version) => Some(Violation::UnsupportedVersion),
            _ => Some(Violation::BadRequestLine),
        },
        _ => Some(Violation::BadRequestLine),
    }
}

/// Why this is no status line of a version that we speak.
pub(super) fn diagnose_status_line(line: &[u8]) -> Option<Violation> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let (version, status, reason) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => {}
        _ if is_foreign_version(version) => return Some(Violation::UnsupportedVersion),
        _ => return Some(Violation::BadStatusLine),
    }
    let is_status = status.len() == 3 && status.iter().all(u8::is_ascii_digit);
    let is_reason = reason.iter().all(|&byte| is_value_byte(byte));
    (!is_status || !is_reason).then_some(Violation::BadStatusLine)
}

/// `HTTP/2.0`, or `HTTP/2` as it is often written; asked of what is neither 1.0 nor 1.1.
fn is_foreign_version(version: &[u8]) -> bool {
    match version.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        Some([major]) => major.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { head_size: 64, target_size: 8, fields: 4 };

    /// What a scan finds when the bytes come in one piece, and with others behind them.
    fn whole(scanner: HeadScanner, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        let mut at_once = scanner;
        at_once.scan(bytes)
    }

    /// What it finds when they come one by one.
    fn by_byte(mut scanner: HeadScanner, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        for end in 0..=bytes.len() {
            match scanner.scan(&bytes[..end]) {
                Ok(None) => {}
                found => return found,
            }
        }
        Ok(None)
    }

    #[test]
    fn heads_end_where_they_end() {
        for (bytes, found) in [
            ("", Ok(None)),
            ("G", Ok(None)),
            ("GET / HTTP/1.1\r\n", Ok(None)),
            ("GET / HTTP/1.1\r\n\r", Ok(None)),
            ("GET / HTTP/1.1\r\n\r\n", Ok(Some(18))),
            ("GET / HTTP/1.1\r\n\r\n\r\n \n\0", Ok(Some(18))),
            ("GET / HTTP/1.1\r\na: b\r\n\r\nGET /", Ok(Some(24))),
            ("\r\nGET / HTTP/1.1\r\n\r\n", Err(Violation::LeadingBlankLine)),
            ("\nGET / HTTP/1.1\r\n\r\n", Err(Violation::BareLf)),
            ("GET / HTTP/1.1\n\r\n", Err(Violation::BareLf)),
            ("GET / HTTP/1.1\r\na: b\n\r\n", Err(Violation::BareLf)),
            ("GET / HTTP/1.1\r\na: b\r\n\n", Err(Violation::BareLf)),
            ("GET / HTTP/1.1\r\na: b\rc\r\n\r\n", Err(Violation::BareCr)),
            ("GET / HTTP/1.1\r\r\n\r\n", Err(Violation::BareCr)),
            ("GET / HTTP/1.1\r\na: b\0c\r\n\r\n", Err(Violation::Nul)),
            ("\0", Err(Violation::Nul)),
            (" GET / HTTP/1.1\r\n\r\n", Err(Violation::FoldedLine)),
            ("GET / HTTP/1.1\r\n a: b\r\n\r\n", Err(Violation::FoldedLine)),
            ("GET / HTTP/1.1\r\na: b\r\n\tc\r\n\r\n", Err(Violation::FoldedLine)),
        ] {
            let scanner = HeadScanner::for_request(&HeadLimits::default());
            assert_eq!(whole(scanner, bytes.as_bytes()), found, "{bytes:?}");
            assert_eq!(by_byte(scanner, bytes.as_bytes()), found, "{bytes:?} byte by byte");
        }
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let request = HeadScanner::for_request(&LIMITS);
        let response = HeadScanner::for_response(&LIMITS);
        let large =
            |len: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(len - 23)).into_bytes();
        assert_eq!(whole(request, &large(64)), Ok(Some(64)));
        assert_eq!(whole(request, &large(65)), Err(Violation::HeadTooLarge));
        assert_eq!(by_byte(request, &large(65)), Err(Violation::HeadTooLarge));
        let endless = [b'x'; 200];
        assert_eq!(whole(response, &endless), Err(Violation::HeadTooLarge));
        let roomy = HeadScanner::for_request(&HeadLimits { head_size: 1000, ..LIMITS });
        assert_eq!(whole(roomy, &endless[..72]), Ok(None));
        assert_eq!(whole(roomy, &endless[..73]), Err(Violation::TargetTooLong));
        assert_eq!(by_byte(roomy, &endless), Err(Violation::TargetTooLong));
    }

    #[test]
    fn start_lines_are_diagnosed() {
        for (line, violation) in [
            ("GET / HTTP/1.1", None),
            ("GET / HTTP/2.0", Some(Violation::UnsupportedVersion)),
            ("PRI * HTTP/2.0", Some(Violation::UnsupportedVersion)),
            ("GET / HTTP/0.9", Some(Violation::UnsupportedVersion)),
            ("GET / HTTP/3", Some(Violation::UnsupportedVersion)),
            ("GET /", Some(Violation::BadRequestLine)),
            ("GET  / HTTP/1.1", Some(Violation::BadRequestLine)),
            ("GET / x HTTP/1.1", Some(Violation::BadRequestLine)),
            ("GET / http/1.1", Some(Violation::BadRequestLine)),
            ("GET / HTTP/1.11", Some(Violation::BadRequestLine)),
            ("GET / HTTP/1.1 ", Some(Violation::BadRequestLine)),
            ("G\u{e9}T / HTTP/1.1", Some(Violation::BadRequestLine)),
            ("GET /\u{e9} HTTP/1.1", Some(Violation::BadTarget)),
            ("GET /\x01 HTTP/1.1", Some(Violation::BadTarget)),
        ] {
            assert_eq!(diagnose_request_line(line.as_bytes()), violation, "{line}");
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(bytes in "[\r\n \taG:/\0]{0,100}", cut in 0_usize..100) {
            for scanner in [HeadScanner::for_request(&LIMITS), HeadScanner::for_response(&LIMITS)] {
                let bytes = bytes.as_bytes();
                let found = whole(scanner, bytes);
                prop_assert_eq!(by_byte(scanner, bytes), found);
                let mut scanner = scanner;
                let first = scanner.scan(&bytes[..cut.min(bytes.len())]);
                let second = if first == Ok(None) { scanner.scan(bytes) } else { first };
                prop_assert_eq!(second, found);
            }
        }
    }
}
