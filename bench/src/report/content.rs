//! What the report says, in order, whatever form it takes.

use std::io;

use super::OwnCurve;
use super::figures::{self, Figure};
use super::reading::{hidden_when, reading};
use super::table::{self, Table};
use crate::compare::FEW_ROUNDS;
use crate::conclusion::{Conclusion, Finding, Short, conclude};
use crate::plan::{Kind, Tool};
use crate::row::Row;
use crate::setup::Setup;
use crate::summary::{Line, Series};
use crate::words::{NONE, counted, list, whole};

const PARTIAL: &str = "**This report is partial**";
const IN_SHORT: &str = "In short";
const CONCLUSION: &str = "Conclusion";
const SEEN_BY_CLIENTS: &str = "Percentiles seen by the clients";
const DEAD_BACKENDS: &str = "What clients see of dead backends";

/// A part of the report.
#[derive(Debug)]
pub(super) enum Block {
    Heading(String),
    SmallHeading(String),
    /// Words in backticks are code.
    Text(String),
    List(Vec<String>),
    Table(Table),
    /// An index into [`Content::figures`].
    Figure(usize),
    /// Shown on demand.
    File {
        name: String,
        text: String,
    },
}

/// The whole report.
#[derive(Debug)]
pub struct Content {
    /// Its title.
    pub title: String,
    pub(super) blocks: Vec<Block>,
    /// The plots.
    pub figures: Vec<Figure>,
}

impl Content {
    /// Puts it together.
    ///
    /// # Errors
    ///
    /// A plot that cannot be drawn.
    pub fn new(setup: &Setup, rows: &[Row], own: &[OwnCurve]) -> io::Result<Self> {
        let series = Series::new(rows);
        let lines = series.lines();
        let figures = figures::all(&setup.plan, &series, own)?;
        let mut blocks = introduction(setup, rows);
        let Conclusion { short, findings } = conclude(setup, rows);
        blocks.extend(short_conclusion(short));
        blocks.push(Block::Heading("Plots".to_owned()));
        blocks.extend((0..figures.len()).map(Block::Figure));
        blocks.extend(conclusion(findings));
        blocks.extend(experiment(setup, &lines, rows));
        blocks.extend(open_loop(setup, &lines));
        blocks.extend(seen_by_clients(&lines));
        blocks.extend(dead_backends(&lines));
        blocks.extend(reading(setup));
        blocks.extend(set_up(setup));
        Ok(Self { title: format!("The sweep: {}", setup.name), blocks, figures })
    }

    /// The tables of the experiment, the conclusion, and that in short: what is read first stands last.
    pub(super) fn terminal(&self) -> String {
        let mut tables = String::new();
        let mut conclusion = String::new();
        let mut short = String::new();
        let mut partial = String::new();
        let mut heading = "";
        for block in &self.blocks {
            match block {
                Block::Heading(text) => heading = text,
                Block::Table(table) if heading == IN_SHORT => short += &format!("\n{}", table.terminal()),
                Block::Table(table) if heading != SEEN_BY_CLIENTS && heading != DEAD_BACKENDS => {
                    tables += &format!("\n{}", table.terminal())
                }
                Block::Text(text) if heading.is_empty() && text.starts_with(PARTIAL) => {
                    partial = format!("\n{text}\n")
                }
                Block::SmallHeading(text) if heading == CONCLUSION => conclusion += &format!("\n{text}\n"),
                Block::List(items) if heading == CONCLUSION => {
                    items.iter().for_each(|item| conclusion += &format!("- {item}\n"));
                }
                Block::List(items) if heading == IN_SHORT => {
                    short = format!("\n{IN_SHORT}\n");
                    items.iter().for_each(|item| short += &format!("- {item}\n"));
                }
                _ => {}
            }
        }
        tables + &partial + &conclusion + &short + &partial
    }
}

fn introduction(setup: &Setup, rows: &[Row]) -> Vec<Block> {
    let plan = &setup.plan;
    let machine = &setup.machine;
    let names: Vec<String> = plan.subjects.iter().map(|subject| format!("`{}`", subject.name)).collect();
    let done = rows.iter().filter(|row| row.is_good()).count();
    let mut text = format!(
        "Measured {} at commit `{}` on {} ({}{}), kernel {}, all on the loopback interface. Compared are {}; {}, in \
         {} with another order each. `ab` sends {} requests a run, `wrk` runs for {}.",
        setup.started,
        machine.commit,
        machine.cpu,
        counted(machine.cores, "core"),
        if machine.is_virtual { " of a virtual machine" } else { "" },
        machine.kernel,
        list(&names),
        counted(done, "run"),
        counted(plan.rounds as usize, "round"),
        whole(f64::from(plan.requests)),
        counted(plan.wrk_seconds as usize, "second"),
    );
    text += &if setup.placement.is_shared() {
        " Proxy, backends and client share all cores.".to_owned()
    } else {
        let cores = |cores: &[usize]| list(&cores.iter().map(usize::to_string).collect::<Vec<_>>());
        format!(
            " The proxy has core {} to itself, with a worker a core; client and backends have core {}.",
            cores(&setup.placement.proxy),
            cores(&setup.placement.others)
        )
    };
    let mut blocks = vec![Block::Text(text)];
    if !setup.is_complete {
        let all = whole(plan.runs() as f64);
        let partial = format!("{PARTIAL}: not every one of the {all} runs of the plan is in it.");
        blocks.push(Block::Text(partial));
    }
    if (plan.rounds as usize) < FEW_ROUNDS {
        let few = format!(
            "With fewer than {FEW_ROUNDS} rounds this run shows that everything works, and ranks hardly anything: for that there \
             are the runs of {FEW_ROUNDS} rounds and more."
        );
        blocks.push(Block::Text(few));
    }
    if !setup.notes.is_empty() {
        blocks.push(Block::List(setup.notes.clone()));
    }
    blocks
}

fn short_conclusion(Short { answered, base, against, cost }: Short) -> Vec<Block> {
    let sentences: Vec<String> = answered.into_iter().chain(cost).collect();
    let mut blocks = vec![Block::Heading(IN_SHORT.to_owned()), Block::List(sentences)];
    let table = table::in_short(
        format!(
            "Against {base}, over the settings of all closed-loop tools (?: no more than chance may give)"
        ),
        &against,
    );
    if !table.is_empty() {
        blocks.push(Block::Text(format!(
            "Each proxy against `{base}`, over the settings of all closed-loop tools in which the two could be compared: the              median difference, in how many of them the median of the rounds is higher, and in how many the difference is              outside the noise and ranked. A *?* says that so many may come from chance. Requests a second are not compared where client or              backend held one of the two back. What this rests on, and how far it may be trusted, stands in the conclusion."
        )));
        blocks.push(Block::Table(table));
    }
    blocks
}

fn conclusion(findings: Vec<Finding>) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(CONCLUSION.to_owned())];
    let intro = "Written from the figures by the program that measured them. A difference of medians is ranked \
                 only where it exceeds the noise floor, which is what the same cell measured twice differed by, and the ranges of \
                 the rounds do not overlap. \
                 A *setting* is a number of backends, configured and alive, and a concurrency.";
    blocks.push(Block::Text(intro.to_owned()));
    for Finding { question, answers } in findings {
        blocks.extend([Block::SmallHeading(question), Block::List(answers)]);
    }
    blocks
}

fn experiment(setup: &Setup, lines: &[Line], rows: &[Row]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading("The experiment".to_owned())];
    blocks.push(Block::Text(
        "Counts are sums over the rounds, all other figures medians, and *max* is the slowest request of all rounds. *mean* is the \
         mean time of a request as the client saw it; for `wrk`, whose own is made up in part, it is the concurrency divided by \
         the requests a second. The percentiles come from the proxy itself, and lie below the mean where the client waits \
         for what the proxy cannot see: being accepted, the connection's set-up, and its own turn on its core. The 99.9th of 10,000 \
         requests is made of the ten slowest. *CPU* is the proxy's time on the processor, user and system, a completed \
         request, and *busy* the same a second, in per cent of one core: compare CPU time where *busy* is alike. \
         *Shares* are the backends' parts of the answers: `5 × 20.0` are five of 20.0 %. \
         *Bottleneck* says who had no CPU time to spare in most rounds, and in how many: where that is neither the proxy nor everybody, \
         requests a second measure something else. `*n` behind it: in n rounds other programs disturbed the run."
            .to_owned(),
    ));
    let is_missing = !rows.iter().any(|row| row.proxy_latency.p50_us.is_some());
    if is_missing {
        let note = format!("This proxy told no percentiles of its own, so their columns show {NONE}.");
        blocks.push(Block::Text(note));
    }
    for tool in &setup.plan.tools {
        let of_tool: Vec<&Line> = lines.iter().filter(|line| line.cell.setting.tool == *tool).collect();
        let table = table::experiment(format!("Experiment: {}", tool.title()), &of_tool);
        if !table.is_empty() {
            blocks.extend([Block::SmallHeading(format!("`{}`", tool.title())), Block::Table(table)]);
        }
    }
    blocks
}

fn open_loop(setup: &Setup, lines: &[Line]) -> Vec<Block> {
    let heading = Block::Heading("At a fixed rate, and coordinated omission".to_owned());
    let open: Vec<&Line> = lines.iter().filter(|line| line.cell.setting.tool.is_open()).collect();
    let omission = "`ab` and `wrk` send a request only when an answer has come. While a proxy stalls they send \
                    nothing, and so the requests that would have waited are not there: coordinated omission. `ab` leaves it at \
                    that; `wrk` makes such requests up afterwards, from the mean of the run.";
    let Some(plan) = setup.plan.open.filter(|_| !open.is_empty()) else {
        let without = format!("{omission} A run at a fixed rate would show them; `oha` was not there.");
        return vec![heading, Block::Text(without)];
    };
    let text = format!(
        "{omission} Here `oha` sends {} requests a second. Each subject was measured twice, in two runs: with every time counted from \
         the moment the request was *due*, which is what a user feels, and from the moment it was *sent*, as `ab` \
         counts. {} The conclusion claims a difference where the ranges over the rounds lie apart. As all have the same load \
         here, this is also where to compare CPU time.",
        whole(f64::from(plan.rate)),
        hidden_when(plan)
    );
    let table = table::open_loop(format!("Open loop: {} requests a second", plan.rate), &open);
    let mut blocks = vec![heading, Block::Text(text), Block::Table(table)];
    let reached = |line: &&&Line| {
        line.requests_per_second.is_some_and(|spread| spread.median < 0.95 * f64::from(plan.rate))
    };
    let mut late: Vec<String> =
        open.iter().filter(reached).map(|line| format!("`{}`", line.cell.subject.name)).collect();
    late.dedup();
    if !late.is_empty() {
        blocks.push(Block::Text(format!("The rate was not reached with {}.", list(&late))));
    }
    blocks
}

fn seen_by_clients(lines: &[Line]) -> Vec<Block> {
    let closed: Vec<&Line> = lines.iter().filter(|line| !line.cell.setting.tool.is_open()).collect();
    let text = "The same cells from outside. `ab`'s percentiles are those of the requests that it sent, and compare proxies where the client was not the bottleneck; the proxy's own are \
                Ringway's alone. Those of `wrk` do not, and are not ranked: before it prints them, it adds to its histogram for \
                every answer that took more than twice the mean all those requests that it takes to have been omitted, so that one stall of \
                25 ms becomes hundreds of slow requests which nobody sent. Its slowest is one that it measured. \
                Neither tells a 99.9th, and with a connection a request `ab` times its set-up too.";
    vec![
        Block::Heading(SEEN_BY_CLIENTS.to_owned()),
        Block::Text(text.to_owned()),
        Block::Table(table::clients(SEEN_BY_CLIENTS.to_owned(), &closed)),
    ]
}

fn dead_backends(lines: &[Line]) -> Vec<Block> {
    let closed: Vec<&Line> = lines.iter().filter(|line| !line.cell.setting.tool.is_open()).collect();
    let table = table::dead_backends(DEAD_BACKENDS.to_owned(), &closed);
    if table.is_empty() {
        return Vec::new();
    }
    let text = "All tools and concurrencies together. Each run begins with a warm-up of 200 requests or more, and the first contact with \
                the dead backends is there: *wrong in the warm-up* adds up what `ab` calls failed and its answers other than 2xx: an error page is in both.";
    vec![Block::Heading(DEAD_BACKENDS.to_owned()), Block::Text(text.to_owned()), Block::Table(table)]
}

fn set_up(setup: &Setup) -> Vec<Block> {
    let machine = &setup.machine;
    let mut items = vec![
        format!("Processor: {}, {}", machine.cpu, counted(machine.cores, "core")),
        format!("Memory: {} MiB", whole(machine.memory_mib as f64)),
        format!("System: {}, kernel {}", machine.system, machine.kernel),
        format!("Commit: {}", machine.commit),
    ];
    items.extend(setup.versions.iter().map(|(name, version)| format!("{name}: {version}")));
    let kinds = [(Kind::Runtime, "runtimes"), (Kind::Peer, "peers")];
    for (kind, title) in kinds {
        let names = setup.plan.names(kind);
        items.extend((!names.is_empty()).then(|| format!("{title}: {}", list(&names))));
    }
    let tools: Vec<String> = setup.plan.tools.iter().map(|tool: &Tool| tool.title().to_owned()).collect();
    items.push(format!("tools: {}", list(&tools)));
    let mut blocks = vec![Block::Heading("Set-up".to_owned()), Block::List(items)];
    if setup.plan.names(Kind::Runtime).len() > 1 {
        let kinds = "Of `ringway.toml` one is shown; each runtime had its own, with its name as `kind`.";
        blocks.push(Block::Text(kinds.to_owned()));
    }
    let files = setup.configurations.iter();
    blocks.extend(files.map(|(name, text)| Block::File { name: name.clone(), text: text.clone() }));
    blocks
}
