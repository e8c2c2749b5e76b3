//! Allow lists of system calls, and programs that run under them as they do in a container.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};
use serde_json::{Value, json};

/// Tells this test program that it is to become another one, and under which filter: JSON.
const BECOME: &str = "RINGWAY_TEST_BECOME";

/// The system calls that a program may make, and what it is told of all others.
#[derive(Clone)]
pub(crate) struct Filter {
    pub(crate) allowed: BTreeSet<String>,
    pub(crate) errno: i32,
}

impl Filter {
    /// An allow list without these.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let is_left = |name: &&String| !names.contains(&name.as_str());
        Self { allowed: self.allowed.iter().filter(is_left).cloned().collect(), errno: self.errno }
    }

    /// A command that puts itself under the filter and then becomes the program, in the same process: what a container's
    /// runtime does. Its standard output begins with lines of the test harness.
    pub(crate) fn command(&self, program: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let order = json!({ "filter": self.to_json(), "program": program });
        command
            .args(["--exact", "--ignored", "--nocapture", "filter::becomes_another_program"])
            .env(BECOME, order.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// In the language of the compiler, without the names that this architecture does not have.
    fn to_json(&self) -> Value {
        let known: Vec<Value> = self
            .allowed
            .iter()
            .filter(|name| is_known(name))
            .map(|name| json!({ "syscall": name }))
            .collect();
        rules(&json!(known), self.errno)
    }
}

fn rules(names: &Value, errno: i32) -> Value {
    json!({ "program": { "mismatch_action": { "errno": errno }, "match_action": "allow", "filter": names } })
}

/// Whether this architecture has a system call of this name.
pub(crate) fn is_known(name: &str) -> bool {
    compile(&rules(&json!([{ "syscall": name }]), 1)).is_ok()
}

fn compile(rules: &Value) -> Result<BpfProgram, seccompiler::Error> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let mut programs = compile_from_json(Cursor::new(rules.to_string()), architecture)?;
    Ok(programs.remove("program").unwrap())
}

/// No test: the launcher that [`Filter::command`] starts. The filter is this thread's, and whatever it becomes keeps it.
#[test]
#[ignore = "started by the tests, with an order of what to become"]
fn becomes_another_program() {
    // Somebody runs all tests, the ignored ones too.
    let Ok(order) = std::env::var(BECOME) else { return };
    let order: Value = serde_json::from_str(&order).unwrap();
    let program: Vec<&str> =
        order["program"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).env_remove(BECOME);
    apply_filter(&compile(&order["filter"]).unwrap()).unwrap();
    panic!("{program:?} could not be started: {}", command.exec());
}
