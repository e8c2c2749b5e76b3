//! Listener, host and path to a route: the most specific one wins, and the order in the file never matters.

use std::cmp::Reverse;

use crate::config::{Timeouts, UpstreamId};

/// A rule from host and path to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whether it names the listener or holds for all.
    pub scope: Scope,
    /// Which hosts it holds for.
    pub host: HostRule,
    /// Path prefix, whole segments: begins with `/`; `/` is the default.
    pub path: String,
    /// Whether the prefix is taken off before the backend sees the path.
    pub strip_prefix: bool,
    /// Where requests go.
    pub upstream: UpstreamId,
    /// Timeouts of its exchanges.
    pub timeouts: Timeouts,
}

/// Which listeners a route holds for; the more specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The one that it names.
    Own,
    /// Every one.
    Common,
}

/// Which hosts a route holds for; names are lower case and without a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostRule {
    /// This name.
    Exact(String),
    /// Any name that ends with this, dot included: `*.example.org` is `.example.org`.
    Suffix(String),
    /// All.
    Any,
}

/// The routes of one listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// The most specific first.
    routes: Vec<Route>,
}

/// What a table says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// This route.
    Route(&'a Route),
    /// The path is a route's without its slash at the end: answer 308 to the path with it.
    AddSlash,
    /// No route.
    Nothing,
}

impl RouteTable {
    /// A table of these routes, in any order; no two with the same scope, host and path.
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by(|a, b| a.order().cmp(&b.order()));
        Self { routes }
    }

    /// The routes, the most specific first.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The routes that the listener has for itself, the most specific first.
    pub fn own(&self) -> &[Route] {
        &self.routes[..self.own_count()]
    }

    /// The routes that every listener has, the most specific first: the same ones in the same order for all of them,
    /// but for their timeouts.
    pub fn common(&self) -> &[Route] {
        &self.routes[self.own_count()..]
    }

    /// The route for a host (no port; any case) and a normalised path.
    ///
    /// The listener's own routes come before the common ones, and in each of these groups a host's routes before those
    /// for any host. Where none of them matches the path, the less specific ones are asked. A path that lacks only the
    /// slash at the end of a route's is answered as if it matched that route, unless the same group has a route of the
    /// same host for just this path.
    pub fn find(&self, host: &[u8], path: &[u8]) -> Found<'_> {
        for route in self.routes.iter().filter(|route| route.host.matches(host)) {
            if route.matches_path(path) {
                return Found::Route(route);
            }
            if route.lacks_only_a_slash(path) && !self.has_beside(route, path) {
                return Found::AddSlash;
            }
        }
        Found::Nothing
    }

    fn has_beside(&self, route: &Route, path: &[u8]) -> bool {
        let place = (route.scope, &route.host, path);
        self.routes.iter().any(|other| (other.scope, &other.host, other.path.as_bytes()) == place)
    }

    fn own_count(&self) -> usize {
        self.routes.partition_point(|route| route.scope == Scope::Own)
    }
}

impl Route {
    /// The most specific first; the last two only make the order the same for every order of the file.
    fn order(&self) -> impl Ord {
        (self.scope, self.host.rank(), Reverse(self.path.len()), &self.host, &self.path)
    }

    fn matches_path(&self, path: &[u8]) -> bool {
        is_at_or_below(path, &self.path)
    }

    fn lacks_only_a_slash(&self, path: &[u8]) -> bool {
        lacks_only_the_slash_of(path, &self.path)
    }
}

/// Whether a route with the path `first`, asked before one with the path `second`, leaves that nothing: each path
/// that `second` matches is matched by `first`, or sent on to it for its slash.
pub fn takes_all_paths(first: &str, second: &str) -> bool {
    let second = second.as_bytes();
    is_at_or_below(second, first) || lacks_only_the_slash_of(second, first)
}

/// Whole segments: `/images/` and `/images` match what lies below, `/imagesX` is not below.
fn is_at_or_below(path: &[u8], prefix: &str) -> bool {
    path.strip_prefix(prefix.as_bytes())
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest[0] == b'/')
}

/// `/images` for `/images/`.
fn lacks_only_the_slash_of(path: &[u8], folder: &str) -> bool {
    !path.is_empty() && folder.as_bytes().strip_suffix(b"/") == Some(path)
}

impl HostRule {
    /// Reads `example.org`, `*.example.org` or nothing.
    pub fn new(host: Option<&str>) -> Self {
        match host.map(str::to_ascii_lowercase) {
            None => Self::Any,
            Some(name) => match name.strip_prefix('*') {
                Some(suffix) => Self::Suffix(suffix.to_owned()),
                None => Self::Exact(name),
            },
        }
    }

    /// Whether it holds for every host that the other one holds for.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Suffix(suffix), Self::Suffix(other)) => other.ends_with(suffix),
            (_, Self::Exact(name)) => self.matches(name.as_bytes()),
            _ => false,
        }
    }

    fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            Self::Suffix(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|at| at > 0 && host[at..].eq_ignore_ascii_case(suffix.as_bytes())),
        }
    }

    /// Exact names first, then the longest suffix, then any.
    fn rank(&self) -> (u8, Reverse<usize>) {
        match self {
            Self::Exact(_) => (0, Reverse(0)),
            Self::Suffix(suffix) => (1, Reverse(suffix.len())),
            Self::Any => (2, Reverse(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of `host path` rules, some of them `own host path`; the upstream of each is its place in the list.
    fn table(rules: &[&str]) -> RouteTable {
        let route = |(i, rule): (usize, &&str)| {
            let (scope, place) = match rule.strip_prefix("own ") {
                Some(place) => (Scope::Own, place),
                None => (Scope::Common, *rule),
            };
            let (host, path) = place.split_once(' ').unwrap();
            Route {
                scope,
                host: HostRule::new((host != "-").then_some(host)),
                path: path.to_owned(),
                strip_prefix: false,
                upstream: UpstreamId(i),
                timeouts: Timeouts::default(),
            }
        };
        RouteTable::new(rules.iter().enumerate().map(route).collect())
    }

    /// The rule that is found, in words.
    fn find(rules: &[&str], host: &str, path: &str) -> String {
        match table(rules).find(host.as_bytes(), path.as_bytes()) {
            Found::Route(route) => rules[route.upstream.0].to_owned(),
            Found::AddSlash => "308".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn hosts_exact_then_wildcard_then_any() {
        let rules = ["- /", "*.org /", "*.example.org /", "www.example.org /"];
        for (host, found) in [
            ("www.example.org", "www.example.org /"),
            ("WWW.Example.ORG", "www.example.org /"),
            ("a.example.org", "*.example.org /"),
            ("a.b.example.org", "*.example.org /"),
            ("A.EXAMPLE.org", "*.example.org /"),
            ("example.org", "*.org /"),
            (".example.org", "*.org /"),
            ("badexample.org", "*.org /"),
            ("org", "- /"),
            (".org", "- /"),
            ("www.example.org.", "- /"),
            ("localhost", "- /"),
            ("[::1]", "- /"),
            ("", "- /"),
        ] {
            assert_eq!(find(&rules, host, "/x"), found, "{host}");
        }
    }

    #[test]
    fn the_longest_path_in_whole_segments() {
        let rules = ["- /", "- /images/", "- /images/big/", "- /pdf", "- /a%2Fb/"];
        for (path, found) in [
            ("/", "- /"),
            ("/x", "- /"),
            ("/imagesX", "- /"),
            ("/imagesX/", "- /"),
            ("/image", "- /"),
            ("/images/", "- /images/"),
            ("/images/cat.png", "- /images/"),
            ("/images/bigger", "- /images/"),
            ("/images/big/", "- /images/big/"),
            ("/images/big/a/b", "- /images/big/"),
            ("/pdf", "- /pdf"),
            ("/pdf/", "- /pdf"),
            ("/pdf/a", "- /pdf"),
            ("/pdfs", "- /"),
            ("/Images/", "- /"),
            ("/a%2Fb/c", "- /a%2Fb/"),
            ("/a/b/c", "- /"),
        ] {
            assert_eq!(find(&rules, "any", path), found, "{path}");
        }
    }

    #[test]
    fn the_listener_then_the_host_then_the_path() {
        for (rules, found) in [
            (&["own - /", "h /a/b"][..], "own - /"),
            (&["own - /", "- /a/"], "own - /"),
            (&["own - /", "- /"], "own - /"),
            (&["own *.h /", "h /a/"], "h /a/"),
            (&["own h /", "own - /a/b", "h /a/b"], "own h /"),
            (&["own h /c/", "own - /", "h /a/"], "own - /"),
            (&["own - /c/", "- /", "h /a/"], "h /a/"),
            (&["own - /c/", "- /", "*.h /a/"], "- /"),
            (&["own x /", "- /a/b"], "- /a/b"),
            (&["own x /", "own - /c"], "nothing"),
        ] {
            assert_eq!(find(rules, "h", "/a/b"), found, "{rules:?}");
        }
    }

    #[test]
    fn own_and_common_routes_are_told_apart() {
        let table = table(&["- /", "own - /a", "h /b", "own h /"]);
        let paths = |routes: &[Route]| routes.iter().map(|route| route.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(table.own()), ["/", "/a"]);
        assert_eq!(paths(table.common()), ["/b", "/"]);
        assert_eq!(table.own().len() + table.common().len(), table.routes().len());
    }

    #[test]
    fn a_missing_slash_is_asked_for() {
        for (rules, host, path, found) in [
            (&["- /images/"][..], "h", "/images", "308"),
            (&["- /images/", "- /"], "h", "/images", "308"),
            (&["- /images/big/", "- /images/"], "h", "/images/big", "308"),
            (&["h /images/", "- /"], "h", "/images", "308"),
            (&["h /images/", "- /images"], "h", "/images", "308"),
            (&["*.h /images/", "- /images"], "a.h", "/images", "308"),
            // The same host has a route for just this path.
            (&["- /images/", "- /images"], "h", "/images", "- /images"),
            (&["- /images/", "- /images"], "h", "/images/", "- /images/"),
            (&["- /images/", "- /images"], "h", "/images/cat", "- /images/"),
            // A more specific host takes the path.
            (&["h /", "- /images/"], "h", "/images", "h /"),
            (&["h /images", "- /images/"], "h", "/images", "h /images"),
            (&["h /images", "- /images/"], "other", "/images", "308"),
            // So does the listener, and a common folder is not even named there.
            (&["own - /", "- /images/"], "h", "/images", "own - /"),
            (&["own - /", "h /images/"], "h", "/images", "own - /"),
            (&["own - /images", "h /images/"], "h", "/images", "own - /images"),
            (&["own h /", "- /images/"], "other", "/images", "308"),
            // Its own folder is asked before a common route, as it is for all that lies in it.
            (&["own - /images/", "- /images"], "h", "/images", "308"),
            (&["own - /images/", "own - /", "- /images"], "h", "/images", "308"),
            (&["own - /images/", "h /"], "h", "/images", "308"),
            // The slash of the root is never missing.
            (&["- /"], "h", "", "nothing"),
            (&["- /images/"], "h", "/", "nothing"),
            (&["- /images/"], "h", "/imagesX", "nothing"),
        ] {
            assert_eq!(find(rules, host, path), found, "{rules:?} {host}{path}");
        }
    }

    #[test]
    fn where_a_host_has_no_path_the_less_specific_hosts_are_asked() {
        let rules = ["h /a/", "*.h /b/", "a.h /c/", "- /d/"];
        for (host, path, found) in [
            ("h", "/a/", "h /a/"),
            ("h", "/d/", "- /d/"),
            ("a.h", "/c/", "a.h /c/"),
            ("a.h", "/b/", "*.h /b/"),
            ("a.h", "/d/", "- /d/"),
            ("a.h", "/a/", "nothing"),
            ("x", "/c/", "nothing"),
        ] {
            assert_eq!(find(&rules, host, path), found, "{host}{path}");
        }
        assert_eq!(find(&[], "h", "/"), "nothing");
    }

    #[test]
    fn hosts_that_cover_others() {
        let covers = |first: &str, second: &str| {
            let rule = |host: &str| HostRule::new((host != "-").then_some(host));
            rule(first).covers(&rule(second))
        };
        for (first, second) in [
            ("-", "-"),
            ("-", "h"),
            ("-", "*.h"),
            ("*.h", "a.h"),
            ("*.h", "*.h"),
            ("*.h", "*.a.h"),
            ("h", "H"),
        ] {
            assert!(covers(first, second), "{first} {second}");
        }
        for (first, second) in [
            ("h", "-"),
            ("*.h", "-"),
            ("*.h", "h"),
            ("*.a.h", "*.h"),
            ("a.h", "*.h"),
            ("h", "x"),
            ("*.h", "*.ah"),
        ] {
            assert!(!covers(first, second), "{first} {second}");
        }
    }

    #[test]
    fn paths_that_leave_nothing() {
        for (first, second, takes_all) in [
            ("/", "/", true),
            ("/", "/a", true),
            ("/a", "/a/", true),
            ("/a/", "/a", true),
            ("/a/", "/a/b", true),
            ("/a", "/ab", false),
            ("/a/", "/", false),
            ("/a/b", "/a/", false),
        ] {
            assert_eq!(takes_all_paths(first, second), takes_all, "{first} {second}");
        }
    }

    const HOSTS: [&str; 5] = ["-", "h", "a.h", "*.h", "*.a.h"];
    const PATHS: [&str; 7] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab/", "/b/"];

    const ASKED_HOSTS: [&str; 5] = ["h", "a.h", "b.a.h", "x", ""];
    const ASKED_PATHS: [&str; 9] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/ab", "/abc", "/c"];

    /// Every rule for the hosts and paths above, each begun like this.
    fn all_rules(begin: &str) -> Vec<String> {
        HOSTS.iter().flat_map(|host| PATHS.map(|path| format!("{begin}{host} {path}"))).collect()
    }

    proptest! {
        #[test]
        fn the_order_of_the_file_never_matters(
            rules in proptest::sample::subsequence([all_rules(""), all_rules("own ")].concat(), 1..16),
            host in proptest::sample::select(&ASKED_HOSTS),
            path in proptest::sample::select(&ASKED_PATHS),
        ) {
            let forward: Vec<&str> = rules.iter().map(String::as_str).collect();
            let backward: Vec<&str> = forward.iter().rev().copied().collect();
            prop_assert_eq!(find(&forward, host, path), find(&backward, host, path));
        }

        #[test]
        fn a_default_of_its_own_closes_a_listener_to_common_routes(
            own in proptest::sample::subsequence(all_rules("own "), 0..8),
            common in proptest::sample::subsequence(all_rules(""), 0..8),
            host in proptest::sample::select(&ASKED_HOSTS),
            path in proptest::sample::select(&ASKED_PATHS),
        ) {
            let closed: Vec<&str> =
                own.iter().map(String::as_str).filter(|rule| *rule != "own - /").chain(["own - /"]).collect();
            let all: Vec<&str> = closed.iter().copied().chain(common.iter().map(String::as_str)).collect();
            prop_assert_eq!(find(&all, host, path), find(&closed, host, path));
        }

        #[test]
        fn what_is_covered_is_never_found(
            own in proptest::sample::subsequence(all_rules("own "), 1..8),
            common in proptest::sample::select(all_rules("")),
            host in proptest::sample::select(&ASKED_HOSTS),
            path in proptest::sample::select(&ASKED_PATHS),
        ) {
            let rules: Vec<&str> = own.iter().map(String::as_str).chain([common.as_str()]).collect();
            let table = table(&rules);
            let second = &table.common()[0];
            let is_covered = table.own().iter().any(|first| {
                first.host.covers(&second.host) && takes_all_paths(&first.path, &second.path)
            });
            prop_assert!(!is_covered || find(&rules, host, path) != common);
        }
    }
}
