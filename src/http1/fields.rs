//! Fields by what they mean to us: each name is classified once, and the fields that `Connection` names are marked.

use std::mem::MaybeUninit;

use httparse::Header;

use super::Violation;
use super::ascii::{is_token, trim};

/// Fields of a head at the most, whatever the configuration says.
pub(super) const MAX_FIELDS: usize = 256;
/// Members of the `Connection` lists of a head: bounds the work of looking for the fields that they name.
const MAX_OPTIONS: usize = 32;

/// Room for the fields of one head; 8 KiB that are not cleared. Lives on the stack, and never across an await.
#[derive(Debug)]
pub struct Slots<'b> {
    pub(super) headers: [MaybeUninit<Header<'b>>; MAX_FIELDS],
    pub(super) kinds: [Kind; MAX_FIELDS],
}

impl Slots<'_> {
    /// Empty room.
    #[inline]
    pub fn new() -> Self {
        Self { headers: [const { MaybeUninit::uninit() }; MAX_FIELDS], kinds: [Kind::Other; MAX_FIELDS] }
    }
}

impl Default for Slots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The fields of a head, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'b> {
    head: &'b [u8],
    headers: &'b [Header<'b>],
    kinds: &'b [Kind],
    nominated: Nominated,
}

/// One field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'b> {
    /// A token, as it came.
    pub name: &'b [u8],
    /// Without the spaces around it; visible ASCII, tabs, spaces, and bytes beyond ASCII.
    pub value: &'b [u8],
    /// What it means to us.
    pub kind: Kind,
}

/// What a field means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it goes on as it came.
    Other,
    /// `Host`.
    Host,
    /// `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Connection`.
    Connection,
    /// `Upgrade`.
    Upgrade,
    /// `Expect`.
    Expect,
    /// `Max-Forwards`.
    MaxForwards,
    /// `Via`.
    Via,
    /// `Location` and `Content-Location`.
    Location,
    /// `Forwarded` and everything that begins with `X-Forwarded-`.
    Forwarding,
    /// Another field that is for this connection alone (RFC 9110 section 7.6.1).
    HopByHop,
    /// A name that a lax server may take for one of the above: `Content_Length`, `X.Forwarded.For`.
    LookAlike,
    /// An end-to-end field that `Connection` names, and which is therefore for this connection alone.
    Nominated,
}

impl<'b> Fields<'b> {
    /// The fields of a head, each marked with its kind in `kinds`.
    ///
    /// # Errors
    /// [`Violation::BadConnection`].
    pub(super) fn new(
        head: &'b [u8],
        headers: &'b [Header<'b>],
        kinds: &'b mut [Kind; MAX_FIELDS],
    ) -> Result<(Self, Survey<'b>), Violation> {
        let kinds = &mut kinds[..headers.len()];
        let mut survey = Survey::default();
        for (header, kind) in headers.iter().zip(kinds.iter_mut()) {
            *kind = classify(header.name.as_bytes());
            survey.note(*kind, header.value);
        }
        let mut nominated = Nominated::default();
        if !matches!(survey.connection, Seen::Never) {
            survey.options = read_options(headers, kinds, &mut nominated)?;
        }
        Ok((Self { head, headers, kinds, nominated }, survey))
    }

    /// All fields, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'b>> + use<'b> {
        let of = |(header, &kind): (&Header<'b>, &Kind)| Field {
            name: header.name.as_bytes(),
            value: header.value,
            kind,
        };
        self.headers.iter().zip(self.kinds).map(of)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// The value of the first field of this name, in any case.
    pub fn first(&self, name: &str) -> Option<&'b [u8]> {
        self.iter().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }

    /// The names that `Connection` lists, for the walk along a chunked body.
    pub fn nominated(&self) -> Nominated {
        self.nominated
    }

    /// Where a piece of the head begins in it.
    pub(super) fn offset(&self, piece: &[u8]) -> usize {
        piece.as_ptr().addr() - self.head.as_ptr().addr()
    }

    pub(super) fn head(&self) -> &'b [u8] {
        self.head
    }
}

/// How often a field came that may come once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Seen<'b> {
    #[default]
    Never,
    Once(&'b [u8]),
    Often,
}

impl<'b> Seen<'b> {
    fn note(&mut self, value: &'b [u8]) {
        *self = if matches!(self, Self::Never) { Self::Once(value) } else { Self::Often };
    }
}

/// The fields on which decisions rest, found on one pass.
#[derive(Debug, Default)]
pub(super) struct Survey<'b> {
    pub(super) host: Seen<'b>,
    pub(super) content_length: Seen<'b>,
    pub(super) transfer_encoding: Seen<'b>,
    pub(super) upgrade: Seen<'b>,
    pub(super) expect: Seen<'b>,
    pub(super) max_forwards: Seen<'b>,
    pub(super) options: Options,
    connection: Seen<'b>,
}

impl<'b> Survey<'b> {
    fn note(&mut self, kind: Kind, value: &'b [u8]) {
        let seen = match kind {
            Kind::Host => &mut self.host,
            Kind::ContentLength => &mut self.content_length,
            Kind::TransferEncoding => &mut self.transfer_encoding,
            Kind::Connection => &mut self.connection,
            Kind::Upgrade => &mut self.upgrade,
            Kind::Expect => &mut self.expect,
            Kind::MaxForwards => &mut self.max_forwards,
            _ => return,
        };
        seen.note(value);
    }
}

/// The members of `Connection` that are no names of fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

/// The names that `Connection` lists besides its options and the fields that are known to be for one connection: up
/// to four, as hashes. With more than four, every name is taken for one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nominated {
    hashes: [u32; 4],
    count: u8,
}

impl Nominated {
    /// Whether this field, in any case, is for this connection alone.
    pub(super) fn names(&self, name: &[u8]) -> bool {
        match self.hashes.get(..usize::from(self.count)) {
            Some(hashes) => hashes.contains(&hash(name)),
            None => true,
        }
    }

    fn add(&mut self, name: &[u8]) {
        if let Some(place) = self.hashes.get_mut(usize::from(self.count)) {
            *place = hash(name);
        }
        self.count = self.count.saturating_add(1);
    }
}

/// FNV-1a of the name in lower case. A collision costs its maker a refusal, and nobody else anything.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

/// The members of a comma-separated list; empty ones are left out (RFC 9110 section 5.6.1).
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Reads the `Connection` lists, and marks the end-to-end fields that they name.
fn read_options(
    headers: &[Header<'_>],
    kinds: &mut [Kind],
    nominated: &mut Nominated,
) -> Result<Options, Violation> {
    let mut options = Options::default();
    let mut count = 0;
    for (at, header) in headers.iter().enumerate() {
        if kinds[at] != Kind::Connection {
            continue;
        }
        for member in members(header.value) {
            count += 1;
            if count > MAX_OPTIONS || !is_token(member) {
                return Err(Violation::BadConnection);
            }
            match member.len() {
                5 if member.eq_ignore_ascii_case(b"close") => options.close = true,
                10 if member.eq_ignore_ascii_case(b"keep-alive") => options.keep_alive = true,
                7 if member.eq_ignore_ascii_case(b"upgrade") => options.upgrade = true,
                _ => nominate(member, headers, kinds, nominated),
            }
        }
    }
    Ok(options)
}

/// Marks the fields of this name. Those that we own or interpret cannot be named away: framing, `Host`, `Via` and
/// what tells the backend who asks are dropped or written anew for reasons of their own.
fn nominate(name: &[u8], headers: &[Header<'_>], kinds: &mut [Kind], nominated: &mut Nominated) {
    if !matches!(classify(name), Kind::Other | Kind::Location) {
        return;
    }
    nominated.add(name);
    for (header, kind) in headers.iter().zip(kinds) {
        if header.name.as_bytes().eq_ignore_ascii_case(name) {
            *kind = Kind::Nominated;
        }
    }
}

/// What a name means to us.
pub(super) fn classify(name: &[u8]) -> Kind {
    let candidates: &[(&[u8], Kind)] = match name.len() {
        2 => &[(b"te", Kind::HopByHop)],
        3 => &[(b"via", Kind::Via)],
        4 => &[(b"host", Kind::Host)],
        6 => &[(b"expect", Kind::Expect)],
        7 => &[(b"upgrade", Kind::Upgrade)],
        8 => &[(b"location", Kind::Location)],
        9 => &[(b"forwarded", Kind::Forwarding)],
        10 => &[(b"connection", Kind::Connection), (b"keep-alive", Kind::HopByHop)],
        12 => &[(b"max-forwards", Kind::MaxForwards)],
        14 => &[(b"content-length", Kind::ContentLength), (b"http2-settings", Kind::HopByHop)],
        16 => &[(b"content-location", Kind::Location), (b"proxy-connection", Kind::HopByHop)],
        17 => &[(b"transfer-encoding", Kind::TransferEncoding)],
        18 => &[(b"proxy-authenticate", Kind::HopByHop)],
        19 => &[(b"proxy-authorization", Kind::HopByHop)],
        _ => &[],
    };
    for &(known, kind) in candidates {
        if name.eq_ignore_ascii_case(known) {
            return kind;
        }
        if folds_to(name, known) {
            return Kind::LookAlike;
        }
    }
    match name.split_at_checked(FORWARDING.len()) {
        Some((start, _)) if folds_to(start, FORWARDING) => Kind::Forwarding,
        _ => Kind::Other,
    }
}

const FORWARDING: &[u8] = b"x-forwarded-";

/// Whether a server that makes variables of names (`HTTP_CONTENT_LENGTH`) may take this one for the known one, which
/// is in lower case and of the same length: all that is no letter or digit becomes the same there.
fn folds_to(name: &[u8], known: &[u8]) -> bool {
    name.iter().zip(known).all(|(&byte, &known)| match known {
        b'-' => !byte.is_ascii_alphanumeric(),
        _ => byte.to_ascii_lowercase() == known,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_classified_in_any_case() {
        for (name, kind) in [
            ("Host", Kind::Host),
            ("hOST", Kind::Host),
            ("Content-Length", Kind::ContentLength),
            ("TRANSFER-ENCODING", Kind::TransferEncoding),
            ("connection", Kind::Connection),
            ("Keep-Alive", Kind::HopByHop),
            ("TE", Kind::HopByHop),
            ("HTTP2-Settings", Kind::HopByHop),
            ("Proxy-Connection", Kind::HopByHop),
            ("Proxy-Authenticate", Kind::HopByHop),
            ("Proxy-Authorization", Kind::HopByHop),
            ("Upgrade", Kind::Upgrade),
            ("Expect", Kind::Expect),
            ("Max-Forwards", Kind::MaxForwards),
            ("Via", Kind::Via),
            ("Location", Kind::Location),
            ("Content-Location", Kind::Location),
            ("Forwarded", Kind::Forwarding),
            ("X-Forwarded-For", Kind::Forwarding),
            ("x-forwarded-client-cert", Kind::Forwarding),
            ("X-Forwarded", Kind::Other),
            ("Trailer", Kind::Other),
            ("Cookie", Kind::Other),
            ("Content-Type", Kind::Other),
            ("X-Real-IP", Kind::Other),
            ("hosu", Kind::Other),
        ] {
            assert_eq!(classify(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn look_alikes_are_known() {
        for name in [
            "Content_Length",
            "content.length",
            "Transfer_Encoding",
            "Max_Forwards",
            "Keep_Alive",
            "Proxy_Connection",
        ] {
            assert_eq!(classify(name.as_bytes()), Kind::LookAlike, "{name}");
        }
        assert_eq!(classify(b"X_Forwarded_For"), Kind::Forwarding);
        assert_eq!(classify(b"x-forwarded_host"), Kind::Forwarding);
        assert_eq!(classify(b"ContentxLength"), Kind::Other);
        assert_eq!(classify(b"content_type"), Kind::Other);
    }

    #[test]
    fn lists_leave_out_empty_members() {
        assert_eq!(members(b" a,, b\t,c ,").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(members(b"").count(), 0);
    }

    #[test]
    fn four_names_are_known_exactly_and_more_stand_for_all() {
        let mut nominated = Nominated::default();
        assert!(!nominated.names(b"x-a"));
        for name in [b"x-a", b"X-B", b"x-c", b"x-d"] {
            nominated.add(name);
        }
        assert!(nominated.names(b"X-A") && nominated.names(b"x-b") && !nominated.names(b"x-e"));
        nominated.add(b"x-f");
        assert!(nominated.names(b"x-e"));
    }
}
