//! `packaging/Containerfile`, read as a builder reads it: its sources are there, its configuration is a good one.

use std::path::Path;
use std::process::Command;

const CONTAINERFILE: &str = "packaging/Containerfile";

/// One instruction: its word and all that follows.
struct Instruction {
    word: String,
    rest: String,
}

/// A stage: what its FROM says, and the instructions up to the next one.
pub(crate) struct Stage {
    image: String,
    pub(crate) name: String,
    instructions: Vec<Instruction>,
}

impl Stage {
    /// What stands behind each instruction of this word.
    pub(crate) fn all(&self, word: &str) -> Vec<&str> {
        let is_it = |instruction: &&Instruction| instruction.word == word;
        self.instructions.iter().filter(is_it).map(|instruction| instruction.rest.as_str()).collect()
    }

    /// The only or last instruction of this word.
    fn last(&self, word: &str) -> &str {
        self.all(word).pop().unwrap_or_else(|| panic!("the stage {} has no {word}", self.name))
    }

    /// An ENTRYPOINT or CMD. The form with a shell is no JSON, and there is no shell.
    fn words(&self, word: &str) -> Vec<String> {
        serde_json::from_str(self.last(word)).unwrap()
    }
}

/// The instructions, comments left out and continued lines joined.
fn instructions() -> Vec<Instruction> {
    let text = crate::read(CONTAINERFILE);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let split = |line: &str| {
        let (word, rest) = line.trim().split_once(' ')?;
        Some(Instruction { word: word.to_owned(), rest: rest.trim().to_owned() })
    };
    lines.join("\n").replace("\\\n", " ").lines().filter_map(split).collect()
}

pub(crate) fn stages() -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions() {
        if instruction.word == "FROM" {
            let (image, name) = instruction.rest.split_once(" AS ").unwrap();
            stages.push(Stage { image: image.to_owned(), name: name.to_owned(), instructions: Vec::new() });
        } else if let Some(stage) = stages.last_mut() {
            stage.instructions.push(instruction);
        }
    }
    stages
}

/// What is copied from the project: the sources, and where they go.
fn copies(stage: &Stage) -> Vec<(Vec<String>, String)> {
    let copy = |rest: &str| {
        let mut words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
        let target = words.pop().unwrap();
        (words, target)
    };
    stage.all("COPY").into_iter().filter(|rest| !rest.starts_with("--")).map(copy).collect()
}

/// Whether `.containerignore` keeps it from the builder: the last line that speaks of it decides.
fn is_ignored(path: &str) -> bool {
    let mut is_ignored = false;
    for line in crate::read(".containerignore").lines().filter(|line| !line.starts_with('#')) {
        let (is_kept, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern));
        assert!(pattern == "*" || !pattern.contains(['*', '?', '[']), "{pattern}: no such patterns here");
        let is_meant = pattern == "*" || path == pattern || path.starts_with(&format!("{pattern}/"));
        is_ignored = if is_meant { !is_kept } else { is_ignored };
    }
    is_ignored
}

#[test]
fn what_it_copies_is_there_and_not_ignored() {
    let stages = stages();
    let sources: Vec<String> = stages.iter().flat_map(copies).flat_map(|(sources, _)| sources).collect();
    assert!(sources.len() > 3, "{sources:?}");
    for source in sources {
        assert!(crate::project(&source).exists(), "{source} is not there");
        assert!(!is_ignored(&source), "{source} is ignored");
    }
    assert!(is_ignored("target/release/ringway") && is_ignored(".git/config"));
    assert_eq!(crate::read(".dockerignore"), crate::read(".containerignore"));
}

#[test]
fn stages_copy_from_stages_before_them() {
    let stages = stages();
    for (index, stage) in stages.iter().enumerate() {
        for rest in stage.all("COPY").into_iter().filter_map(|rest| rest.strip_prefix("--from=")) {
            let from = rest.split(' ').next().unwrap();
            assert!(stages[..index].iter().any(|before| before.name == from), "{}: {from}", stage.name);
        }
        let registry = stage.image.split('/').next().unwrap();
        assert!(registry.contains('.'), "{}: say which registry, short names differ", stage.image);
    }
}

/// Cargo reads the manifests that the first stage copied, and finds everything that they name.
#[test]
fn cargo_finds_the_whole_workspace_in_what_is_copied() {
    let build = stages().remove(0);
    let directory = tempfile::tempdir().unwrap();
    for source in copies(&build).into_iter().flat_map(|(sources, _)| sources) {
        let copied = Command::new("cp").arg("-r").args([&crate::project(&source), directory.path()]).status();
        assert!(copied.unwrap().success());
    }
    // For this platform alone: crates for others need not have been fetched.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version=1"])
        .args(["--filter-platform", &platform, "--manifest-path"])
        .arg(directory.path().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let command = build.last("RUN");
    assert!(command.contains("cargo build --locked"), "{command}");
}

#[test]
fn it_is_built_with_the_oldest_rust_that_is_good_enough() {
    let manifest: toml::Table = crate::read("Cargo.toml").parse().unwrap();
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let argument =
        instructions().into_iter().find(|instruction| instruction.rest.starts_with("RUST_VERSION"));
    assert_eq!(argument.unwrap().rest, format!("RUST_VERSION={version}"));
}

#[test]
fn the_image_runs_the_proxy_on_its_configuration() {
    let stage = stages().pop().unwrap();
    assert_eq!(stage.name, "ringway", "what is built without --target");
    assert_eq!(stage.words("ENTRYPOINT"), ["/usr/bin/ringway"]);
    let command = stage.words("CMD");
    assert_eq!(command[..2], ["run", "--config"]);
    let (sources, _) = copies(&stage).into_iter().find(|(_, target)| *target == command[2]).unwrap();
    let config = crate::checked(&crate::project(&sources[0]));
    let listener = config["listener"][0]["address"].as_str().unwrap();
    assert_eq!(
        listener,
        format!("0.0.0.0:{}", stage.last("EXPOSE")),
        "reached from outside of the container"
    );
    assert!(port(listener) >= 1024, "it has no right to lower ones");
}

#[test]
fn the_image_is_an_ordinary_user_and_drains() {
    let stage = stages().pop().unwrap();
    let user: u32 = stage.last("USER").split(':').next().unwrap().parse().unwrap();
    assert_ne!(user, 0);
    assert_eq!(stage.last("STOPSIGNAL"), "SIGTERM");
    assert!(stage.all("RUN").is_empty(), "there is no shell in {}", stage.image);
}

/// The port of an address.
pub(crate) fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

/// Whether the builder would find this Containerfile in this context.
pub(crate) fn is_here(context: &Path, containerfile: &str) -> bool {
    context.join(containerfile).canonicalize().ok() == crate::project(CONTAINERFILE).canonicalize().ok()
}
