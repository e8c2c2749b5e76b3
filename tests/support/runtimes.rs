//! Which runtimes this machine allows: tests leave the others out, and say so.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Whether this machine allows a runtime. Where it does not, the first question is answered by a line on the standard
/// error, past what the test harness holds back.
pub(crate) fn is_allowed(name: &str) -> bool {
    static KNOWN: OnceLock<Mutex<HashMap<String, bool>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(name.to_owned()).or_insert_with(|| {
        let check = ringway::runtime::RUNTIMES.iter().find(|info| info.name == name).map(|info| info.check);
        match check.map_or_else(|| Err("not in this build".to_owned()), |check| check(2)) {
            Ok(()) => true,
            Err(reason) => {
                // Nobody is told where nobody listens.
                let _ = writeln!(std::io::stderr(), "skipped: runtime {name}: {reason}");
                false
            }
        }
    })
}
