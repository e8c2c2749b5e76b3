//! The findings for machines. The keys are documented in `docs/runtimes.md` and stay.

use serde_json::{Value, json};

use super::machine::Limit;
use super::{Findings, Found};
use crate::runtime::{Feature, Need, Outcome};

/// The findings as one JSON object, with a line end.
pub(super) fn render(findings: &Findings) -> String {
    let machine = &findings.machine;
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ok": findings.is_best(),
        "machine": {
            "kernel": machine.kernel,
            "architecture": machine.architecture,
            "cores": machine.cores,
            "descriptors": limit(machine.descriptors),
            "locked_memory_bytes": limit(machine.locked_memory),
            "io_uring_disabled": machine.io_uring_disabled,
            "seccomp_filter": machine.is_filtered,
        },
        "auto": { "runtime": findings.auto, "reasons": findings.reasons },
        "runtimes": findings.runtimes.iter().map(runtime).collect::<Vec<_>>(),
        "changes": findings.changes(),
    });
    format!("{value:#}\n")
}

fn limit(limit: Limit) -> Value {
    json!({ "soft": limit.soft, "hard": limit.hard })
}

fn runtime(found: &Found) -> Value {
    let permits = found.examined.permits.iter();
    json!({
        "name": found.info.name,
        "about": found.info.about,
        "available": found.refusal.is_none(),
        "why": found.refusal,
        "features": found.examined.features.iter().map(feature).collect::<Vec<_>>(),
        "permits": permits.map(|permit| json!({ "name": permit.name, "purpose": permit.purpose })).collect::<Vec<_>>(),
    })
}

fn feature(feature: &Feature) -> Value {
    let (outcome, why, change) = match &feature.outcome {
        Outcome::Active => ("active", None, None),
        Outcome::Off(why) => ("off", Some(why), None),
        Outcome::Unavailable { why, change } => ("unavailable", Some(why), Some(change)),
    };
    let need = match feature.need {
        Need::Needed => "needed",
        Need::Better => "better",
    };
    json!({
        "name": feature.name,
        "purpose": feature.purpose,
        "need": need,
        "outcome": outcome,
        "why": why,
        "change": change.filter(|change| !change.is_empty()),
    })
}
