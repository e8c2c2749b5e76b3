//! The command line: one file per subcommand, and the exit codes.

mod audit;
mod check;
mod demo;
mod doctor;
mod latency;
mod load;
mod plot;
mod poll;
mod run;
mod top;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::options::WORKERS;
use crate::config::{Config, RUNTIME_KINDS};
use crate::telemetry::notice;

pub use demo::CONFIGURATION as DEMO_CONFIGURATION;

/// All is well.
pub const EXIT_OK: u8 = 0;
/// Anything but the configuration: the command line, an address in use, what the kernel refused.
pub const EXIT_FAILURE: u8 = 1;
/// There is nothing wrong so far, and more to be known later: EX_TEMPFAIL of sysexits(3).
pub const EXIT_LATER: u8 = 75;
/// The configuration is bad, or could not be read: EX_CONFIG of sysexits(3).
pub const EXIT_CONFIG: u8 = 78;

const TEACHING: &str = "\
Examples:
  ringway demo                          see it work: a proxy and its sample backends
  ringway demo --print-config           a commented configuration to begin with
  ringway check ringway.toml            what is wrong with it, or what it means in full
  ringway run --config ringway.toml     serve until SIGTERM or SIGINT
  ringway doctor                        what this machine allows, and what to change for more
  ringway latency --watch               percentiles of a running proxy, of each second
  ringway top                           a live view of it
  ringway audit access.log              whether each backend got its share

Exit codes:
  0   all is well
  1   a failure: the command line, an address in use, what the kernel refused; doctor: not
      the best runtime of this build; audit: the promise was not kept, or lines are lost
  75  audit: the promise was kept as far as the log tells, but exchanges may still be running
  78  the configuration is bad or cannot be read; every error is on standard error,
      one a line: FILE:LINE: key.path: what is wrong";

/// All that a command can lack is its configuration.
const FIRST_STEPS: &str = "\
No configuration yet? This writes a commented one to change:
  ringway demo --print-config > ringway.toml
";

/// A reverse proxy and load balancer for Linux, built on io_uring.
#[derive(Parser)]
#[command(name = "ringway", version, after_help = TEACHING, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Audit(audit::Arguments),
    Latency(latency::Arguments),
    Top(top::Arguments),
    Demo(demo::Arguments),
    Doctor(doctor::Arguments),
}

/// What the command line says otherwise than the file.
#[derive(Args)]
struct Overrides {
    /// Which event loop, instead of the configuration's.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(RUNTIME_KINDS))]
    runtime: Option<String>,
    /// How many event loops, instead of the configuration's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(WORKERS))]
    workers: Option<u64>,
}

/// The whole program: reads the arguments of the process, does what they say and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    ExitCode::from(match arguments.command {
        None => help(),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Check(arguments)) => check::check(&arguments),
        Some(Command::Latency(arguments)) => latency::latency(&arguments),
        Some(Command::Top(arguments)) => top::top(&arguments),
        Some(Command::Audit(arguments)) => audit::audit(&arguments),
        Some(Command::Demo(arguments)) => demo::demo(&arguments),
        Some(Command::Doctor(arguments)) => doctor::doctor(&arguments),
    })
}

/// The command line as clap knows it, for the manual page.
pub fn command() -> clap::Command {
    Arguments::command()
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        if let Some(kind) = &self.runtime {
            config.runtime.kind.clone_from(kind);
        }
        if let Some(workers) = self.workers {
            config.runtime.workers = workers as usize;
        }
    }
}

/// Help and version are what was asked for; all else is a mistake. Clap's own code for that, 2, is not ours.
fn usage(error: &clap::Error) -> ExitCode {
    // With nowhere to print to, the exit code is all that is left to say.
    let _ = error.print();
    if error.kind() == ErrorKind::MissingRequiredArgument {
        eprint!("\n{FIRST_STEPS}");
    }
    ExitCode::from(if error.use_stderr() { EXIT_FAILURE } else { EXIT_OK })
}

/// Without a command it teaches, in the colours of the terminal.
fn help() -> u8 {
    // As with `usage`: there is nothing to say without a place to say it.
    let _ = command().print_help();
    EXIT_OK
}

/// Prints to standard output. A reader that left early, such as `head`, is no failure.
fn print(text: &dyn Display) -> u8 {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        _ => EXIT_OK,
    }
}

/// Says on standard error why it failed.
fn fail(error: &io::Error) -> u8 {
    notice(format_args!("{error}"));
    EXIT_FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_stronger_than_the_file() {
        let mut config = load::text(DEMO_CONFIGURATION, "demo.toml").unwrap();
        let arguments = ["ringway", "demo", "--runtime", "threads", "--workers", "3"];
        let Ok(Arguments { command: Some(Command::Demo(demo)) }) = Arguments::try_parse_from(arguments)
        else {
            panic!("{arguments:?} is a good command line")
        };
        demo.overrides.apply(&mut config);
        assert_eq!((config.runtime.kind.as_str(), config.runtime.workers), ("threads", 3));
    }

    #[test]
    fn clap_finds_no_fault_with_the_command_line() {
        command().debug_assert();
    }
}
