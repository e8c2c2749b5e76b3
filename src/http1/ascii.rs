//! Classes of bytes, numbers as digits, and addresses as text.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use super::Sink;

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether these bytes are one token.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a byte may stand in a field's value: tab, space, visible ASCII, or beyond ASCII.
pub(super) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The bytes without spaces and tabs at both ends (RFC 9110 section 5.6.3: OWS).
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// One or more digits as a number below 2^63: servers that count in signed integers stand behind us.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    (number <= i64::MAX as u64).then_some(number)
}

/// Writes a number in decimal digits.
pub(super) fn put_decimal(out: &mut impl Sink, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put(&digits[at..]);
}

/// Writes an address; an IPv4 address that came in IPv6's clothes is written as IPv4.
pub(super) fn put_address(out: &mut impl Sink, address: IpAddr) {
    let mut text = Text { bytes: [0; 45], len: 0 };
    // An IPv6 address has 45 characters at the most, and `Text` has room for them.
    let written = write!(text, "{}", address.to_canonical());
    debug_assert!(written.is_ok());
    out.put(&text.bytes[..text.len]);
}

/// A short text on the stack.
struct Text {
    bytes: [u8; 45],
    len: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let end = self.len + piece.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(piece.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_digits_and_nothing_else() {
        for (digits, number) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("", None),
            ("+5", None),
            ("-1", None),
            ("0x5", None),
            ("5 5", None),
            ("5,5", None),
            ("5.0", None),
            ("1e3", None),
            ("٥", None),
        ] {
            assert_eq!(decimal(digits.as_bytes()), number, "{digits}");
        }
    }

    #[test]
    fn numbers_and_addresses_are_written() {
        let mut out = Vec::new();
        for number in [0, 7, 10, 4096, u64::MAX] {
            put_decimal(&mut out, number);
            out.push(b' ');
        }
        assert_eq!(out, b"0 7 10 4096 18446744073709551615 ");
        for (address, text) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("1111:2222:3333:4444:5555:6666:7777:8888", "1111:2222:3333:4444:5555:6666:7777:8888"),
        ] {
            let mut out = Vec::new();
            put_address(&mut out, address.parse().unwrap());
            assert_eq!(out, text.as_bytes());
        }
    }
}
