//! Which clients are believed: IP addresses and prefixes of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits before the IPv4 address in an IPv6 one (RFC 4291, section 2.5.5.2).
const MAPPED_LEN: u8 = 96;

/// The clients of a listener whose `X-Forwarded-*` fields are believed. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted {
    prefixes: Vec<Prefix>,
}

/// All IP addresses that begin with the same bits; with all bits, one address.
///
/// An IPv4 address written as an IPv6 one (RFC 4291, section 2.5.5.2) is that IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The bits beyond the prefix are 0.
    address: IpAddr,
    /// In bits.
    len: u8,
}

impl Trusted {
    /// The clients with an address of one of these prefixes.
    pub fn new(prefixes: Vec<Prefix>) -> Self {
        Self { prefixes }
    }

    /// Whether a client with this address is believed.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(address))
    }

    /// As they were given.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }
}

impl Prefix {
    /// The first `len` bits of an address: at most 32 of IPv4, 128 of IPv6.
    ///
    /// # Errors
    /// Bits of the address beyond the prefix are set: the prefix that is left without them.
    pub fn new(address: IpAddr, len: u8) -> Result<Self, Self> {
        let (address, len) = match (address.to_canonical(), len.checked_sub(MAPPED_LEN)) {
            (IpAddr::V4(inner), Some(len)) if address.is_ipv6() => (inner.into(), len),
            _ => (address, len),
        };
        let prefix = Self { address: begin(address, len), len };
        if prefix.address == address { Ok(prefix) } else { Err(prefix) }
    }

    /// Whether an address begins with these bits. No IPv4 address begins as an IPv6 one does.
    pub fn contains(self, address: IpAddr) -> bool {
        begin(address.to_canonical(), self.len) == self.address
    }
}

/// The first `len` bits of an address, the others 0; all of them where it has no more.
fn begin(address: IpAddr, len: u8) -> IpAddr {
    let len = u32::from(len);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::BITS.saturating_sub(len)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u128::BITS.saturating_sub(len)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// As it is written in a file: an address alone without its length.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.address.is_ipv4() { u32::BITS } else { u128::BITS };
        self.address.fmt(f)?;
        if u32::from(self.len) == width { Ok(()) } else { write!(f, "/{}", self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(address: &str, len: u8) -> Prefix {
        Prefix::new(address.parse().unwrap(), len).unwrap()
    }

    fn is_trusted(prefixes: &[Prefix], address: &str) -> bool {
        Trusted::new(prefixes.to_vec()).contains(address.parse().unwrap())
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        for address in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
            assert!(!Trusted::default().contains(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_client_is_trusted_by_any_of_the_prefixes() {
        let prefixes =
            [prefix("10.0.0.0", 8), prefix("192.0.2.7", 32), prefix("fd00::", 8), prefix("::1", 128)];
        for inside in
            ["10.0.0.0", "10.255.255.255", "192.0.2.7", "fd00::", "fdff::1", "::1", "::ffff:10.1.2.3"]
        {
            assert!(is_trusted(&prefixes, inside), "{inside}");
        }
        for outside in [
            "9.255.255.255",
            "11.0.0.0",
            "192.0.2.6",
            "fc00::1",
            "fe00::",
            "::2",
            "::ffff:11.0.0.1",
            "::10.1.2.3",
        ] {
            assert!(!is_trusted(&prefixes, outside), "{outside}");
        }
    }

    #[test]
    fn an_empty_prefix_is_all_of_its_family() {
        let (v4, v6) = (prefix("0.0.0.0", 0), prefix("::", 0));
        assert!(v4.contains("255.1.2.3".parse().unwrap()) && v6.contains("ff::1".parse().unwrap()));
        assert!(!v4.contains("::".parse().unwrap()) && !v6.contains("0.0.0.0".parse().unwrap()));
        assert!(!v6.contains("::ffff:0.0.0.0".parse().unwrap()), "that is an IPv4 address");
    }

    #[test]
    fn ipv4_written_as_ipv6_is_ipv4() {
        assert_eq!(prefix("::ffff:10.0.0.0", 104), prefix("10.0.0.0", 8));
        assert_eq!(prefix("::ffff:0.0.0.0", 96), prefix("0.0.0.0", 0));
        assert_eq!(prefix("::ffff:10.0.0.1", 128), prefix("10.0.0.1", 32));
    }

    #[test]
    fn bits_beyond_the_prefix_are_a_mistake() {
        for (address, len, left) in [
            ("10.0.0.1", 8, "10.0.0.0/8"),
            ("10.0.0.1", 31, "10.0.0.0/31"),
            ("1.2.3.4", 0, "0.0.0.0/0"),
            ("fd00::1", 8, "fd00::/8"),
            ("::ffff:10.0.0.1", 104, "10.0.0.0/8"),
        ] {
            assert_eq!(Prefix::new(address.parse().unwrap(), len).unwrap_err().to_string(), left);
        }
    }

    proptest! {
        #[test]
        fn a_prefix_contains_what_shares_its_bits(bits: u128, other: u128, len in 0_u8..=128) {
            let (Ok(prefix) | Err(prefix)) = Prefix::new(Ipv6Addr::from_bits(bits).into(), len);
            let shares = (bits ^ other).leading_zeros() >= u32::from(len);
            prop_assert_eq!(prefix.contains(Ipv6Addr::from_bits(other).into()), shares);
        }
    }
}
