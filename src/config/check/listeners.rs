//! Listeners: addresses and names that are told apart, and the routes of each.

use super::{report_repeated, routes};
use crate::config::file::{File, ListenerTable};
use crate::config::problem::Report;
use crate::config::walk::At;
use crate::config::{ListenerConfig, Timeouts};

pub(super) fn check(listeners: &[At<ListenerTable>], report: &Report<'_>) {
    // Of port 0 the kernel makes another port each time.
    let addresses = listeners.iter().filter_map(|listener| listener.value.address.as_ref());
    let fixed: Vec<_> = addresses.filter(|address| address.value.port() != 0).cloned().collect();
    report_repeated(&fixed, report, |address| format!("there is another listener on {address}"));
    let names: Vec<_> = listeners.iter().filter_map(|listener| written_name(&listener.value)).collect();
    report_repeated(&names, report, |name| format!("there is another listener \"{name}\""));
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
            Some(ListenerConfig { name, address, timeouts, routes })
        })
        .collect()
}

/// A listener without a name is told apart by its address, unless that is reported for itself.
fn written_name(listener: &ListenerTable) -> Option<At<String>> {
    let address = listener.address.as_ref().filter(|address| address.value.port() == 0);
    let unnamed =
        || address.map(|at| At { value: at.value.to_string(), line: at.line, path: at.path.clone() });
    listener.name.clone().or_else(unnamed)
}
