//! `scripts/sweep` before it builds and runs: whose paths it takes for what, and when it builds oha. All programs are stand-ins.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Nothing in the PATH but what the script needs; `cargo` and the sweep write down what they are called with.
struct Machine(TempDir);

impl Machine {
    fn new(programs: &[&str]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let folder = machine.0.path();
        for below in ["bin", "target/release", "elsewhere"] {
            fs::create_dir_all(folder.join(below)).unwrap();
        }
        for tool in ["bash", "dirname", "realpath"] {
            let found = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(tool));
            symlink(found.iter().find(|path| path.is_file()).unwrap(), folder.join("bin").join(tool))
                .unwrap();
        }
        let writes_down = format!("#!/bin/sh\necho \"$0 $*\" >> {}\n", machine.log().display());
        for program in ["ab", "wrk", "setpriv", "taskset", "cargo"].iter().chain(programs) {
            machine.add(&format!("bin/{program}"), &writes_down);
        }
        machine.add("target/release/ringway-bench", &writes_down);
        machine
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }

    fn add(&self, file: &str, text: &str) {
        let path = self.0.path().join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Calls the script from the folder `elsewhere`; what it said on standard error, and what was called.
    fn sweep(&self, arguments: &[&str]) -> (String, String) {
        let folder = self.0.path();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/sweep");
        let mut command = Command::new(script);
        command.args(arguments).current_dir(folder.join("elsewhere"));
        command.env("PATH", folder.join("bin")).env("CARGO_TARGET_DIR", folder.join("target"));
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), !arguments.contains(&"--quik"), "{told}");
        let called = fs::read_to_string(self.log()).unwrap();
        fs::remove_file(self.log()).unwrap();
        (told, called)
    }
}

#[test]
fn paths_are_meant_from_where_it_is_called() {
    let machine = Machine::new(&["oha"]);
    let here = machine.0.path().join("elsewhere").canonicalize().unwrap();
    let here = here.display();
    let (_, called) = machine.sweep(&["--out", "runs", "--ringway=../ringway", "--name", "a b", "--quick"]);
    let expected =
        format!("ringway-bench --out {here}/runs --ringway={here}/../ringway --name a b --quick\n");
    assert!(called.ends_with(&expected), "{called}");
    let (_, called) = machine.sweep(&["--resume", "/kept/run"]);
    assert!(called.ends_with("ringway-bench --resume /kept/run\n"), "{called}");
}

#[test]
fn oha_is_built_once_and_not_for_a_quick_run() {
    let machine = Machine::new(&[]);
    let (told, called) = machine.sweep(&["--quick"]);
    assert!(told.contains("has no open-loop part. To have it: cargo install oha "), "{told}");
    assert!(!called.contains("cargo install"), "{called}");
    for without in ["--no-open-loop", "--dry-run", "--resume=run", "--help"] {
        let (_, called) = machine.sweep(&[without]);
        assert!(!called.contains("cargo install"), "{called}");
    }
    for with in [&["--name", "all"][..], &["--quick", "--check-percentiles"]] {
        let (_, called) = machine.sweep(with);
        assert!(called.contains("cargo install oha --version 1."), "{called}");
    }
    let refuses = format!("#!/bin/sh\necho \"$0 $*\" >> {}\nexit 1\n", machine.log().display());
    machine.add("target/release/ringway-bench", &refuses);
    let (_, called) = machine.sweep(&["--quik"]);
    assert!(called.ends_with("ringway-bench --quik --dry-run\n"), "a wrong option is told first: {called}");
    machine.add("target/release/ringway-bench", "#!/bin/sh\n");
    fs::create_dir_all(machine.0.path().join("target/tools/bin")).unwrap();
    machine.add("target/tools/bin/oha", "#!/bin/sh\n");
    let (told, called) = machine.sweep(&["--quick"]);
    assert!(told.is_empty() && !called.contains("cargo install"), "{told}{called}");
}
