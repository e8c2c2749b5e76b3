//! How to read the report: what its figures mean, and what they do not.

use super::content::Block;
use crate::bound::Placement;
use crate::conclusion::threshold_ms;
use crate::plan::{Kind, OpenLoop};
use crate::setup::Setup;
use crate::words::{counted, short};

pub(super) fn reading(setup: &Setup) -> Vec<Block> {
    let mut items = vec![cpu_time(), requests_a_second()];
    items.extend(setup.plan.has_direct.then(|| direct(&setup.placement)));
    items.push(
        "`3 of 5 alive` means that five backends are configured and two of them refuse connections. A proxy that hands \
         those failures on shows other answers than 2xx, and where they are is told in \"What clients see of dead backends\"."
            .to_owned(),
    );
    items.push(
        "Every run has a proxy and backends of its own, freshly started and warmed up; what failed in the warm-up is \
         counted."
            .to_owned(),
    );
    if !setup.plan.names(Kind::Peer).is_empty() {
        items.push(peers());
    }
    vec![Block::Heading("How to read this".to_owned()), Block::List(items)]
}

fn cpu_time() -> String {
    "CPU time a request is counted for the proxy alone, from the CPU clocks of its processes and not from samples. But it \
     depends on the load: a proxy that is mostly idle sleeps and wakes for every request, and can need twice the time for it that \
     the same proxy needs when requests queue up. So it can be compared where two are equally busy: both at their limit, or \
     both at the fixed rate. On loopback a sender's time includes the receiver's half of TCP, so a proxy is charged for \
     what it sends and not for what it receives."
        .to_owned()
}

fn requests_a_second() -> String {
    "Requests a second speak of the proxy where it was the bottleneck, alone or with everybody else. Where client or backend held one of two \
     proxies back, they are ranked only if that one was the faster all the same, and the other was at its limit in every round: then it is faster by what was \
     measured or by more. Where nobody is the bottleneck, all wait for each other, and a request costs mostly sleeping \
     and waking."
        .to_owned()
}

/// What the row without a proxy is, which depends on who has which cores.
fn direct(placement: &Placement) -> String {
    let what = "`direct` is the client on a backend with nothing between, and no competitor.";
    if placement.is_shared() {
        return format!(
            "{what} All share all cores, so its distance to a proxy is what the proxy takes away from both."
        );
    }
    format!(
        "{what} Nor is it a ceiling: client and backend have {} together and the proxy's idles, where with a proxy between \
         there is work for {}. And with `ab` the backend accepts a connection for every request, where a \
         proxy takes that upon itself and keeps its connections to the backend. So a proxied figure may well be the higher one.",
        counted(placement.others.len(), "core"),
        counted(placement.others.len() + placement.proxy.len(), "core")
    )
}

fn peers() -> String {
    "All proxies do what the experiment needs, and not the same beyond that. Ringway records for every exchange how long each of its six \
     phases took, the total and the time it added itself, in histograms, and the others keep none. HAProxy asks each \
     backend every second whether it is alive, and the others learn it from their requests. The configuration files are \
     below."
        .to_owned()
}

/// What a stall has to last for the fixed rate to show it.
pub(super) fn hidden_when(open: OpenLoop) -> String {
    format!(
        "On {} the proxy makes a request leave late only when all of them wait, which takes a stall of more than {} ms. What is less is \
         the client's own lateness.",
        counted(open.connections as usize, "connection"),
        short(threshold_ms(open))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_proxy_there_is_no_ceiling_where_the_cores_are_split() {
        let split = direct(&Placement { proxy: vec![0], others: vec![1] });
        let expected = "client and backend have 1 core together and the proxy's idles, where with a proxy between there is \
                        work for 2 cores.";
        assert!(split.contains(expected), "{split}");
        assert!(!direct(&Placement { proxy: vec![0, 1], others: vec![0, 1] }).contains("idles"));
    }

    #[test]
    fn the_limit_of_the_fixed_rate_follows_from_the_plan() {
        let said = hidden_when(OpenLoop { rate: 2000, seconds: 5, connections: 5 });
        assert!(said.starts_with("On 5 connections") && said.contains("more than 2.50 ms"), "{said}");
    }
}
