//! Whether a test's runtime can be had on this machine, said aloud where it cannot.

use std::io::Write as _;

/// Whether this build and this machine have the runtime; says on standard error why not.
pub(crate) fn available(name: &str) -> bool {
    let found = ringway::runtime::RUNTIMES.iter().find(|info| info.name == name);
    let refusal = match found.map(|info| (info.check)()) {
        Some(Ok(())) => return true,
        Some(Err(why)) => why,
        None => "not in this build".to_owned(),
    };
    // With nowhere to say it, the test is left out all the same. The harness would keep what `eprintln` says.
    let _ = writeln!(std::io::stderr(), "skipped: runtime {name}: {refusal}");
    false
}
