//! Ways out through programs of the machine.

use anyhow::Result;
use serde_json::json;
use venom_tests::{SkillName, TestHive, shell_skill};

use super::Cage;

const SHELL: &str = r"
[[skills.HostileSkill.commands]]
name = 'sh'
args = ['**']
directory = '/work'
confinement = 'best-effort'
timeout = '5s'
[[skills.HostileSkill.commands]]
name = 'echo'
args = ['<text>']
directory = '/work'
confinement = 'best-effort'
";

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_are_not_granted_do_not_run() -> Result<()> {
    let cage = Cage::new(SHELL).await?;
    for program in ["cat", "/bin/cat", "../bin/sh", "./sh", "sh -c id", "", "sh\u{0}x"] {
        cage.refuses(
            "command",
            json!({"program": program, "arguments": ["x"]}),
            &["command", "program"],
        )
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_outside_their_patterns_do_not_run() -> Result<()> {
    let cage = Cage::new(SHELL).await?;
    cage.refuses(
        "command",
        json!({"program": "echo", "arguments": ["--version"]}),
        &["argument"],
    )
    .await?;
    cage.refuses(
        "command",
        json!({"program": "echo", "arguments": ["a\u{0}b"]}),
        &["nul", "argument"],
    )
    .await?;
    let open = cage
        .try_to(
            "command",
            json!({"program": "echo", "arguments": ["$(id)", "; id", "`id`", "|id"]}),
        )
        .await?;
    assert!(
        open.result["detail"]
            .as_str()
            .is_some_and(|said| said.contains("$(id) ; id `id` |id")),
        "{open:?}"
    );
    Ok(())
}

/// Even a granted shell is in a cage: it sees no secrets, writes only where the grant says, and takes its children along.
#[tokio::test(flavor = "multi_thread")]
async fn a_granted_shell_sees_no_environment_of_the_host() -> Result<()> {
    let cage = Cage::new(SHELL).await?;
    let said = cage
        .try_to(
            "command",
            json!({"program": "sh", "arguments": ["-c", "export -p; echo end"]}),
        )
        .await?;
    let said = said.result["detail"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains("end"), "{said}");
    for key in ["CARGO", "HOME=/root", "USER="] {
        assert!(!said.contains(key), "{key} leaked: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_by_command_is_contained() -> Result<()> {
    let cage = Cage::new(SHELL).await?;
    let bomb = "for i in 1 2 3 4 5 6 7 8; do (sleep 600; touch survived) & done; wait";
    let answer = cage
        .try_to("command", json!({"program": "sh", "arguments": ["-c", bomb]}))
        .await?;
    let said = format!("{:?} {}", answer.result, answer.why());
    assert!(!said.contains("code Some(0)"), "it may start no processes: {said}");
    assert!(!cage.node.workspace().join("survived").exists());
    cage.is_unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_host_is_not_the_skills() -> Result<()> {
    let cage = Cage::new("").await?;
    cage.refuses("environment", json!({}), &["no variables"]).await?;
    cage.refuses("config", json!({"key": "PATH"}), &["config"]).await?;
    cage.refuses("secret", json!({"name": "TOKEN"}), &["secret"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_skill_knows_no_shell() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive.node()?.skill(SkillName::Shell).grant(shell_skill).start().await?;
    let client = hive.client()?;
    for command in [
        "echo a; id",
        "echo a && id",
        "echo a | cat",
        "echo a > out",
        "echo $HOME",
        "echo \"$HOME\"",
        "echo `id`",
        "echo $(id)",
        "cat < /etc/passwd",
        "echo a &",
        "cat /etc/passwd",
        "cat ../node_id",
        "ls --hyperlink=/etc ../..",
        "id",
        "sh -c id",
        "/bin/echo hi",
        "echo 'unclosed",
        "",
    ] {
        let answer = client
            .execute(node.id, "ShellSkill.run", json!({"command": command}), 10.0)
            .await?;
        let refused = answer.status == 400 || (answer.status == 200 && answer.body["success"] == false);
        assert!(refused, "`{command}`: {} {}", answer.status, answer.body);
        assert!(
            !answer.body.to_string().contains("root:"),
            "`{command}`: {}",
            answer.body
        );
    }
    assert!(!node.workspace().join("out").exists());
    let fine = client
        .call(node.id, "ShellSkill.run", json!({"command": "echo 'a; id'"}))
        .await?;
    assert_eq!(fine.result, json!("a; id\n"));
    Ok(())
}
