//! The development policy: what `--dev` grants, and nothing beyond the workspace. What a grant means is the bundle
//! crate's business.

use std::path::Path;
use std::time::Duration;

use venom_bundle::capability::{Access, CommandGrant, Confinement, FsGrant, Policy, SkillPolicy};

/// Where commands of the development policy are looked for: the list grants are resolved by.
const PROGRAM_DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// What `--dev` grants: `FileSkill` the workspace, `ShellSkill` harmless commands in it.
pub(crate) fn development_policy(workspace: &Path) -> Policy {
    let directory = FsGrant {
        host: workspace.to_owned(),
        guest: "/work".to_owned(),
        access: Access::Rw,
        quota: None,
    };
    let commands = DEVELOPMENT_COMMANDS
        .iter()
        .filter(|(name, _)| is_installed(name))
        .map(|(name, args)| command(name, args));
    let file = SkillPolicy {
        fs: vec![directory.clone()],
        ..SkillPolicy::default()
    };
    let shell = SkillPolicy {
        fs: vec![directory],
        commands: commands.collect(),
        ..SkillPolicy::default()
    };
    Policy {
        skills: [("FileSkill".to_owned(), file), ("ShellSkill".to_owned(), shell)].into(),
        ..Policy::default()
    }
}

/// Commands of the development policy with the arguments that read or print, and none that set a clock or a host
/// name, write elsewhere or start another program.
const DEVELOPMENT_COMMANDS: [(&str, &[&str]); 9] = [
    ("echo", &["**"]),
    ("sleep", &["<number>"]),
    ("ls", &["-*", "<path>"]),
    (
        "date",
        &[
            "+*",
            "-u",
            "--utc",
            "-R",
            "-I*",
            "--iso-8601*",
            "--rfc-3339=*",
            "--date=*",
        ],
    ),
    ("uname", &["-*"]),
    ("hostname", &["-s", "-f", "-d", "-i", "-I", "--short", "--fqdn"]),
    ("cat", &["-n", "-b", "-s", "-A", "-E", "-T", "-v", "<path>"]),
    ("wc", &["-l", "-w", "-c", "-m", "-L", "<path>"]),
    (
        "sort",
        &[
            "-n", "-r", "-u", "-f", "-h", "-b", "-g", "-V", "-s", "-nr", "-rn", "-k*", "-t*", "<path>",
        ],
    ),
];

fn is_installed(name: &str) -> bool {
    PROGRAM_DIRECTORIES
        .iter()
        .any(|directory| Path::new(directory).join(name).is_file())
}

fn command(name: &str, args: &[&str]) -> CommandGrant {
    CommandGrant {
        name: name.to_owned(),
        path: None,
        args: args.iter().map(|&pattern| pattern.to_owned()).collect(),
        directory: Some("/work".to_owned()),
        env: Vec::new(),
        output: bytesize::ByteSize::kib(256),
        timeout: Duration::from_secs(30),
        memory: bytesize::ByteSize::mib(512),
        file_size: bytesize::ByteSize::mib(64),
        subprocesses: false,
        network: false,
        read: Vec::new(),
        // A kernel without Landlock still has the argument patterns; --dev must work in any container.
        confinement: Confinement::BestEffort,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_policy_grants_only_the_workspace() {
        let policy = development_policy(Path::new("/data/workspace"));
        assert_eq!(policy.skills.keys().collect::<Vec<_>>(), ["FileSkill", "ShellSkill"]);
        for skill in policy.skills.values() {
            assert!(
                skill
                    .fs
                    .iter()
                    .all(|grant| grant.host == Path::new("/data/workspace") && grant.guest == "/work")
            );
            assert!(skill.net.is_empty() && skill.http.is_empty() && skill.dns.is_empty() && skill.secrets.is_empty());
            for command in &skill.commands {
                assert_eq!(command.directory.as_deref(), Some("/work"), "{}", command.name);
                assert!(!command.network && !command.subprocesses, "{}", command.name);
            }
        }
    }
}
