//! Grants that cannot work are found when the skill is loaded.

use std::os::unix::fs::PermissionsExt;

use bytesize::ByteSize;
use venom_bundle::capability::Confinement;

use super::*;

fn grant(name: &str) -> CommandGrant {
    CommandGrant {
        name: name.to_owned(),
        path: None,
        args: Vec::new(),
        directory: None,
        env: Vec::new(),
        output: ByteSize::kib(1),
        timeout: Duration::from_secs(1),
        memory: ByteSize::mib(512),
        file_size: ByteSize::mib(1),
        subprocesses: false,
        network: false,
        read: Vec::new(),
        confinement: Confinement::Required,
    }
}

fn problem(grants: &[CommandGrant], fs: &[FsGrant]) -> String {
    let errors = CommandGrants::resolve("Skill", grants, fs).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

#[test]
fn broken_grants_say_what_is_wrong() {
    let bad = [
        (
            CommandGrant {
                name: String::new(),
                ..grant("")
            },
            "`name`",
        ),
        (grant("no-such-program"), "no such program"),
        (
            CommandGrant {
                path: Some("bin/cat".into()),
                ..grant("cat")
            },
            "must be absolute",
        ),
        (
            CommandGrant {
                args: vec!["<file>".into()],
                ..grant("cat")
            },
            "<file> is unknown",
        ),
        (
            CommandGrant {
                env: vec!["A=B".into()],
                ..grant("cat")
            },
            "A=B",
        ),
        (
            CommandGrant {
                env: vec!["LD_PRELOAD".into()],
                ..grant("cat")
            },
            "LD_PRELOAD",
        ),
        (
            CommandGrant {
                env: vec!["PATH".into()],
                ..grant("cat")
            },
            "PATH",
        ),
        (
            CommandGrant {
                read: vec!["/no/such".into()],
                ..grant("cat")
            },
            "/no/such",
        ),
        (
            CommandGrant {
                read: vec!["relative".into()],
                ..grant("cat")
            },
            "must be absolute",
        ),
        (
            CommandGrant {
                directory: Some("/work".into()),
                ..grant("cat")
            },
            "none of the skill's granted directories (none)",
        ),
    ];
    for (grant, expected) in bad {
        let said = problem(std::slice::from_ref(&grant), &[]);
        assert!(said.contains(expected), "{said}");
    }
    assert!(problem(&[grant("cat"), grant("cat")], &[]).contains("granted twice"));
}

#[test]
fn every_broken_grant_is_reported_at_once() {
    let errors = CommandGrants::resolve("Skill", &[grant("none-1"), grant("cat"), grant("none-2")], &[]).unwrap_err();
    let names: Vec<&str> = errors.iter().map(|error| error.target.as_str()).collect();
    assert_eq!(names, ["none-1", "none-2"]);
}

#[test]
fn a_program_the_skill_could_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let tool = directory.path().join("tool");
    std::fs::copy("/bin/cat", &tool).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let granting = CommandGrant {
        path: Some(tool),
        ..grant("tool")
    };
    let fs = |access| FsGrant {
        host: directory.path().to_owned(),
        guest: "/work".to_owned(),
        access,
        quota: None,
    };
    assert!(problem(std::slice::from_ref(&granting), &[fs(Access::Rw)]).contains("may write"));
    let grants = CommandGrants::resolve("Skill", &[granting], &[fs(Access::Ro)]).unwrap();
    assert_eq!(grants.names().collect::<Vec<_>>(), ["tool"]);
    assert!(!grants.is_empty());
}
