//! What is named on the command line must exist: silence would be taken for idleness.

use std::io;

use super::{Arguments, By};
use crate::config::{nearest, quoted};
use crate::control::admin::{UpstreamView, ask};
use crate::telemetry::OTHERS;

/// # Errors
/// An upstream or backend that the proxy does not have, with a suggestion; or several distributions for one file.
pub(super) fn check(arguments: &Arguments) -> io::Result<()> {
    if arguments.hgrm.is_some() && arguments.by.is_some_and(|by| by != By::All) {
        return Err(invalid(
            "--hgrm saves one distribution: say which one with --upstream, --backend and --phase instead of --by, or save \
             all of them with --hlog"
                .to_owned(),
        ));
    }
    if arguments.upstream.is_none() && arguments.backend.is_none() {
        return Ok(());
    }
    let upstreams: Vec<UpstreamView> =
        serde_json::from_slice(&ask(&arguments.admin, "/upstreams")?).map_err(io::Error::other)?;
    exist(arguments.upstream.as_deref(), arguments.backend.as_deref(), &upstreams).map_err(invalid)
}

/// # Errors
/// A picture of another kind than is drawn.
pub(super) fn check_files(arguments: &Arguments) -> io::Result<()> {
    let Some(path) = &arguments.plot else { return Ok(()) };
    let is_other = path.extension().is_some_and(|ending| !ending.eq_ignore_ascii_case("svg"));
    if !is_other {
        return Ok(());
    }
    let svg = path.with_extension("svg");
    Err(invalid(format!("--plot draws SVG and nothing else: name the file {}", svg.display())))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Whether something is counted together, and with what, the proxy says itself.
fn exist(upstream: Option<&str>, backend: Option<&str>, there: &[UpstreamView]) -> Result<(), String> {
    if upstream == Some(OTHERS) {
        return Ok(());
    }
    let names: Vec<_> = there.iter().map(|view| view.upstream.as_str()).collect();
    is_among("upstream", upstream, &names)?;
    let of_it = there.iter().filter(|view| upstream.is_none_or(|upstream| upstream == view.upstream));
    let backends: Vec<_> =
        of_it.flat_map(|view| &view.backends).map(|backend| backend.backend.as_str()).collect();
    is_among("backend", backend.filter(|backend| *backend != OTHERS), &backends)
}

fn is_among(what: &str, name: Option<&str>, there: &[&str]) -> Result<(), String> {
    let Some(name) = name.filter(|name| !there.contains(name)) else { return Ok(()) };
    let meant = nearest(name, there.iter().copied());
    let meant = meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
    Err(format!("there is no {what} \"{name}\"{meant}\n  known: {}", quoted(there.iter().copied())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::admin::BackendView;

    fn upstream(name: &str, backends: &[&str]) -> UpstreamView {
        let backends = backends.iter().map(|address| BackendView {
            backend: (*address).to_owned(),
            weight: 1,
            state: "eligible".to_owned(),
            ejected_ms: None,
            in_flight: 0,
            picks: 0,
            ejections: 0,
            failed_attempts: Default::default(),
        });
        UpstreamView { upstream: name.to_owned(), cycle: 1, backends: backends.collect() }
    }

    #[test]
    fn a_name_that_does_not_exist_gets_a_suggestion_and_the_list() {
        let there = [
            upstream("cluster", &["127.0.0.1:9000", "127.0.0.1:9001"]),
            upstream("images", &["127.0.0.1:8889"]),
        ];
        let exist = |upstream, backend| exist(upstream, backend, &there);
        assert_eq!(exist(None, Some("127.0.0.1:8889")), Ok(()));
        assert_eq!(exist(Some("cluster"), Some("127.0.0.1:9001")), Ok(()));
        assert_eq!(exist(Some("cluster"), Some("(others)")), Ok(()));
        assert_eq!(exist(Some("(others)"), Some("(others)")), Ok(()));
        assert_eq!(
            exist(Some("clustr"), None).unwrap_err(),
            "there is no upstream \"clustr\"; did you mean \"cluster\"?\n  known: \"cluster\", \"images\""
        );
        assert_eq!(
            exist(Some("pdf"), None).unwrap_err(),
            "there is no upstream \"pdf\"\n  known: \"cluster\", \"images\""
        );
        let of_the_other = exist(Some("images"), Some("127.0.0.1:9000")).unwrap_err();
        assert!(of_the_other.ends_with("known: \"127.0.0.1:8889\""), "{of_the_other}");
    }
}
