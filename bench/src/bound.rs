//! Who was the bottleneck of a run: told from the CPU time of everybody who took part.

use serde::{Deserialize, Serialize};

use crate::row::Cpu;

/// Per cent of what there is: whoever uses more has no time to spare.
const FULL_PCT: f64 = 92.0;
/// The same of a proxy that was at its limit whoever else was: it might have been faster by what is left, and that is what
/// [`crate::compare::LOWEST_FLOOR`] never ranks.
const LIMIT_PCT: f64 = 98.0;
/// Per cent of one core: more taken by programs that do not take part disturbs a run. It is what [`crate::compare`]
/// ranks at the least from few rounds, and a quiet machine's own threads stay well below it.
pub const DISTURBING_PCT: f64 = 5.0;

/// Who had no CPU time to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The proxy: the run measures what it is about.
    Proxy,
    /// The client: one thread at the most of what a core gives. The run measures the client.
    Client,
    /// The backends: one thread at the most of what a core gives. The run measures them.
    Backend,
    /// Client and backends together used up the cores that they share.
    ClientAndBackend,
    /// The proxy used up its cores, and client and backends theirs: requests a second are what the proxy can do, and what
    /// a request took is theirs too.
    Everybody,
    /// All together used up the machine.
    Machine,
    /// Nobody: at few requests at a time all of them mostly wait for each other.
    Waiting,
}

impl Bound {
    /// Whether the proxy might have answered more requests a second than it did.
    #[must_use]
    pub fn hides_the_proxy(self) -> bool {
        matches!(self, Self::Client | Self::Backend | Self::ClientAndBackend)
    }

    /// Whether a client or backends without time to spare made requests last longer.
    #[must_use]
    pub fn delays_requests(self) -> bool {
        self.hides_the_proxy() || self == Self::Everybody
    }

    /// How the report calls it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Client => "client",
            Self::Backend => "backend",
            Self::ClientAndBackend => "client + backend",
            Self::Everybody => "everybody",
            Self::Machine => "machine",
            Self::Waiting => "nobody",
        }
    }
}

/// The cores that everybody has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The proxy's cores.
    pub proxy: Vec<usize>,
    /// Client's and backends' cores; the same list where all share all.
    pub others: Vec<usize>,
}

impl Placement {
    /// Whether the proxy shares its cores with client and backends.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.proxy == self.others
    }
}

/// Judges a run. When in doubt the answer is the one that says less about the proxy.
#[must_use]
pub fn bound(cpu: &Cpu, placement: &Placement) -> Bound {
    let is_full = |used_pct: f64, cores: usize| used_pct >= FULL_PCT * cores as f64;
    let proxy_pct = cpu.proxy_pct.unwrap_or(0.0);
    let others_pct = cpu.client_pct + cpu.backend_pct;
    let is_any_other_full = is_full(cpu.client_pct, 1)
        || is_full(cpu.backend_pct, 1)
        || is_full(others_pct, placement.others.len());
    let is_at_its_limit = proxy_pct >= LIMIT_PCT * placement.proxy.len() as f64;
    if !placement.is_shared() && is_at_its_limit && is_any_other_full {
        Bound::Everybody
    } else if is_full(cpu.client_pct, 1) {
        Bound::Client
    } else if is_full(cpu.backend_pct, 1) {
        Bound::Backend
    } else if placement.is_shared() {
        let is_all_used =
            is_full(proxy_pct + others_pct + cpu.foreign_pct + cpu.stolen_pct, placement.proxy.len());
        if is_all_used { Bound::Machine } else { Bound::Waiting }
    } else if is_full(others_pct, placement.others.len()) {
        Bound::ClientAndBackend
    } else if is_full(proxy_pct, placement.proxy.len()) {
        Bound::Proxy
    } else {
        Bound::Waiting
    }
}

/// Whether programs that do not take part, or the host, took so much that the figures suffer.
#[must_use]
pub fn is_disturbed(cpu: &Cpu) -> bool {
    cpu.foreign_pct + cpu.stolen_pct > DISTURBING_PCT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(client_pct: f64, backend_pct: f64, proxy_pct: f64, placement: &Placement) -> Bound {
        let cpu = Cpu { proxy_pct: Some(proxy_pct), client_pct, backend_pct, ..Cpu::default() };
        bound(&cpu, placement)
    }

    #[test]
    fn whoever_has_no_time_to_spare_is_named() {
        let split = Placement { proxy: vec![0], others: vec![1, 2] };
        assert_eq!(judge(99.0, 30.0, 60.0, &split), Bound::Client);
        assert_eq!(judge(50.0, 98.0, 60.0, &split), Bound::Backend);
        assert_eq!(judge(60.0, 60.0, 97.0, &split), Bound::Proxy);
        assert_eq!(judge(30.0, 30.0, 40.0, &split), Bound::Waiting);
        let one_each = Placement { proxy: vec![0], others: vec![1] };
        assert_eq!(judge(60.0, 38.0, 97.0, &one_each), Bound::ClientAndBackend);
        assert_eq!(judge(60.0, 38.0, 98.5, &one_each), Bound::Everybody);
        assert_eq!(judge(99.0, 20.0, 98.5, &one_each), Bound::Everybody);
        assert_eq!(judge(50.0, 20.0, 98.5, &one_each), Bound::Proxy);
        let shared = Placement { proxy: vec![0, 1], others: vec![0, 1] };
        assert_eq!(judge(60.0, 40.0, 95.0, &shared), Bound::Machine);
        assert_eq!(judge(95.0, 40.0, 60.0, &shared), Bound::Client);
    }

    #[test]
    fn a_run_is_disturbed_by_programs_or_the_host_or_both() {
        let judge =
            |foreign_pct, stolen_pct| is_disturbed(&Cpu { foreign_pct, stolen_pct, ..Cpu::default() });
        assert!(!judge(2.0, 2.0));
        assert!(judge(6.0, 0.0) && judge(0.0, 6.0) && judge(3.0, 3.0));
    }

    #[test]
    fn only_the_proxy_as_bottleneck_speaks_of_the_proxy() {
        assert!(Bound::Client.hides_the_proxy() && Bound::ClientAndBackend.hides_the_proxy());
        assert!(!Bound::Proxy.hides_the_proxy() && !Bound::Waiting.hides_the_proxy());
        assert!(!Bound::Everybody.hides_the_proxy() && Bound::Everybody.delays_requests());
        assert!(Bound::Client.delays_requests() && !Bound::Proxy.delays_requests());
    }
}
