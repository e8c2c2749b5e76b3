//! The admin API: an address that no listener takes, and a warning where others may read it.

use std::net::SocketAddr;

use crate::config::file::File;
use crate::config::problem::Report;
use crate::config::walk::At;
use crate::config::{AdminAddress, DEFAULT_ADMIN_PORT};

/// Where it listens; `None`: there is no admin API, or its address was refused.
pub(super) fn check(file: &File, report: &Report<'_>) -> Option<AdminAddress> {
    let address = file.admin.as_ref()?.address.clone()?;
    if address.value.is_exposed() {
        let message = format!(
            "{} can be reached from other machines, and everybody who reaches the admin API may read all of it",
            address.value
        );
        report.warning(address.line, &address.path, message);
    }
    if let AdminAddress::Tcp(tcp) = address.value {
        report_taken(&address, tcp, file, report);
    }
    Some(address.value)
}

/// Its socket shares its address with no other, so it fails where a listener takes that. Two listeners do share:
/// between 0.0.0.0:8080 and 127.0.0.1:8080 the kernel takes the one that is more specific.
fn report_taken(at: &At<AdminAddress>, admin: SocketAddr, file: &File, report: &Report<'_>) {
    let Some(taker) = file.listener_addresses().find(|listener| collide(admin, listener.value)) else {
        return;
    };
    let covering = if taker.value == admin {
        String::new()
    } else if admin.ip().is_unspecified() {
        format!(", which {admin} would take too")
    } else {
        format!(", which takes {admin} too")
    };
    let is_free =
        |other: &SocketAddr| !file.listener_addresses().any(|listener| collide(*other, listener.value));
    let mut others = (DEFAULT_ADMIN_PORT..=u16::MAX).map(|port| SocketAddr::new(admin.ip(), port));
    let advice = others.find(is_free).map_or_else(String::new, |free| format!(", such as \"{free}\""));
    let message = format!(
        "there is a listener on {}, in line {}{covering}: write another address for the admin API{advice}",
        taker.value, taker.line
    );
    report.problem(at.line, &at.path, message);
}

/// Whether one of them would take the other's connections. A listener on `[::]` takes no IPv4 connections, the admin
/// API there does.
fn collide(admin: SocketAddr, listener: SocketAddr) -> bool {
    let (admin_ip, listener_ip) = (admin.ip().to_canonical(), listener.ip());
    let is_same_family = admin_ip.is_ipv4() == listener_ip.is_ipv4();
    let is_covered = admin_ip == listener_ip
        || (admin_ip.is_unspecified() && (is_same_family || admin_ip.is_ipv6()))
        || (listener_ip.is_unspecified() && is_same_family);
    admin.port() != 0 && admin.port() == listener.port() && is_covered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_where_one_socket_takes_what_the_other_would() {
        for (admin, listener, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:8081", false),
            ("127.0.0.1:8080", "127.0.0.2:8080", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:8080", "0.0.0.0:8080", true),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("[::]:8080", "[::1]:8080", true),
            ("[::]:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "[::]:8080", false),
            ("[::1]:8080", "[::]:8080", true),
            ("[::1]:8080", "0.0.0.0:8080", false),
            ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080", true),
            ("[::ffff:127.0.0.1]:8080", "[::]:8080", false),
        ] {
            let collide = collide(admin.parse().unwrap(), listener.parse().unwrap());
            assert_eq!(collide, expected, "{admin} {listener}");
        }
    }
}
