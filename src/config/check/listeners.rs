//! Listeners: addresses and names that are told apart, and the routes of each.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{report_repeated, routes};
use crate::config::file::{File, ListenerTable};
use crate::config::problem::Report;
use crate::config::walk::At;
use crate::config::{ListenerConfig, Timeouts, Trusted};

pub(super) fn check(file: &File, report: &Report<'_>) {
    let listeners = &file.listeners;
    // Of port 0 the kernel makes another port each time.
    let fixed: Vec<_> =
        file.listener_addresses().filter(|address| address.value.port() != 0).cloned().collect();
    report_repeated(&fixed, report, |address| format!("there is another listener on {address}"));
    let names: Vec<_> = listeners.iter().filter_map(|listener| written_name(&listener.value)).collect();
    report_repeated(&names, report, |name| format!("there is another listener \"{name}\""));
    for trusted in listeners.iter().filter_map(|listener| listener.value.trusted.as_ref()) {
        let prefixes = trusted.value.iter().flatten();
        report_repeated(prefixes, report, |prefix| format!("\"{prefix}\" is there already"));
    }
}

/// Warns of backends that are a listener of this file: whatever is routed to them comes back.
pub(super) fn warn_loops(file: &File, report: &Report<'_>) {
    let backends = file.upstreams.iter().filter_map(|upstream| upstream.value.backends.as_ref());
    for backend in backends.flat_map(|backends| backends.value.iter().flatten()) {
        let address = backend.value.address;
        if let Some(listener) = file.listener_addresses().find(|listener| accepts(listener.value, address)) {
            let message = format!(
                "{address} is the listener in line {}: what is sent there comes back, and may go round for ever",
                listener.line
            );
            report.warning(backend.line, &backend.path, message);
        }
    }
}

/// Whether a connection to this address is certain to reach this listener. Of the addresses that a listener on 0.0.0.0
/// takes, those of loopback are known to be this machine's, and the address 0.0.0.0 itself leads there too.
fn accepts(listener: SocketAddr, address: SocketAddr) -> bool {
    let (own, ip) = (listener.ip(), address.ip().to_canonical());
    let is_here = ip.is_loopback() || ip.is_unspecified();
    let is_localhost = own == Ipv4Addr::LOCALHOST || own == Ipv6Addr::LOCALHOST;
    listener.port() == address.port()
        && own.is_ipv4() == ip.is_ipv4()
        && (own == ip || (own.is_unspecified() && is_here) || (is_localhost && ip.is_unspecified()))
}

/// What routes call a listener: its name, or its address where it has none. `None`: neither was read.
pub(super) fn name_of(listener: &ListenerTable) -> Option<String> {
    match (&listener.name, &listener.address) {
        (Some(name), _) => Some(name.value.clone()),
        (None, Some(address)) => Some(address.value.to_string()),
        (None, None) => None,
    }
}

/// `None`: something was refused.
pub(super) fn build(file: &File, timeouts: &Timeouts) -> Option<Vec<ListenerConfig>> {
    file.listeners
        .iter()
        .map(|listener| {
            let name = name_of(&listener.value)?;
            let timeouts = timeouts.with(&listener.value.timeouts);
            let address = listener.value.address.as_ref()?.value;
            let routes = routes::build(file, &name, &timeouts)?;
            Some(ListenerConfig { name, address, trusted: trusted(&listener.value)?, timeouts, routes })
        })
        .collect()
}

/// `None`: an entry was refused.
fn trusted(listener: &ListenerTable) -> Option<Trusted> {
    let entries = listener.trusted.iter().flat_map(|list| &list.value);
    entries.map(|entry| entry.as_ref().map(|at| at.value)).collect::<Option<_>>().map(Trusted::new)
}

/// A listener without a name is told apart by its address, unless that is reported for itself.
fn written_name(listener: &ListenerTable) -> Option<At<String>> {
    let address = listener.address.as_ref().filter(|address| address.value.port() == 0);
    listener.name.clone().or_else(|| address.map(|at| at.at(at.value.to_string())))
}
