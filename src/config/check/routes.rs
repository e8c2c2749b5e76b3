//! Routes: references that lead somewhere, no two equal, and which of them each listener has.

use std::collections::HashMap;

use super::listeners::name_of;
use crate::config::file::{File, RouteEntry};
use crate::config::problem::{Report, hint};
use crate::config::walk::At;
use crate::config::{Timeouts, UpstreamId};
use crate::route::{HostRule, Route, RouteTable, Scope, takes_all_paths};

const DEFAULT_PATH: &str = "/";

pub(super) fn check(file: &File, report: &Report<'_>) {
    let upstreams =
        file.upstreams.iter().map(|upstream| upstream.value.name.as_ref().map(|name| name.value.clone()));
    let listeners = file.listeners.iter().map(|listener| name_of(&listener.value));
    check_references(&file.routes, "upstream", upstreams.collect(), report);
    let are_listeners_known = check_references(&file.routes, "listener", listeners.collect(), report);
    report_equal(&file.routes, report);
    if are_listeners_known {
        report_unrouted(file, report);
    }
    warn_unused(file, report);
    warn_unreached(file, report);
    for route in &file.routes {
        let path = route.value.path.as_ref().map_or(DEFAULT_PATH, |path| &path.value);
        if let Some(flag) = route.value.strip_prefix.as_ref().filter(|flag| flag.value && path == "/") {
            report.warning(flag.line, &flag.path, "has no effect: the path of this route is \"/\"");
        }
    }
}

/// The routes of one listener: its own and those for all.
///
/// `None`: something was refused.
pub(super) fn build(file: &File, listener: &str, timeouts: &Timeouts) -> Option<RouteTable> {
    let holding = file.routes.iter().map(|route| &route.value).filter(|route| holds(route, listener));
    let routes = holding.map(|route| build_one(route, file, timeouts));
    Some(RouteTable::new(routes.collect::<Option<_>>()?))
}

fn build_one(route: &RouteEntry, file: &File, timeouts: &Timeouts) -> Option<Route> {
    let name = &route.upstream.as_ref()?.value;
    let is_meant =
        |name_there: &Option<At<String>>| name_there.as_ref().is_some_and(|there| there.value == *name);
    let upstream = file.upstreams.iter().position(|upstream| is_meant(&upstream.value.name))?;
    Some(Route {
        scope: if route.listener.is_some() { Scope::Own } else { Scope::Common },
        host: host(route),
        path: path(route).to_owned(),
        strip_prefix: route.strip_prefix.as_ref().is_some_and(|flag| flag.value),
        upstream: UpstreamId(upstream),
        timeouts: timeouts.with(&file.upstreams[upstream].value.timeouts).with(&route.timeouts),
    })
}

fn holds(route: &RouteEntry, listener: &str) -> bool {
    route.listener.as_ref().is_none_or(|own| own.value == listener)
}

fn host(route: &RouteEntry) -> HostRule {
    route.host.as_ref().map_or(HostRule::Any, |host| host.value.clone())
}

fn path(route: &RouteEntry) -> &str {
    route.path.as_ref().map_or(DEFAULT_PATH, |path| &path.value)
}

/// Whether all references of this kind lead somewhere. Nothing is said where a name could not be read, for it might
/// be the one that is meant.
fn check_references(
    routes: &[At<RouteEntry>],
    what: &str,
    names: Vec<Option<String>>,
    report: &Report<'_>,
) -> bool {
    let Some(names) = names.into_iter().collect::<Option<Vec<String>>>() else { return false };
    let mut are_known = true;
    for route in routes.iter().map(|route| &route.value) {
        let reference = if what == "upstream" { &route.upstream } else { &route.listener };
        let Some(at) = reference.as_ref().filter(|at| !names.contains(&at.value)) else { continue };
        are_known = false;
        if !names.is_empty() {
            let hint = hint(&at.value, names.iter().map(String::as_str));
            report.problem(at.line, &at.path, format!("there is no {what} \"{}\"{hint}", at.value));
        }
    }
    are_known
}

fn report_equal(routes: &[At<RouteEntry>], report: &Report<'_>) {
    let mut lines = HashMap::new();
    for route in routes.iter().filter(|route| route.value.is_comparable) {
        let listener = route.value.listener.as_ref().map(|listener| &listener.value);
        let place = (listener, host(&route.value), path(&route.value));
        if let Some(first) = lines.get(&place) {
            let message =
                format!("there is another route for the same listener, host and path, in line {first}");
            report.problem(route.line, &route.path, message);
        } else {
            lines.insert(place, route.line);
        }
    }
}

fn report_unrouted(file: &File, report: &Report<'_>) {
    for listener in file.listeners.iter().filter(|listener| listener.value.is_http) {
        let Some(name) = name_of(&listener.value) else { continue };
        if !file.routes.iter().any(|route| holds(&route.value, &name)) {
            let message = format!(
                "no route holds for this listener: write a [[route]] with listener = \"{name}\", or with none"
            );
            report.problem(listener.line, &listener.path, message);
        }
    }
}

fn warn_unused(file: &File, report: &Report<'_>) {
    for upstream in &file.upstreams {
        let Some(name) = &upstream.value.name else { continue };
        let leads_here =
            |route: &At<RouteEntry>| route.value.upstream.as_ref().is_some_and(|to| to.value == name.value);
        if !file.routes.iter().any(leads_here) {
            report.warning(
                name.line,
                &name.path,
                format!("no route leads to the upstream \"{}\"", name.value),
            );
        }
    }
}

/// Warns of routes for every listener that have no effect on one of them: it has a route of its own that is asked
/// before, and takes all that they would take.
fn warn_unreached(file: &File, report: &Report<'_>) {
    let comparable = || file.routes.iter().filter(|route| route.value.is_comparable);
    for name in file.listeners.iter().filter_map(|listener| name_of(&listener.value)) {
        for common in comparable().filter(|route| route.value.listener.is_none()) {
            let takes_all = |own: &&At<RouteEntry>| {
                own.value.listener.as_ref().is_some_and(|listener| listener.value == name)
                    && host(&own.value).covers(&host(&common.value))
                    && takes_all_paths(path(&own.value), path(&common.value))
            };
            if let Some(own) = comparable().find(takes_all) {
                let message = format!(
                    "is never reached on listener \"{name}\": {} there takes everything this one could",
                    own.path
                );
                report.warning(common.line, &common.path, message);
            }
        }
    }
}
