//! The findings as a page for people, which has to be understood by somebody who has never heard of Ringway.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use comfy_table::{ContentArrangement, Table, presets};
use rustix::termios::tcgetwinsize;

use super::machine::{Limit, Machine};
use super::{Findings, Found};
use crate::runtime::{Feature, Need, Outcome};

/// Columns of a terminal that does not say.
const USUAL: u16 = 80;
/// Descriptors that are kept for other things than connections, and those that a connection takes.
const KEPT: u64 = 256;
const EACH: u64 = 2;

/// How wide the page may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    /// So many columns of a terminal.
    Columns(u16),
    /// As wide as it is: no terminal reads it.
    Plain,
}

impl Width {
    /// That of a terminal, if it is one.
    pub(super) fn of(out: &(impl AsFd + IsTerminal)) -> Self {
        if !out.is_terminal() {
            return Self::Plain;
        }
        let columns = tcgetwinsize(out).map_or(0, |size| size.ws_col);
        Self::Columns(if columns == 0 { USUAL } else { columns })
    }
}

/// The page.
pub(super) fn render(findings: &Findings, width: Width) -> String {
    let mut page = String::new();
    section(&mut page, "Ringway on this machine", &[], &verdict(findings));
    section(&mut page, "Machine", &[], &table(width, &["FACT", "VALUE"], &facts(&findings.machine)));
    let runtimes: Vec<_> = findings.runtimes.iter().map(|found| runtime(found, findings.auto)).collect();
    section(
        &mut page,
        "Runtimes of this build",
        RUNTIMES,
        &table(width, &["RUNTIME", "STATE", "WHAT IT IS"], &runtimes),
    );
    for found in &findings.runtimes {
        examined(&mut page, found, width);
    }
    let changes = findings.changes();
    if !changes.is_empty() {
        let number = |(change, number): (&String, usize)| vec![format!("{number}."), change.clone()];
        let lines: Vec<_> = changes.iter().zip(1..).map(number).collect();
        section(&mut page, "What to change to get more", &[], &table(width, &[], &lines));
    }
    page
}

/// What has to be known to read a table.
const RUNTIMES: &[&str] = &[
    "A runtime is the part that moves bytes. The best one comes first. `auto`, the default, takes the best one that",
    "works; `ringway run --runtime NAME` asks for another.",
];
const FEATURES: &[&str] = &[
    "Each was tried out just now. active: it works and is used. off: it is not used, for the reason given.",
    "unavailable: it does not work here. What only helps can be missing: the same is then done in a dearer way.",
];
const PERMITS: &[&str] = &[
    "io_uring takes requests past seccomp, so containers often deny it. Where restrictions are active, the kernel",
    "refuses a worker everything but this; and once all workers run, none of them can make another ring.",
];

fn section(page: &mut String, title: &str, introduction: &[&str], text: &str) {
    let gap = if page.is_empty() { "" } else { "\n" };
    let mut introduction: String = introduction.iter().map(|line| format!("{line}\n")).collect();
    if !introduction.is_empty() {
        introduction.push('\n');
    }
    // Writing to a string does not fail.
    let _ = writeln!(page, "{gap}# {title}\n\n{introduction}{}", text.trim_end_matches('\n'));
}

/// What matters most, in whole sentences.
fn verdict(findings: &Findings) -> String {
    let mut text = "Ringway is a reverse proxy. It can move bytes in several ways, called runtimes; the better ones need more of the\n\
     Linux kernel, above all io_uring, its newest interface for input and output.\n\n"
        .to_owned();
    text += &match findings.auto {
        Some(name) if findings.is_best() => {
            let changes =
                if findings.changes().is_empty() { "." } else { "; what could be better stands at the end." };
            format!(
                "`auto` takes the runtime {name}, the best of this build. Nothing has to be changed{changes}\n"
            )
        }
        Some(name) => format!("`auto` takes the runtime {name}. Better ones cannot be had here:\n"),
        None => "No runtime of this build can be had here:\n".to_owned(),
    };
    for reason in &findings.reasons {
        text += &format!("- {reason}\n");
    }
    text
}

fn facts(machine: &Machine) -> Vec<Vec<String>> {
    let room = machine.descriptors.hard.map_or_else(String::new, |hard| {
        format!(": room for {} connections of clients", hard.saturating_sub(KEPT) / EACH)
    });
    let filtered = match machine.is_filtered {
        Some(true) => "a filter holds this process",
        Some(false) => "no filter holds this process",
        None => "not known",
    };
    [
        ("kernel", format!("{} ({})", machine.kernel, machine.architecture)),
        ("cores this process may use", machine.cores.to_string()),
        ("open descriptors", in_words(machine.descriptors, str::to_owned) + &room),
        ("locked memory", in_words(machine.locked_memory, |bytes| bytes.to_owned() + " bytes")),
        ("kernel.io_uring_disabled", machine.sysctl_in_words()),
        ("seccomp", filtered.to_owned()),
    ]
    .map(|(fact, value)| vec![fact.to_owned(), value])
    .to_vec()
}

fn in_words(limit: Limit, unit: impl Fn(&str) -> String) -> String {
    let words =
        |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), |limit| unit(&limit.to_string()));
    if limit.soft == limit.hard {
        words(limit.hard)
    } else {
        format!("{}, may be raised to {}", words(limit.soft), words(limit.hard))
    }
}

fn runtime(found: &Found, auto: Option<&str>) -> Vec<String> {
    let state = match &found.refusal {
        Some(_) => "unavailable",
        None if auto == Some(found.info.name) => "auto takes it",
        None => "available",
    };
    let about = match &found.refusal {
        // What to change stands at the end of the page, once.
        Some(why) => {
            let why = why.split_once(". To change it: ").map_or(why.as_str(), |(why, _)| why);
            format!("{}\nWhy not: {why}", found.info.about)
        }
        None => found.info.about.to_owned(),
    };
    vec![found.info.name.to_owned(), state.to_owned(), about]
}

fn examined(page: &mut String, found: &Found, width: Width) {
    let name = found.info.name;
    let features: Vec<_> = found.examined.features.iter().map(feature).collect();
    if !features.is_empty() {
        let title = format!("Runtime {name}: what it builds on");
        section(
            page,
            &title,
            FEATURES,
            &table(width, &["FEATURE", "STATE", "NEED", "WHAT IT IS FOR"], &features),
        );
    }
    let permits = found.examined.permits.iter();
    let permits: Vec<_> =
        permits.map(|permit| vec![permit.name.to_owned(), permit.purpose.to_owned()]).collect();
    if !permits.is_empty() {
        let title = format!("Runtime {name}: what its workers may ask of io_uring");
        section(page, &title, PERMITS, &table(width, &["PERMIT", "WHAT IT IS FOR"], &permits));
    }
}

fn feature(feature: &Feature) -> Vec<String> {
    let need = match feature.need {
        Need::Needed => "needed",
        Need::Better => "helps",
    };
    let (state, note) = match &feature.outcome {
        Outcome::Active => ("active", String::new()),
        Outcome::Off(why) => ("off", format!("\nWhy off: {why}")),
        Outcome::Unavailable { why, .. } => ("unavailable", format!("\nWhy not: {why}")),
    };
    let purpose = format!("{}{note}", feature.purpose);
    vec![feature.name.to_owned(), state.to_owned(), need.to_owned(), purpose]
}

fn table(width: Width, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Width::Columns(columns) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
        }
        Width::Plain => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if !head.is_empty() {
        table.set_header(head);
    }
    table.add_rows(rows);
    table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
#[cfg(feature = "ring")]
mod tests {
    use super::*;
    use crate::runtime::ring::Unavailable;
    use crate::runtime::{Examined, Info};

    static RING: Info = Info {
        name: "ring",
        about: "a loop",
        is_per_core: true,
        is_for_comparison: false,
        check: |_| Err(Unavailable::Disabled(2).to_string()),
        examine: Examined::default,
    };
    static THREADS: Info = Info {
        name: "threads",
        about: "a crew",
        is_per_core: false,
        is_for_comparison: false,
        check: |_| Ok(()),
        examine: Examined::default,
    };

    /// What would be found where the sysctl is 2. It is never set for a test.
    fn switched_off() -> Findings {
        let limit = Limit { soft: Some(1024), hard: Some(524_288) };
        let machine = Machine {
            kernel: "Linux 6.12.1".to_owned(),
            architecture: "x86_64".to_owned(),
            cores: 4,
            descriptors: limit,
            locked_memory: Limit { soft: None, hard: None },
            io_uring_disabled: Some(2),
            is_filtered: Some(false),
        };
        let refusal = (RING.check)(1).unwrap_err();
        let runtimes = [&RING, &THREADS].map(|info| Found::gather(info, 1)).into();
        Findings {
            machine,
            runtimes,
            auto: Some("threads"),
            reasons: vec![format!("runtime ring: {refusal}")],
        }
    }

    #[test]
    fn a_kernel_with_io_uring_switched_off_is_explained() {
        let page = render(&switched_off(), Width::Plain);
        for line in [
            "`auto` takes the runtime threads. Better ones cannot be had here:",
            "- runtime ring: kernel.io_uring_disabled is 2: io_uring is switched off. To change it: have the administrator \
             set it to 0 (sysctl -w kernel.io_uring_disabled=0)",
            " kernel.io_uring_disabled    2 (nobody may use io_uring)",
            " open descriptors            1024, may be raised to 524288: room for 262016 connections of clients",
            " locked memory               no limit",
            " threads  auto takes it  a crew",
        ] {
            assert!(page.lines().any(|there| there == line), "{line}\n{page}");
        }
        assert!(
            page.contains("# What to change to get more\n\n 1.  ring: kernel.io_uring_disabled is 2"),
            "{page}"
        );
        assert!(!switched_off().is_best());
    }

    #[test]
    fn a_terminal_is_not_overrun() {
        let page = render(&switched_off(), Width::Columns(70));
        let rows = page.lines().filter(|line| line.starts_with(' '));
        assert!(rows.clone().count() > 10, "{page}");
        rows.for_each(|row| assert!(row.chars().count() <= 70, "{row}"));
    }
}
