//! What starting a client costs before it sends anything: `setpriv`, `sh`, `taskset`, and the loading of the program.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::process;
use crate::plan::{Plan, Tool};
use crate::setup::Programs;

/// Their median counts.
const STARTS: usize = 11;

/// The CPU time of starting each client of this plan on these cores, in microseconds: each says its version and ends.
///
/// # Errors
///
/// Nothing can be started here.
pub fn measure(plan: &Plan, programs: &Programs, cores: &[usize]) -> io::Result<BTreeMap<Tool, u64>> {
    let open = if plan.open.is_some() { &Tool::OPEN[..] } else { &[] };
    let tools = plan.tools.iter().chain(open);
    tools.map(|tool| Ok((*tool, of(&version(*tool, programs), cores)?))).collect()
}

fn version(tool: Tool, programs: &Programs) -> [String; 2] {
    let words = match tool {
        Tool::Ab | Tool::AbKeepAlive => ["ab", "-V"],
        Tool::Wrk => ["wrk", "-v"],
        Tool::Oha | Tool::OhaUncorrected => [programs.oha.as_deref().unwrap_or("oha"), "--version"],
    };
    words.map(str::to_owned)
}

fn of(words: &[String], cores: &[usize]) -> io::Result<u64> {
    let starts = (0..STARTS).map(|_| process::cpu_of_start(words, cores));
    let mut starts = starts.collect::<io::Result<Vec<Duration>>>()?;
    starts.sort_unstable();
    Ok(u64::try_from(starts[STARTS / 2].as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::machine::cores;

    #[test]
    fn a_start_takes_time_and_less_than_a_run() {
        let taken = of(&["true".to_owned()], &cores()).unwrap();
        assert!((1..1_000_000).contains(&taken), "{taken} µs");
    }
}
