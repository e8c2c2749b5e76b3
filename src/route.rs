//! Host and path to a route: the most specific one wins, and the order in the file never matters.

use std::cmp::Reverse;

use crate::config::{Timeouts, UpstreamId};

/// A rule from host and path to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
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
    /// A table of these routes, in any order; no two with the same host and path.
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by(|a, b| a.order().cmp(&b.order()));
        Self { routes }
    }

    /// The routes, the most specific first.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route for a host (no port; any case) and a normalised path.
    ///
    /// A host's own routes come before those for any host; where none of them matches the path, the less specific
    /// host rules are asked. A path that lacks only the slash at the end of a route's is answered as if it matched
    /// that route, unless the same host has a route for just this path.
    pub fn find(&self, host: &[u8], path: &[u8]) -> Found<'_> {
        for route in self.routes.iter().filter(|route| route.host.matches(host)) {
            if route.matches_path(path) {
                return Found::Route(route);
            }
            if route.lacks_only_a_slash(path) && !self.has(&route.host, path) {
                return Found::AddSlash;
            }
        }
        Found::Nothing
    }

    fn has(&self, host: &HostRule, path: &[u8]) -> bool {
        self.routes.iter().any(|route| route.host == *host && route.path.as_bytes() == path)
    }
}

impl Route {
    /// The most specific first; the last two only make the order the same for every order of the file.
    fn order(&self) -> impl Ord {
        (self.host.rank(), Reverse(self.path.len()), &self.host, &self.path)
    }

    /// Whole segments: `/images/` and `/images` match what lies below, `/imagesX` is not below.
    fn matches_path(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.path.as_bytes())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest[0] == b'/')
    }

    /// `/images` for the route `/images/`.
    fn lacks_only_a_slash(&self, path: &[u8]) -> bool {
        !path.is_empty() && self.path.as_bytes().strip_suffix(b"/") == Some(path)
    }
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

    /// A table of `host path` rules; the upstream of each is its place in the list.
    fn table(rules: &[&str]) -> RouteTable {
        let route = |(i, rule): (usize, &&str)| {
            let (host, path) = rule.split_once(' ').unwrap();
            Route {
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

    const HOSTS: [&str; 5] = ["-", "h", "a.h", "*.h", "*.a.h"];
    const PATHS: [&str; 7] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab/", "/b/"];

    proptest! {
        #[test]
        fn the_order_of_the_file_never_matters(
            rules in proptest::sample::subsequence(
                HOSTS.iter().flat_map(|host| PATHS.map(|path| format!("{host} {path}"))).collect::<Vec<_>>(), 1..12),
            host in proptest::sample::select(vec!["h", "a.h", "b.a.h", "x"]),
            path in proptest::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/abc", "/c"]),
        ) {
            let forward: Vec<&str> = rules.iter().map(String::as_str).collect();
            let backward: Vec<&str> = forward.iter().rev().copied().collect();
            prop_assert_eq!(find(&forward, host, path), find(&backward, host, path));
        }
    }
}
