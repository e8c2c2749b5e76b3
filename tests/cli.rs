//! The command line as its users meet it: exit codes, help, errors, and the manual page.
//!
//! `UPDATE=1 cargo test --test cli` writes the manual page anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ringway::cli::{DEMO_CONFIGURATION, EXIT_CONFIG, EXIT_FAILURE, EXIT_OK};
use ringway::config::RUNTIME_KINDS;

struct Ran {
    code: u8,
    stdout: String,
    stderr: String,
}

fn ringway(arguments: &[&str]) -> Ran {
    let output = command(arguments).output().unwrap();
    let Output { status, stdout, stderr } = output;
    Ran {
        code: status.code().unwrap().try_into().unwrap(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configuration"));
    command
}

/// A configuration in a folder of its own.
fn written(bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ringway.toml");
    fs::write(&path, bytes).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn without_arguments_it_teaches() {
    let ran = ringway(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (EXIT_OK, ""));
    for part in ["ringway demo ", "ringway check ringway.toml", "Exit codes:", "78", "--version"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}

#[test]
fn help_and_version_are_no_failure() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["run", "--help"],
        &["check", "--help"],
        &["demo", "-h"],
        &["doctor", "-h"],
    ] {
        let ran = ringway(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (EXIT_OK, ""), "{arguments:?}");
        assert!(ran.stdout.contains("Usage:"), "{arguments:?}");
    }
    let version = ringway(&["--version"]);
    assert_eq!((version.code, version.stdout), (EXIT_OK, format!("ringway {}\n", env!("CARGO_PKG_VERSION"))));
    // As it is broken into lines.
    let help = ringway(&["run", "--help"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&RUNTIME_KINDS.join(", ")), "{help}");
}

#[test]
fn a_wrong_command_line_is_a_failure_with_a_hint() {
    for (arguments, says) in [
        (&["chekc"][..], "'check'"),
        (&["run"], "--config <FILE>"),
        (&["run"], "ringway demo --print-config > ringway.toml"),
        (&["check"], "<FILE>"),
        (&["run", "--confg", "x"], "'--config'"),
        (&["run", "--config", "a.toml", "b.toml"], "cannot be used with"),
        (&["demo", "--runtime", "rings"], "'ring'"),
        (&["demo", "--runtime", "epoll"], "possible values: auto"),
        (&["demo", "--workers", "0"], "1..=1024"),
        (&["demo", "--workers", "many"], "invalid"),
    ] {
        let ran = ringway(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (EXIT_FAILURE, ""), "{arguments:?}");
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn check_prints_the_whole_configuration_and_takes_it_again() {
    let first = ringway(&["check", "valid/minimal.toml"]);
    assert_eq!((first.code, first.stderr.as_str()), (EXIT_OK, ""));
    assert!(first.stdout.contains("first-byte = \"1m\""), "{}", first.stdout);
    let (_folder, path) = written(&first.stdout);
    let second = ringway(&["check", &path]);
    assert_eq!((second.code, second.stdout, second.stderr.as_str()), (EXIT_OK, first.stdout, ""));
}

#[test]
fn check_prints_warnings_beside_it() {
    let ran = ringway(&["check", "valid/warnings.toml"]);
    assert_eq!(ran.code, EXIT_OK);
    assert!(
        ran.stderr.starts_with("warning: valid/warnings.toml:5: route[1].strip-prefix: "),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("[runtime]"));
}

#[test]
fn every_error_is_printed_and_counted() {
    const PATH: &str = "invalid/ten-at-once.toml";
    for arguments in [&["check", PATH][..], &["run", "--config", PATH], &["run", PATH]] {
        let ran = ringway(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (EXIT_CONFIG, ""));
        assert_eq!(ran.stderr.lines().count(), 11, "{}", ran.stderr);
        assert!(ran.stderr.starts_with("invalid/ten-at-once.toml:3: runtime.kind: "), "{}", ran.stderr);
        assert!(ran.stderr.ends_with("\ninvalid/ten-at-once.toml: 10 problems\n"), "{}", ran.stderr);
    }
    let one = ringway(&["check", "invalid/no-backends.toml"]);
    assert!(one.stderr.ends_with("\ninvalid/no-backends.toml: 1 problem\n"), "{}", one.stderr);
}

#[test]
fn a_file_that_cannot_be_read_is_a_bad_configuration() {
    let (_folder, latin1) = written(b"# one\n# \xe9\n");
    for (path, says) in [
        ("none.toml", "none.toml: cannot read the configuration: No such file"),
        ("valid", "valid: cannot read the configuration: Is a directory"),
        (&latin1, "ringway.toml:2: not valid TOML: a byte that is not UTF-8"),
    ] {
        for arguments in [&["check", path][..], &["run", "--config", path]] {
            let ran = ringway(arguments);
            assert_eq!((ran.code, ran.stdout.as_str()), (EXIT_CONFIG, ""), "{path}");
            assert!(ran.stderr.contains(says), "{}", ran.stderr);
        }
    }
}

#[test]
fn the_configuration_of_the_demo_is_printed_as_it_is_and_is_good() {
    let printed = ringway(&["demo", "--print-config"]);
    assert_eq!((printed.code, printed.stdout.as_str()), (EXIT_OK, DEMO_CONFIGURATION));
    let (_folder, path) = written(DEMO_CONFIGURATION);
    let checked = ringway(&["check", &path]);
    assert_eq!((checked.code, checked.stderr.as_str()), (EXIT_OK, ""));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child =
        command(&["demo", "--print-config"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

/// On whatever machine: the page and the exit code agree, and both forms say the same.
#[test]
fn doctor_says_what_auto_takes() {
    let page = ringway(&["doctor"]);
    let json = ringway(&["doctor", "--json"]);
    assert_eq!((page.stderr.as_str(), json.stderr.as_str()), ("", ""));
    let found: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let auto = found["auto"]["runtime"].as_str().unwrap();
    assert!(page.stdout.contains(&format!("`auto` takes the runtime {auto}")), "{}", page.stdout);
    let is_best = found["runtimes"][0]["name"] == auto;
    assert_eq!(
        (found["ok"].as_bool(), page.code == EXIT_OK, json.code == EXIT_OK),
        (Some(is_best), is_best, is_best)
    );
    for runtime in ringway::runtime::RUNTIMES {
        let said =
            found["runtimes"].as_array().unwrap().iter().find(|said| said["name"] == runtime.name).unwrap();
        assert_eq!(said["available"].as_bool(), Some((runtime.check)(1).is_ok()), "{said}");
        assert!(page.stdout.contains(&format!("\n {} ", runtime.name)), "{}", page.stdout);
    }
}

/// The keys are a promise to whoever reads them.
#[test]
fn the_keys_of_doctors_json_stay() {
    let found: serde_json::Value = serde_json::from_str(&ringway(&["doctor", "--json"]).stdout).unwrap();
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&found), "auto changes machine ok runtimes version");
    assert_eq!(keys(&found["auto"]), "reasons runtime");
    assert_eq!(
        keys(&found["machine"]),
        "architecture cores descriptors io_uring_disabled kernel locked_memory_bytes seccomp_filter"
    );
    assert_eq!(keys(&found["machine"]["descriptors"]), "hard soft");
    assert_eq!(keys(&found["runtimes"][0]), "about available features name permits why");
    let features = found["runtimes"][0]["features"].as_array().unwrap();
    features.iter().for_each(|feature| assert_eq!(keys(feature), "change name need outcome purpose why"));
}

/// One page for all: the sections that clap_mangen makes, the options of each subcommand, and what the help teaches.
fn manual() -> String {
    let command = ringway::cli::command().version(None);
    let page = clap_mangen::Man::new(command.clone());
    let mut roff = ".TH RINGWAY 1 \"\" ringway\n.ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n".to_owned();
    roff += &section(|out| page.render_name_section(out));
    roff += &section(|out| page.render_synopsis_section(out));
    for subcommand in command.get_subcommands() {
        let title = format!("ringway {}", subcommand.get_name());
        let part = clap_mangen::Man::new(subcommand.clone().bin_name(&title));
        roff += &format!(".SH {}\n", title.to_uppercase());
        roff += &section(|out| part.render_synopsis_section(out)).replace(".SH SYNOPSIS\n", "");
        roff += &section(|out| part.render_description_section(out)).replace(".SH DESCRIPTION", ".PP");
        roff += &section(|out| part.render_options_section(out)).replace(".SH ", ".SS ");
    }
    for taught in command.get_after_help().unwrap().to_string().split("\n\n") {
        let (title, text) = taught.split_once(":\n").unwrap();
        let text = text.replace('\\', "\\\\").replace('-', "\\-");
        roff += &format!(".SH {}\n.nf\n{text}\n.fi\n", title.to_uppercase());
    }
    roff
}

/// One section without the preamble that clap_mangen puts before each.
fn section(render: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut roff = Vec::new();
    render(&mut roff).unwrap();
    let text = String::from_utf8(roff).unwrap();
    let is_preamble = |line: &&str| line.starts_with(".ie ") || line.starts_with(".el ");
    text.lines().filter(|line| !is_preamble(line)).map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The page is that of a build with all runtimes.
#[cfg(feature = "ring")]
#[test]
fn the_manual_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ringway.1");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, manual()).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(there, manual(), "\ndocs/ringway.1 differs: UPDATE=1 writes it anew");
}
