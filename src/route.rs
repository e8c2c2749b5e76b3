//! Host and path to a route: the most specific one wins, and the order in the file never matters.

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
        routes.sort_by(|a, b| a.host.rank().cmp(&b.host.rank()).then(b.path.len().cmp(&a.path.len())));
        Self { routes }
    }

    /// The routes, the most specific first.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route for a host (no port; any case) and a normalised path.
    ///
    /// A host's own routes come before those for any host; where none of them matches the path, the less specific
    /// host rules are asked.
    pub fn find(&self, host: &[u8], path: &[u8]) -> Found<'_> {
        for route in self.routes.iter().filter(|route| route.host.matches(host)) {
            if route.matches_path(path) {
                return Found::Route(route);
            }
            if route.path.strip_suffix('/').is_some_and(|bare| !bare.is_empty() && bare.as_bytes() == path) {
                return Found::AddSlash;
            }
        }
        Found::Nothing
    }
}

impl Route {
    /// Whole segments: `/images/` and `/images` match what lies below, `/imagesX` is not below.
    fn matches_path(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.path.as_bytes())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest[0] == b'/')
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
    fn rank(&self) -> (u8, std::cmp::Reverse<usize>) {
        match self {
            Self::Exact(_) => (0, std::cmp::Reverse(0)),
            Self::Suffix(suffix) => (1, std::cmp::Reverse(suffix.len())),
            Self::Any => (2, std::cmp::Reverse(0)),
        }
    }
}
