//! How a program ends: by itself, by its limits, or with the call.

use std::path::Path;

use super::*;

/// A shell that leaves a sleeper behind or waits for it, and writes the sleeper's number down.
fn sleeper(then: &str) -> String {
    format!("sleep 1000 >/dev/null 2>&1 & echo $! >pid.new; mv pid.new pid; {then}")
}

fn pid(place: &Place) -> Option<String> {
    std::fs::read_to_string(place.home().join("pid"))
        .ok()
        .map(|pid| pid.trim().to_owned())
}

/// Whether a process is there and not a zombie that init has yet to bury.
fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    status.is_ok_and(|status| !status.contains(") Z"))
}

async fn dies(place: &Place) {
    let pid = pid(place).expect("the sleeper never started");
    until("the grandchild dies", || !lives(&pid)).await;
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let place = Place::new(Access::Ro);
    let left = place.shell("exit 3").await;
    assert_eq!((left.exit_code, left.signal), (Some(3), None));
    let killed = place.shell("kill -TERM $$").await;
    assert_eq!((killed.exit_code, killed.signal), (None, Some(15)));
}

#[tokio::test]
async fn the_shortest_of_three_time_limits_holds() {
    let place = Place::new(Access::Ro);
    let short = Duration::from_millis(200);
    for (granted, asked, remaining) in [
        (short, None, LONG),
        (LONG, Some(short), LONG),
        (LONG, None, short),
        (short, Some(LONG), LONG),
    ] {
        let grants = place.grants(CommandGrant {
            timeout: granted,
            ..grant("sleep")
        });
        let mut ask = request("sleep", &["1000"]);
        ask.timeout = asked;
        let started = std::time::Instant::now();
        let ended = run(&grants, ask, CommandLimits { remaining }, &CancellationToken::new()).await;
        assert!(
            matches!(ended, Err(CommandError::TimedOut { after, .. }) if after == short),
            "{ended:?}"
        );
        assert!(started.elapsed() < LONG / 2);
    }
}

#[tokio::test]
async fn time_running_out_kills_the_whole_group() {
    let place = Place::new(Access::Rw);
    let granting = CommandGrant {
        timeout: Duration::from_secs(2),
        ..shell()
    };
    let ended = place.run(granting, &["-c", &sleeper("wait")]).await;
    assert!(matches!(ended, Err(CommandError::TimedOut { .. })), "{ended:?}");
    dies(&place).await;
}

#[tokio::test]
async fn cancelling_kills_the_whole_group() {
    let place = Place::new(Access::Rw);
    let (grants, cancel) = (place.grants(shell()), CancellationToken::new());
    let running = run(
        &grants,
        request("sh", &["-c", &sleeper("wait")]),
        CommandLimits { remaining: LONG },
        &cancel,
    );
    let watching = async {
        until("the sleeper starts", || pid(&place).is_some()).await;
        assert!(lives(&pid(&place).unwrap()));
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(running, watching);
    assert!(matches!(ended, Err(CommandError::Cancelled)), "{ended:?}");
    dies(&place).await;
}

#[tokio::test]
async fn dropping_the_future_kills_the_whole_group() {
    let place = Place::new(Access::Rw);
    let (grants, cancel) = (place.grants(shell()), CancellationToken::new());
    let running = run(
        &grants,
        request("sh", &["-c", &sleeper("wait")]),
        CommandLimits { remaining: LONG },
        &cancel,
    );
    tokio::select! {
        ended = running => panic!("ended by itself: {ended:?}"),
        () = until("the sleeper starts", || pid(&place).is_some()) => {}
    }
    dies(&place).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let place = Place::new(Access::Rw);
    assert_eq!(place.shell(&sleeper("exit 0")).await.exit_code, Some(0));
    dies(&place).await;
}

#[tokio::test]
async fn nothing_leaves_the_group() {
    let place = Place::new(Access::Rw);
    let left = place.shell("setsid true").await;
    assert!(text(&left.errors).contains("Operation not permitted"), "{left:?}");
}

#[tokio::test]
async fn output_and_errors_are_cut_at_the_cap_each() {
    let place = Place::new(Access::Ro);
    let granting = |output| CommandGrant {
        output: ByteSize::b(output),
        ..shell()
    };
    let line = "printf aaaaaaaaaa; printf bbbbbbbbbbbb >&2";
    let cut = place.run(granting(4), &["-c", line]).await.unwrap();
    assert_eq!(
        (text(&cut.output), text(&cut.errors), cut.truncated),
        ("aaaa".into(), "bbbb".into(), true)
    );
    let half = place.run(granting(10), &["-c", line]).await.unwrap();
    assert_eq!(
        (text(&half.output), text(&half.errors), half.truncated),
        ("a".repeat(10), "b".repeat(10), true)
    );
    let whole = place.run(granting(12), &["-c", line]).await.unwrap();
    assert_eq!((whole.errors.len(), whole.truncated), (12, false));
}

#[tokio::test]
async fn a_flood_fills_no_memory_and_ends() {
    let place = Place::new(Access::Ro);
    let granting = CommandGrant {
        output: ByteSize::kib(1),
        ..grant("cat")
    };
    let flooded = place.run(granting, &["/dev/zero"]).await.unwrap();
    assert_eq!(
        (flooded.output.len(), flooded.truncated, flooded.signal),
        (1_024, true, Some(9))
    );
}
