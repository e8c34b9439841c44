//! Ways out through the file system.

use anyhow::Result;
use serde_json::json;

use super::Cage;

/// Words of a refused path. WASI says `not-permitted` or `access`; a path that is not there from the inside is `no-entry`.
const SHUT: [&str; 6] = [
    "not-permitted",
    "not permitted",
    "permission",
    "access",
    "denied",
    "no-entry",
];

/// A cage with a secret beside the workspace.
async fn cage() -> Result<Cage> {
    let cage = Cage::new("").await?;
    std::fs::write(cage.node.outside().join("secret"), "the secret")?;
    Ok(cage)
}

#[tokio::test(flavor = "multi_thread")]
async fn dot_dot_does_not_leave_the_workspace() -> Result<()> {
    let cage = cage().await?;
    for path in [
        "../secret",
        "a/../../secret",
        "./../secret",
        "../../../../../../etc/passwd",
    ] {
        cage.refuses("open", json!({"path": path}), &SHUT).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_paths_do_not_leave_the_workspace() -> Result<()> {
    let cage = cage().await?;
    let secret = cage.node.outside().join("secret");
    for path in ["/etc/passwd", "/proc/self/environ", &secret.display().to_string()] {
        cage.refuses("open", json!({"path": path}), &SHUT).await?;
        cage.refuses(
            "open_absolute",
            json!({"path": path}),
            &[
                "no such file",
                "no-entry",
                "capab",
                "pre-opened",
                "not found",
                "denied",
                "permi",
            ],
        )
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn links_to_the_outside_are_not_followed() -> Result<()> {
    let cage = cage().await?;
    let secret = cage.node.outside().join("secret").display().to_string();
    for (number, target) in ["../secret", &secret, "/proc/self/root/etc/passwd"].iter().enumerate() {
        cage.refuses(
            "symlink",
            json!({"target": target, "name": format!("guest-{number}")}),
            &SHUT,
        )
        .await?;
        // planted by somebody else on this machine
        std::os::unix::fs::symlink(target, cage.node.workspace().join(format!("planted-{number}")))?;
        cage.refuses("open", json!({"path": format!("planted-{number}")}), &SHUT)
            .await?;
        cage.refuses(
            "write",
            json!({"path": format!("planted-{number}"), "text": "x"}),
            &SHUT,
        )
        .await?;
    }
    std::os::unix::fs::symlink("..", cage.node.workspace().join("up"))?;
    cage.refuses("open", json!({"path": "up/secret"}), &SHUT).await?;
    cage.refuses("list", json!({"path": "up"}), &SHUT).await?;
    assert_eq!(std::fs::read_to_string(&secret)?, "the secret");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_links_and_renames_do_not_reach_out() -> Result<()> {
    let cage = cage().await?;
    let secret = cage.node.outside().join("secret").display().to_string();
    for target in ["../secret", &secret] {
        cage.refuses("hard_link", json!({"target": target}), &SHUT).await?;
    }
    std::fs::write(cage.node.workspace().join("mine"), "mine")?;
    cage.refuses("rename", json!({"from": "mine", "to": "../stolen"}), &SHUT)
        .await?;
    cage.refuses("rename", json!({"from": "../secret", "to": "stolen"}), &SHUT)
        .await?;
    assert!(!cage.node.outside().join("stolen").exists());
    assert_eq!(std::fs::read_to_string(&secret)?, "the secret");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn proc_is_not_there() -> Result<()> {
    let cage = cage().await?;
    for path in [
        "/proc/self/environ",
        "/proc/1/root",
        "../../../proc/self/mem",
        "/dev/mem",
        "/sys/kernel",
    ] {
        cage.refuses("open", json!({"path": path}), &SHUT).await?;
    }
    Ok(())
}

/// One call swaps a directory for a link to the outside while another opens files through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rename_race_does_not_slip_through() -> Result<()> {
    let cage = cage().await?;
    let outside = cage.node.outside();
    std::fs::write(outside.join("race-secret"), "the secret")?;
    let swap = cage.try_to(
        "race_swap",
        json!({"target": outside.display().to_string(), "rounds": 2_000}),
    );
    let relative = cage.try_to("race_swap", json!({"target": "..", "rounds": 2_000}));
    let open = cage.try_to("race_open", json!({"path": "race-secret", "rounds": 5_000}));
    let (swapped, relative, opened) = tokio::try_join!(swap, relative, open)?;
    assert!(swapped.success && relative.success, "{swapped:?} {relative:?}");
    assert_eq!(opened.result["escaped"], false, "{opened:?}");
    cage.is_unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_quota_holds() -> Result<()> {
    let cage = cage().await?;
    cage.refuses(
        "fill_disk",
        json!({"bytes": 64 << 20}),
        &["quota", "insufficient", "space"],
    )
    .await?;
    cage.refuses(
        "sparse_file",
        json!({"mebibytes": 1_024}),
        &["quota", "insufficient", "space", "large"],
    )
    .await?;
    let mut held = 0;
    for entry in std::fs::read_dir(cage.node.workspace())? {
        held += entry?.metadata()?.len();
    }
    assert!(held <= 4 << 20, "{held} bytes in a directory of 4 MiB");
    Ok(())
}
