//! `packaging/compose.yaml`: every path in it is followed, and it fits the image and its configuration.

use std::path::Path;
use std::process::Command;

use saphyr::{LoadableYamlNode as _, Yaml};

use crate::containerfile::{is_here, port, stages};

const COMPOSE: &str = "packaging/compose.yaml";

fn document<'a>(text: &'a str) -> Yaml<'a> {
    Yaml::load_from_str(text).unwrap().remove(0)
}

/// The strings of a list.
fn strings<'a>(node: &'a Yaml<'_>) -> Vec<&'a str> {
    node.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// Where the file's paths begin.
fn folder() -> std::path::PathBuf {
    crate::project(COMPOSE).parent().map(Path::to_owned).unwrap()
}

/// The names of the services.
fn services<'a>(compose: &'a Yaml<'_>) -> Vec<&'a str> {
    compose["services"].as_mapping().unwrap().keys().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn every_service_is_built_from_a_stage_that_is_there() {
    let text = crate::read(COMPOSE);
    let compose = document(&text);
    let names: Vec<String> = stages().into_iter().map(|stage| stage.name).collect();
    assert_eq!(services(&compose).len(), 3);
    for service in services(&compose) {
        let build = &compose["services"][service]["build"];
        let context = folder().join(build["context"].as_str().unwrap());
        assert!(is_here(&context, build["dockerfile"].as_str().unwrap()), "{service}");
        assert!(names.iter().any(|name| name == build["target"].as_str().unwrap()), "{service}");
    }
}

#[test]
fn every_service_has_few_rights() {
    let text = crate::read(COMPOSE);
    let compose = document(&text);
    for service in services(&compose) {
        let node = &compose["services"][service];
        assert_eq!(strings(&node["cap_drop"]), ["ALL"], "{service}");
        assert_eq!(node["read_only"].as_bool(), Some(true), "{service}");
        assert!(strings(&node["security_opt"]).contains(&"no-new-privileges:true"), "{service}");
    }
}

#[test]
fn the_profile_and_the_configuration_are_where_it_says() {
    let text = crate::read(COMPOSE);
    let compose = document(&text);
    let proxy = &compose["services"]["ringway"];
    let options = strings(&proxy["security_opt"]);
    let profile = options.iter().find_map(|option| option.strip_prefix("seccomp=")).unwrap();
    assert_eq!(folder().join(profile), crate::project("packaging/seccomp.json"));
    assert!(folder().join(profile).exists());
    let mounts: Vec<Vec<&str>> =
        strings(&proxy["volumes"]).into_iter().map(|volume| volume.split(':').collect()).collect();
    let [source, target, "ro"] = mounts[0][..] else { panic!("{mounts:?}") };
    assert!(folder().join(source).is_file(), "{source}");
    assert!(stages().last().unwrap().all("CMD")[0].contains(target), "{target}");
}

#[test]
fn it_leads_to_the_listener_and_the_backends_of_the_configuration() {
    let text = crate::read(COMPOSE);
    let compose = document(&text);
    let config = crate::checked(&crate::project("packaging/ringway.toml"));
    let published = port(strings(&compose["services"]["ringway"]["ports"])[0]);
    assert_eq!(published, port(config["listener"][0]["address"].as_str().unwrap()));
    let backends = stages().into_iter().find(|stage| stage.name == "backends").unwrap();
    let exposed: Vec<u16> = backends.all("EXPOSE")[0].split(' ').map(|port| port.parse().unwrap()).collect();
    let address = |service: &str| compose["services"][service]["networks"]["inside"]["ipv4_address"].as_str();
    let given: Vec<&str> = ["one", "two"].map(|service| address(service).unwrap()).into();
    let wanted: Vec<&str> = config["upstream"][0]["backends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backend| backend.as_str().unwrap_or_else(|| backend["address"].as_str().unwrap()))
        .collect();
    assert!(wanted.iter().all(|backend| exposed.contains(&port(backend))), "{wanted:?}");
    assert_eq!(wanted.iter().map(|backend| backend.split(':').next().unwrap()).collect::<Vec<_>>(), given);
}

#[test]
fn it_waits_for_the_drain_and_gives_what_is_needed() {
    let text = crate::read(COMPOSE);
    let compose = document(&text);
    let proxy = &compose["services"]["ringway"];
    let config = crate::checked(&crate::project("packaging/ringway.toml"));
    let drain = config["timeouts"]["drain"].as_str().map(crate::seconds).unwrap();
    let grace = proxy["stop_grace_period"].as_str().map(crate::seconds).unwrap();
    assert!(grace > drain + crate::LOG_SECONDS, "{grace} s to stop, {drain} s to drain");
    let limit = |name: &str| proxy["ulimits"][name]["hard"].as_integer().unwrap();
    assert!((limit("nofile") - 256) / 2 >= 10_000);
    assert!(limit("memlock") >= 8 << 20);
}

#[test]
fn compose_itself_takes_it() {
    let help = Command::new("docker").args(["compose", "version"]).output();
    if !help.is_ok_and(|output| output.status.success()) {
        return crate::skipped("docker compose config", "docker with compose is not here");
    }
    let file = crate::project(COMPOSE);
    let arguments = ["compose", "--file", file.to_str().unwrap(), "config", "-q"];
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
