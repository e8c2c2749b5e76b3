//! The machine as the set-up of a run describes it, its cores, and the versions of what takes part.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Command;

use super::proxies::located;
use crate::bound::Placement;
use crate::setup::{Machine, Programs};

/// Looks at it.
#[must_use]
pub fn look() -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    Machine {
        cpu: value(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: cores().len(),
        is_virtual: value(&cpuinfo, "flags")
            .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        memory_mib: value(&read("/proc/meminfo"), "MemTotal")
            .and_then(|total| total.split(' ').next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib >> 10),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        kernel_options: kernel_options(&kernel_configuration()),
        system: system(),
        commit: commit(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `name : value` of the first line that has it.
fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn system() -> String {
    let release = read("/etc/os-release");
    let line = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// What decides how finely CPU time is counted: the timer's rate, and whether interrupts have accounts of their own (if
/// not, whoever is interrupted pays for them).
const KERNEL_OPTIONS: [&str; 3] =
    ["CONFIG_HZ", "CONFIG_IRQ_TIME_ACCOUNTING", "CONFIG_VIRT_CPU_ACCOUNTING_GEN"];

/// The configuration that the kernel was built with, where it or its package keeps it; empty elsewhere.
fn kernel_configuration() -> String {
    let of_package = read(&format!("/boot/config-{}", read("/proc/sys/kernel/osrelease").trim()));
    if !of_package.is_empty() {
        return of_package;
    }
    let unpacked = Command::new("zcat").arg("/proc/config.gz").output().ok();
    let unpacked = unpacked.filter(|output| output.status.success());
    unpacked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// `CONFIG_HZ=250`, and `# CONFIG_X is not set`, which is told as `n`.
fn kernel_options(configuration: &str) -> BTreeMap<String, String> {
    let value = |name: &str| {
        let is_set = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        let is_not = format!("# {name} is not set");
        let of_line = |line: &str| is_set(line).or_else(|| (line == is_not).then(|| "n".to_owned()));
        configuration.lines().find_map(of_line)
    };
    KERNEL_OPTIONS.into_iter().filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
}

/// The commit that is checked out, with `+` behind it when files that belong to it differ from it.
fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // Runs that are kept are files too, and change nothing; nor does a file that nobody has added.
    let words = ["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)bench/runs"];
    let changed = git(&words).unwrap_or_default();
    if changed.is_empty() { commit } else { format!("{commit}+") }
}

/// The cores that this process may use.
#[must_use]
pub fn cores() -> Vec<usize> {
    let status = read("/proc/self/status");
    value(&status, "Cpus_allowed_list").map_or_else(|| vec![0], |list| parse_cores(&list))
}

/// `0-2,5`.
fn parse_cores(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse::<usize>().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Gives the proxy its own cores, the first ones, if there are enough and it is wanted.
#[must_use]
pub fn placement(cores: &[usize], proxy_cores: usize, is_shared: bool) -> Placement {
    if is_shared || cores.len() < 2 {
        return Placement { proxy: cores.to_vec(), others: cores.to_vec() };
    }
    let (proxy, others) = cores.split_at(proxy_cores.clamp(1, cores.len() - 1));
    Placement { proxy: proxy.to_vec(), others: others.to_vec() }
}

/// What everything that takes part says of its version.
#[must_use]
pub fn versions(programs: &Programs, peers: &[String]) -> BTreeMap<String, String> {
    let mut commands: Vec<(&str, String, &str)> = vec![
        ("ringway", programs.ringway.clone(), "--version"),
        ("rustc", "rustc".to_owned(), "--version"),
        ("ab", "ab".to_owned(), "-V"),
        ("wrk", "wrk".to_owned(), "-v"),
    ];
    commands.extend(programs.oha.clone().map(|oha| ("oha", oha, "--version")));
    for peer in peers {
        commands.push(match peer.as_str() {
            "nginx" => ("nginx", located("nginx"), "-v"),
            "haproxy" => ("haproxy", located("haproxy"), "-v"),
            _ => ("envoy", programs.envoy.clone().unwrap_or_default(), "--version"),
        });
    }
    let version = |(name, program, option): (&str, String, &str)| {
        Some((name.to_owned(), first_line(&Command::new(program).arg(option).output().ok()?)))
    };
    commands.into_iter().filter_map(version).collect()
}

/// What the proxy's and the backends' binaries contain, by their SHA-256.
///
/// # Errors
///
/// `sha256sum` cannot be run, or a binary is not there.
pub fn binaries(programs: &Programs) -> io::Result<BTreeMap<String, String>> {
    let named = [("ringway", &programs.ringway), ("ringway-backends", &programs.backends)];
    named.into_iter().map(|(name, path)| Ok((name.to_owned(), sha256(path)?))).collect()
}

fn sha256(path: &str) -> io::Result<String> {
    let output = Command::new("sha256sum").arg("--").arg(path).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A backslash stands before the sum when the name had to be escaped.
    let sum = text.split_whitespace().next().map(|sum| sum.trim_start_matches('\\').to_owned());
    sum.filter(|_| output.status.success()).ok_or_else(|| {
        io::Error::other(format!("{path}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    })
}

/// Some print it on standard error.
fn first_line(output: &std::process::Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_and_shared_out() {
        assert_eq!(parse_cores("0-2,5"), [0, 1, 2, 5]);
        let split = placement(&[0, 1, 2, 5], 1, false);
        assert_eq!((split.proxy, split.others), (vec![0], vec![1, 2, 5]));
        assert_eq!(placement(&[0, 1], 5, false).others, [1]);
        assert!(placement(&[0, 1], 1, true).is_shared());
        assert!(placement(&[3], 1, false).is_shared());
    }

    #[test]
    fn options_of_the_kernel_are_read_whether_they_are_set_or_not() {
        let text = "#\n# CONFIG_HZ_100 is not set\nCONFIG_HZ=250\nCONFIG_HZ_250=y\n# CONFIG_IRQ_TIME_ACCOUNTING is not set\n";
        let expected = [("CONFIG_HZ", "250"), ("CONFIG_IRQ_TIME_ACCOUNTING", "n")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(kernel_options(text), BTreeMap::from(expected));
        assert!(kernel_options("").is_empty());
    }

    #[test]
    fn this_machine_can_be_described() {
        let machine = look();
        assert!(machine.cores >= 1 && machine.memory_mib > 0 && !machine.kernel.is_empty(), "{machine:?}");
    }
}
