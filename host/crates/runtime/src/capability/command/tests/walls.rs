//! What a program cannot do once it runs, whatever its arguments say. Every grant here says `**`.

use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;

use tokio::net::TcpListener;

use super::*;

/// Runs `cat` on a path nobody checks.
async fn cat(place: &Place, path: &str) -> CommandOutput {
    place.run(grant("cat"), &[path]).await.unwrap()
}

#[tokio::test]
async fn files_outside_are_not_readable() {
    let place = Place::new(Access::Rw);
    symlink(place.secret(), place.home().join("link")).unwrap();
    let secret = place.secret().display().to_string();
    for path in [
        "/etc/shadow",
        "/etc/passwd",
        "/proc/1/environ",
        "/proc/self/environ",
        &secret,
        "../secret",
        "link",
    ] {
        let output = cat(&place, path).await;
        assert_eq!((output.exit_code, output.output.len()), (Some(1), 0), "{path}");
        assert!(text(&output.errors).contains("Permission denied"), "{path}: {output:?}");
    }
    let listed = place.run(grant("ls"), &[".."]).await.unwrap();
    assert!(
        listed.output.is_empty() && text(&listed.errors).contains("Permission denied"),
        "{listed:?}"
    );
}

#[tokio::test]
async fn a_hard_link_inside_is_the_file_itself() {
    let place = Place::new(Access::Ro);
    std::fs::hard_link(place.secret(), place.home().join("hard")).unwrap();
    // as documented: whoever put it there granted it. A program cannot make one (below).
    assert_eq!(text(&cat(&place, "hard").await.output), "TOP SECRET\n");
    let place = Place::new(Access::Rw);
    let secret = place.secret().display().to_string();
    assert_ne!(
        place.run(grant("ln"), &[&secret, "hard"]).await.unwrap().exit_code,
        Some(0)
    );
    assert!(!place.home().join("hard").exists());
}

#[tokio::test]
async fn read_only_means_read_only_and_rw_means_this_directory() {
    for (access, code) in [(Access::Ro, Some(1)), (Access::Rw, Some(0))] {
        let place = Place::new(access);
        assert_eq!(place.run(grant("touch"), &["new"]).await.unwrap().exit_code, code);
        assert_eq!(place.run(grant("mkdir"), &["dir"]).await.unwrap().exit_code, code);
        assert_eq!(place.run(grant("rm"), &["file"]).await.unwrap().exit_code, code);
        assert_eq!(place.home().join("file").exists(), access == Access::Ro);
        let outside = place.root.path().join("new").display().to_string();
        assert_eq!(place.run(grant("touch"), &[&outside]).await.unwrap().exit_code, Some(1));
        assert_eq!(place.run(grant("rm"), &["../secret"]).await.unwrap().exit_code, Some(1));
        assert_eq!(place.run(grant("mkfifo"), &["pipe"]).await.unwrap().exit_code, Some(1));
    }
}

#[tokio::test]
async fn further_directories_are_readable_only_when_granted() {
    let place = Place::new(Access::Ro);
    let granting = CommandGrant {
        read: vec![place.root.path().to_owned()],
        ..grant("cat")
    };
    assert_eq!(
        text(&place.run(granting.clone(), &["../secret"]).await.unwrap().output),
        "TOP SECRET\n"
    );
    let writing = CommandGrant {
        read: granting.read,
        ..grant("touch")
    };
    assert_eq!(place.run(writing, &["../new"]).await.unwrap().exit_code, Some(1));
}

#[tokio::test]
async fn one_program_starts_no_other() {
    let place = Place::new(Access::Ro);
    let alone = CommandGrant {
        subprocesses: false,
        ..shell()
    };
    for line in [
        "ls & wait",
        "ls; true",
        "exec ls",
        "(true)",
        "echo $(true)",
        ":(){ :|:& };:",
    ] {
        let output = place.run(alone.clone(), &["-c", line]).await.unwrap();
        assert_ne!(output.exit_code, Some(0), "{line}: {output:?}");
        assert!(!text(&output.output).contains("file"), "{line}: {output:?}");
    }
    assert_eq!(text(&place.shell("ls & wait").await.output), "file\nsub\n");
}

#[tokio::test]
async fn no_sockets_without_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let place = Place::new(Access::Ro);
    let talk = format!("echo hello >/dev/tcp/{}/{}", address.ip(), address.port());
    for line in [talk.as_str(), "echo hello >/dev/udp/127.0.0.1/9"] {
        let output = place.run(grant("bash"), &["-c", line]).await.unwrap();
        assert_ne!(output.exit_code, Some(0), "{output:?}");
        assert!(text(&output.errors).contains("Operation not permitted"), "{output:?}");
    }
    let granting = CommandGrant {
        network: true,
        ..grant("bash")
    };
    let arguments = ["-c", talk.as_str()];
    let (output, accepted) = tokio::join!(place.run(granting, &arguments), listener.accept());
    assert_eq!(output.unwrap().exit_code, Some(0));
    assert!(accepted.is_ok());
}

#[tokio::test]
async fn files_stop_growing_at_the_limit() {
    let place = Place::new(Access::Rw);
    let write = ["if=/dev/zero", "of=big", "bs=1000", "count=100"];
    let limited = |size| CommandGrant {
        file_size: ByteSize::b(size),
        ..grant("dd")
    };
    let cut = place.run(limited(20_000), &write).await.unwrap();
    assert_ne!(cut.exit_code, Some(0), "{cut:?}");
    assert_eq!(std::fs::metadata(place.home().join("big")).unwrap().len(), 20_000);
    let whole = place.run(limited(100_000), &write).await.unwrap();
    assert_eq!(whole.exit_code, Some(0), "{whole:?}");
}

#[tokio::test]
async fn memory_stops_growing_at_the_limit() {
    let place = Place::new(Access::Ro);
    let allocate = ["if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"];
    let limited = |memory| CommandGrant { memory, ..grant("dd") };
    let refused = place.run(limited(ByteSize::mib(64)), &allocate).await.unwrap();
    assert_ne!(refused.exit_code, Some(0), "{refused:?}");
    let allowed = place.run(limited(ByteSize::mib(256)), &allocate).await.unwrap();
    assert_eq!(allowed.exit_code, Some(0), "{allowed:?}");
}

/// The lines of `/proc/self/<file>` as the program itself sees them.
async fn own(file: &str, place: &Place) -> String {
    let granting = CommandGrant {
        read: vec!["/proc".into()],
        timeout: Duration::from_secs(30),
        ..grant("cat")
    };
    text(
        &place
            .run(granting, &[&format!("/proc/self/{file}")])
            .await
            .unwrap()
            .output,
    )
}

#[tokio::test]
async fn a_program_has_no_privileges() {
    let place = Place::new(Access::Ro);
    let status = own("status", &place).await;
    let value = |key: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(
        (value("NoNewPrivs:"), value("Seccomp:")),
        ("1".to_owned(), "2".to_owned())
    );
    let dac_override_and_fowner = 0b1010;
    let capabilities = u64::from_str_radix(&value("CapEff:"), 16).unwrap();
    assert_eq!(capabilities & !dac_override_and_fowner, 0, "{capabilities:x}");
    let permitted = u64::from_str_radix(&value("CapPrm:"), 16).unwrap();
    assert_eq!(permitted & !dac_override_and_fowner, 0, "{permitted:x}");
}

#[tokio::test]
async fn a_program_has_limits() {
    let limits = own("limits", &Place::new(Access::Ro)).await;
    for (name, most) in [
        ("Max cpu time", "31"),
        ("Max open files", "256"),
        ("Max core file size", "0"),
        ("Max processes", "0"),
        ("Max address space", "536870912"),
        ("Max file size", "67108864"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let columns: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(columns[..2], [most, most], "{name}");
    }
}

#[tokio::test]
async fn the_kernel_s_back_doors_are_shut() {
    let place = Place::new(Access::Rw);
    for line in [
        "unshare --user true",
        "unshare --net true",
        "mount -t tmpfs none sub",
        "unshare --root=. true",
        "hostname x",
    ] {
        let output = place.shell(line).await;
        assert_ne!(output.exit_code, Some(0), "{line}: {output:?}");
        assert_ne!(output.exit_code, Some(127), "{line}: not on this machine");
    }
}

#[tokio::test]
async fn signals_do_not_reach_the_spore() {
    let place = Place::new(Access::Ro);
    let me = std::process::id();
    let output = place.shell(&format!("kill -0 {me}")).await;
    assert_ne!(output.exit_code, Some(0), "{output:?}");
    assert_eq!(place.shell("sleep 1000 & kill $!").await.exit_code, Some(0));
}

#[tokio::test]
async fn inherited_descriptors_do_not_reach_the_program() {
    let place = Place::new(Access::Ro);
    let secret = std::fs::File::open(place.secret()).unwrap();
    // unlike std's own, this copy has no close-on-exec flag, as if the spore had been started with it
    let leaky = rustix::io::dup(&secret).unwrap();
    let granting = CommandGrant {
        subprocesses: true,
        ..grant("bash")
    };
    let line = format!("cat <&{}", leaky.as_raw_fd());
    let output = place.run(granting, &["-c", &line]).await.unwrap();
    assert!(
        output.output.is_empty() && text(&output.errors).contains("Bad file descriptor"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_system_without_seccomp_runs_only_what_may_run_so() {
    let place = Place::new(Access::Ro);
    let run_with = async |confinement| {
        let granting = CommandGrant {
            confinement,
            ..grant("echo")
        };
        let grants = place.grants(granting).without_seccomp();
        let limits = CommandLimits { remaining: LONG };
        run(&grants, request("echo", &["hi"]), limits, &CancellationToken::new()).await
    };
    let refusal = refused(run_with(Confinement::Required).await);
    assert!(refusal.reason.contains("lacks seccomp"), "{refusal}");
    assert!(
        refusal.missing_grant.ends_with("confinement = \"best-effort\""),
        "{refusal}"
    );
    let output = run_with(Confinement::BestEffort).await.unwrap();
    assert_eq!(text(&output.output), "hi\n");
}

#[tokio::test]
async fn a_granted_path_is_what_runs() {
    let place = Place::new(Access::Ro);
    let granting = CommandGrant {
        path: Some("/bin/echo".into()),
        ..grant("say")
    };
    assert_eq!(text(&place.run(granting, &["hi"]).await.unwrap().output), "hi\n");
}
