//! Ways to use something up: time, memory, stack, handles, the host's patience.

use anyhow::Result;
use serde_json::json;

use super::Cage;

#[tokio::test(flavor = "multi_thread")]
async fn endless_loops_are_ended_by_the_cpu_budget() -> Result<()> {
    let cage = Cage::new("budgets = { cpu = '200ms' }").await?;
    for method in ["spin", "spin_on_host"] {
        cage.ends(method, json!({}), "limit_exceeded", "`cpu`").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_sleeps_for_ever_is_ended_by_the_wall() -> Result<()> {
    let cage = Cage::new("budgets = { wall = '300ms' }").await?;
    for (method, parameters) in [("nap_forever", json!({})), ("sleep", json!({"milliseconds": 60_000}))] {
        let answer = cage
            .client
            .execute(cage.node.id, &format!("HostileSkill.{method}"), parameters, 30.0)
            .await?;
        assert_eq!(answer.status, 504, "{}", answer.body);
        assert!(answer.detail().contains("`wall`"), "{}", answer.body);
        cage.is_unharmed().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_bomb_is_held_at_its_budget() -> Result<()> {
    let cage = Cage::new("budgets = { memory = '16 MiB' }").await?;
    cage.refuses("memory_bomb", json!({"mebibytes": 1_024}), &["memory"])
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_is_a_trap_and_no_crash() -> Result<()> {
    // which of its two stacks ends first is the compiler's choice, so the words differ
    Cage::new("")
        .await?
        .ends("recurse", json!({}), "trapped", "trapped")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_aborts_and_exits_end_their_call_only() -> Result<()> {
    let cage = Cage::new("").await?;
    cage.ends("panic", json!({"message": "on purpose"}), "trapped", "on purpose")
        .await?;
    cage.ends("abort", json!({}), "trapped", "abort").await?;
    for code in [0, 1] {
        let answer = cage.try_to("exit", json!({"code": code})).await?;
        assert!(!answer.success, "{answer:?}");
        cage.is_unharmed().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_are_bounded() -> Result<()> {
    let cage = Cage::new("budgets = { handles = 50 }").await?;
    cage.refuses("handle_bomb", json!({"count": 100_000}), &["handles"])
        .await?;
    cage.refuses("pollable_bomb", json!({"count": 100_000}), &["handles"])
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_bounded() -> Result<()> {
    let cage = Cage::new("budgets = { output_bytes = '64 KiB' }").await?;
    cage.ends(
        "result_flood",
        json!({"bytes": 10 << 20}),
        "limit_exceeded",
        "`output_bytes`",
    )
    .await?;
    cage.refuses("partial_flood", json!({"count": 10_000}), &["output_bytes"])
        .await?;
    Ok(())
}

/// Lines over the budget are dropped and counted; none of it ends the call or fills the host's memory.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_prints_and_log_lines_are_swallowed() -> Result<()> {
    let cage = Cage::new("budgets = { log_lines = 10 }").await?;
    for (method, parameters) in [
        ("print_flood", json!({"bytes": 10 << 20})),
        ("print_endless_line", json!({"bytes": 10 << 20})),
        ("log_flood", json!({"lines": 50_000})),
    ] {
        let answer = cage.try_to(method, parameters).await?;
        assert!(answer.success, "{method}: {answer:?}");
        cage.is_unharmed().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn host_calls_and_random_bytes_are_bounded() -> Result<()> {
    let cage = Cage::new("budgets = { host_call_bytes = '64 KiB', random_bytes = '64 KiB' }").await?;
    cage.refuses("log_huge", json!({"bytes": 10 << 20}), &["host_call_bytes"])
        .await?;
    cage.refuses("random_flood", json!({"bytes": 10 << 20}), &["random_bytes"])
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_and_hive_are_refused_without_a_grant_and_bounded_with_one() -> Result<()> {
    let without = Cage::new("").await?;
    without.refuses("cache_flood", json!({"count": 1}), &["cache"]).await?;
    let flood = json!({"skill": "EchoSkill", "method": "noop", "count": 1});
    without.refuses("hive_flood", flood, &["hive"]).await?;

    let with =
        Cage::new("cache = { quota = '16 KiB' }\nhive = ['EchoSkill.noop']\nbudgets = { submissions = 5 }").await?;
    with.refuses("cache_flood", json!({"count": 100_000}), &["quota"])
        .await?;
    with.refuses("cache_bomb", json!({"bytes": 1 << 20}), &["quota"])
        .await?;
    let flood = json!({"skill": "EchoSkill", "method": "noop", "count": 50});
    with.refuses("hive_flood", flood, &["submissions"]).await?;
    let few = with
        .try_to(
            "hive_flood",
            json!({"skill": "EchoSkill", "method": "noop", "count": 5}),
        )
        .await?;
    assert_eq!(few.result["escaped"], true, "the granted way is open: {few:?}");
    let other = json!({"skill": "EchoSkill", "method": "sleep", "count": 1});
    with.refuses("hive_flood", other, &["hive"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_attacks_at_once_leave_the_spore_as_it_was() -> Result<()> {
    let cage = Cage::new("budgets = { cpu = '100ms', memory = '16 MiB' }").await?;
    let attacks = ["spin", "recurse", "panic", "abort"];
    let calls = (0..200).map(|number| cage.try_to(attacks[number % attacks.len()], json!({})));
    for answer in futures_util::future::try_join_all(calls).await? {
        assert!(!answer.success, "{answer:?}");
    }
    cage.is_unharmed().await
}
