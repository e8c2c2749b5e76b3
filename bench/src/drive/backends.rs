//! The backends of a run: the lean origin of the sample backends, as a process of its own.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::http;
use super::process::Program;

/// Where it says how many requests each of its ports has answered.
const ANSWERED: &str = "/answered";

/// Running backends.
#[derive(Debug)]
pub struct Backends {
    program: Program,
    port: u16,
}

impl Backends {
    /// Starts one for each port; every answer waits as long as the next delay says, if there are any.
    ///
    /// # Errors
    ///
    /// They do not start.
    pub fn start(
        program: &str,
        ports: &[u16],
        delays: &[Duration],
        cores: &[usize],
        work: &Path,
    ) -> io::Result<Self> {
        let mut words = vec![program.to_owned(), "--lean".to_owned()];
        words.extend(ports.iter().map(u16::to_string));
        if !delays.is_empty() {
            let delays: Vec<String> = delays.iter().map(|delay| delay.as_millis().to_string()).collect();
            words.extend(["--delays".to_owned(), delays.join(",")]);
        }
        let mut program = Program::start(&words, cores, &work.join("backends.log"))?;
        for port in ports {
            program.wait_for(*port)?;
        }
        Ok(Self { program, port: ports[0] })
    }

    /// How many requests each has answered so far.
    ///
    /// # Errors
    ///
    /// They do not answer.
    pub fn answered(&self) -> io::Result<Vec<u64>> {
        Ok(serde_json::from_str(&http::get(self.port, ANSWERED)?)?)
    }

    /// CPU time so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.program.cpu()
    }

    /// Their process group.
    #[must_use]
    pub fn group(&self) -> i32 {
        self.program.group()
    }
}
