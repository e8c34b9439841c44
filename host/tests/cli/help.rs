//! The help of every command: each has an example, and the words change only on purpose.

use crate::home::Home;

const COMMANDS: [&str; 22] = [
    "",
    "init",
    "nexus",
    "spore",
    "run",
    "exec",
    "skill",
    "skill new",
    "skill build",
    "skill inspect",
    "skill list",
    "key",
    "key new",
    "key show",
    "key rotate",
    "bundle",
    "bundle pack",
    "bundle sign",
    "bundle verify",
    "bundle inspect",
    "nodes",
    "doctor",
];

const UPDATES: [&str; 23] = [
    "bundle publish",
    "bundle push",
    "bundle pull",
    "host",
    "host sign",
    "host verify",
    "host apply",
    "release",
    "release create",
    "release sign",
    "release publish",
    "release status",
    "release list",
    "release pause",
    "release resume",
    "release abort",
    "release revert",
    "release approve",
    "root",
    "root show",
    "root new",
    "root sign",
    "root publish",
];

const FLEET: [&str; 25] = [
    "agent",
    "agent register",
    "agent start",
    "agent stop",
    "agent status",
    "agent run-now",
    "agent outbox",
    "agent outbox list",
    "agent outbox retry",
    "agent outbox drop-dead",
    "agent list",
    "agent show",
    "agent approve",
    "agent remove",
    "agent scan",
    "enrol",
    "enrol create",
    "enrol list",
    "enrol revoke",
    "sites",
    "assets",
    "findings",
    "findings accept",
    "findings false-positive",
    "findings reopen",
];

const MORE: [&str; 19] = [
    "discover",
    "provision",
    "audit",
    "audit verify",
    "audit show",
    "nodes list",
    "nodes show",
    "nodes drain",
    "completions",
    "task",
    "task submit",
    "task get",
    "task list",
    "task watch",
    "task cancel",
    "task requeue",
    "task queues",
    "task group",
    "map",
];

#[test]
fn every_command_has_help_with_an_example() {
    let home = Home::new();
    let mut all = String::new();
    for command in COMMANDS.into_iter().chain(MORE).chain(UPDATES).chain(FLEET) {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let help = home.run(&args).fine();
        assert!(help.contains("venom-host"), "{command}");
        assert!(
            help.contains("Example") || command.is_empty(),
            "`{command}` has no example"
        );
        all.push_str(&format!("==== venom-host {command}\n{help}\n"));
    }
    insta::assert_snapshot!("help", all);
}

#[test]
fn completions_name_the_commands() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]).fine();
        assert!(script.contains("doctor") && script.contains("venom-host"), "{shell}");
    }
}

#[test]
fn version_is_printed() {
    assert_eq!(
        Home::new().run(&["--version"]).fine(),
        concat!("venom-host ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn no_colour_where_nobody_sees_it() {
    let said = Home::new().run(&["run", "NoSuch.method"]);
    assert!(!said.err.contains('\u{1b}'), "{:?}", said.err);
}
