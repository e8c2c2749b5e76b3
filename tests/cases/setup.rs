//! The configuration that a transcript runs with.

use std::net::SocketAddr;

use ringway::config::{Config, Environment};

use super::language::{Case, expand};

/// Where things listen in one run of a transcript.
pub(crate) struct Addresses {
    pub(crate) listener: SocketAddr,
    pub(crate) backends: Vec<SocketAddr>,
}

impl Addresses {
    /// The value of a placeholder: `{listener}`, `{backend}`, `{backend2}`.
    pub(crate) fn name(&self, placeholder: &str) -> Option<String> {
        if placeholder == "listener" {
            return Some(self.listener.to_string());
        }
        let digits = placeholder.strip_prefix("backend")?;
        let number = if digits.is_empty() { 1 } else { digits.parse::<usize>().ok()? };
        self.backends.get(number.checked_sub(1)?).map(ToString::to_string)
    }

    /// The default configuration (one listener, one route, one upstream with all backends) and what the case adds. A
    /// case with listeners or upstreams of its own does without the default ones.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn config(&self, case: &Case, runtime: &str) -> Result<Config, String> {
        let mut text = format!("[runtime]\nkind = \"{runtime}\"\nworkers = 1\n[log]\naccess = \"off\"\n");
        if !case.config.contains("[[listener]]") {
            text += "[[listener]]\nname = \"web\"\naddress = \"{listener}\"\n";
        }
        if !case.config.contains("[[upstream]]") {
            let backends: Vec<String> =
                self.backends.iter().map(|address| format!("\"{address}\"")).collect();
            text += "[[route]]\nupstream = \"main\"\n[[upstream]]\nname = \"main\"\n";
            text += &format!("backends = [{}]\n", backends.join(", "));
        }
        let text = expand(&(text + &case.config), |name| self.name(name))?;
        let environment = Environment { cores: 1, descriptors: 1024 };
        match Config::parse(&text, &case.name, &environment) {
            Ok((config, _)) => Ok(config),
            Err(problems) => {
                Err(problems.iter().map(|problem| format!("{problem}\n")).collect::<String>() + &text)
            }
        }
    }
}
