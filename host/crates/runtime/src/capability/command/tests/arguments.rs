//! What is refused before anything starts.

use super::*;

fn with(name: &str, args: &[&str]) -> CommandGrant {
    CommandGrant {
        args: args.iter().map(ToString::to_string).collect(),
        ..grant(name)
    }
}

#[tokio::test]
async fn granted_programs_run() {
    let place = Place::new(Access::Ro);
    let echoed = place
        .run(with("echo", &["<text>"]), &["a b", "$HOME;ls"])
        .await
        .unwrap();
    assert_eq!(
        (text(&echoed.output), echoed.exit_code),
        ("a b $HOME;ls\n".to_owned(), Some(0))
    );
    let listed = place
        .run(with("ls", &["-1", "<path>"]), &["-1", "/work"])
        .await
        .unwrap();
    assert_eq!(text(&listed.output), "file\nsub\n");
    let shown = place
        .run(with("cat", &["<path>"]), &["file", "/work/file", "sub/../file"])
        .await
        .unwrap();
    assert_eq!(text(&shown.output), "inside\n".repeat(3));
    let failed = place.run(with("cat", &["<path>"]), &["none"]).await.unwrap();
    assert_eq!(
        (failed.exit_code, failed.signal, failed.output.len()),
        (Some(1), None, 0)
    );
    assert!(text(&failed.errors).contains("No such file"));
}

#[tokio::test]
async fn input_reaches_the_program_and_is_not_needed() {
    let place = Place::new(Access::Ro);
    let mut ask = request("cat", &[]);
    // more than a pipe holds, there and back
    ask.input = vec![b'x'; 200_000];
    let answer = place.ask(grant("cat"), ask.clone()).await.unwrap();
    assert_eq!((answer.output.len(), answer.truncated), (200_000, false));
    ask.program = "echo".to_owned();
    assert_eq!(place.ask(grant("echo"), ask).await.unwrap().exit_code, Some(0));
}

#[tokio::test]
async fn an_unknown_program_is_refused_with_what_is_granted_and_what_to_write() {
    let place = Place::new(Access::Ro);
    for program in ["rm", "/bin/cat", "", "cat "] {
        let refusal = refused(place.ask(grant("cat"), request(program, &["-r", "/work"])).await);
        assert_eq!((refusal.capability, refusal.target.as_str()), ("command", program));
        assert!(refusal.reason.contains("granted: cat"), "{refusal}");
        assert_eq!(
            refusal.missing_grant,
            format!("[[skills.Skill.commands]]\nname = {program:?}\nargs = [\"-r\", \"/work\"]")
        );
    }
}

#[tokio::test]
async fn arguments_outside_the_patterns_are_refused() {
    let place = Place::new(Access::Ro);
    std::os::unix::fs::symlink("../secret", place.home().join("out")).unwrap();
    let secret = place.secret().display().to_string();
    for (args, argument) in [
        (vec![], "x"),
        (vec!["-l"], "-la"),
        (vec!["<path>"], "-exec"),
        (vec!["<path>", "-l"], "--recursive"),
        (vec!["<text>"], "-exec"),
        (vec!["<int>"], "1x"),
        (vec!["<path>"], "../secret"),
        (vec!["<path>"], "/etc/shadow"),
        (vec!["<path>"], secret.as_str()),
        (vec!["<path>"], "/work/../secret"),
        (vec!["<path>"], "out"),
        (vec!["--file=<path>"], "--file=../secret"),
        (vec!["**"], "nul\0byte"),
    ] {
        let refusal = refused(place.run(with("ls", &args), &[argument]).await);
        assert_eq!(refusal.capability, "command", "{args:?} {argument}");
    }
    let refusal = refused(place.run(with("ls", &["-l"]), &["-R"]).await);
    assert!(
        refusal.reason.contains("fits none of the granted patterns (-l)"),
        "{refusal}"
    );
    assert_eq!(
        refusal.missing_grant,
        "[[skills.Skill.commands]]\nname = \"ls\"\nargs = [\"-l\", \"-R\"]"
    );
}

#[tokio::test]
async fn a_path_behind_an_option_is_checked_and_translated() {
    let place = Place::new(Access::Ro);
    let listed = place
        .run(with("wc", &["--files0-from=<path>"]), &["--files0-from=/work/none"])
        .await
        .unwrap();
    let complaint = text(&listed.errors);
    assert!(
        complaint.contains(&place.home().join("none").display().to_string()),
        "{complaint}"
    );
}

#[tokio::test]
async fn the_environment_is_empty_but_for_granted_keys() {
    // cargo and nextest fill this process's environment; none of it may show
    assert!(std::env::vars().count() > 5);
    let place = Place::new(Access::Ro);
    let mut ask = request("env", &[]);
    let plain = place.ask(grant("env"), ask.clone()).await.unwrap();
    let sorted = |output: &[u8]| {
        let mut lines: Vec<String> = text(output).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let fixed = ["LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin"];
    assert_eq!(sorted(&plain.output), fixed);

    ask.environment = vec![("TZ".to_owned(), "UTC".to_owned())];
    let refusal = refused(place.ask(grant("env"), ask.clone()).await);
    assert_eq!(
        refusal.missing_grant,
        "[[skills.Skill.commands]]\nname = \"env\"\nenv = [\"TZ\"]"
    );
    let granting = CommandGrant {
        env: vec!["TZ".to_owned()],
        ..grant("env")
    };
    let given = place.ask(granting.clone(), ask.clone()).await.unwrap();
    assert_eq!(sorted(&given.output), [fixed[0], fixed[1], "TZ=UTC"]);
    ask.environment = vec![("TZ".to_owned(), "U\0C".to_owned())];
    refused(place.ask(granting, ask).await);
}

#[tokio::test]
async fn a_program_runs_where_it_was_granted() {
    let place = Place::new(Access::Ro);
    let mut ask = request("pwd", &[]);
    let line = |output: CommandOutput| PathBuf::from(text(&output.output).trim_end());
    assert_eq!(line(place.ask(grant("pwd"), ask.clone()).await.unwrap()), place.home());
    ask.directory = "/work/sub".to_owned();
    assert_eq!(
        line(place.ask(grant("pwd"), ask.clone()).await.unwrap()),
        place.home().join("sub")
    );
    for directory in ["/etc", "/work/..", "/work/none", "/work/file"] {
        ask.directory = directory.to_owned();
        refused(place.ask(grant("pwd"), ask.clone()).await);
    }
}

#[tokio::test]
async fn without_a_directory_it_runs_in_an_empty_private_one_that_goes_with_it() {
    let place = Place::new(Access::Rw);
    let homeless = |program: CommandGrant| CommandGrant {
        directory: None,
        ..program
    };
    let listed = place
        .run(homeless(shell()), &["-c", "pwd; ls -A; cd .. && ls"])
        .await
        .unwrap();
    let output = text(&listed.output);
    let directory = PathBuf::from(output.trim_end());
    assert!(
        directory.is_absolute() && !directory.starts_with(place.home()),
        "{output}"
    );
    assert!(!directory.exists(), "{output}");
    assert!(text(&listed.errors).contains("Permission denied"), "{listed:?}");
    assert_ne!(
        place.run(homeless(grant("touch")), &["new"]).await.unwrap().exit_code,
        Some(0)
    );
}
