//! Queues in numbers, groups and their limits, dead letters.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use venom_protocol::{GroupLimits, GroupView, QueueStats};

use crate::cli::{GroupArgs, QueuesArgs};
use crate::client::NexusClient;
use crate::failure::Failure;
use crate::output;

/// Longest a nexus may take to put 1,000 tasks back, beyond what any answer may take.
const ROUND_LIMIT: Duration = Duration::from_secs(30);

/// Answer of `POST /api/v1/queues/dead/requeue`.
#[derive(Debug, Deserialize)]
struct Requeued {
    requeued: u64,
    left: u64,
}

/// What `task requeue --all-dead --json` prints.
#[derive(Debug, Serialize)]
struct AllRequeued {
    requeued: u64,
    left: u64,
}

/// Prints the queues.
pub(super) async fn show(args: &QueuesArgs, client: &NexusClient) -> Result<(), Failure> {
    let stats: QueueStats = client.get("/api/v1/queues").await?;
    if args.json {
        return output::say_json(&stats);
    }
    let bold = output::BOLD;
    for (name, count) in [
        ("waiting, high priority", stats.high_priority_queue),
        ("waiting, background", stats.background_queue),
        ("waiting for their time", stats.tasks_delayed),
        ("waiting for other tasks", stats.tasks_blocked),
        ("running", stats.tasks_running),
        ("completed", stats.tasks_completed),
        ("failed", stats.tasks_failed),
        ("cancelled", stats.tasks_cancelled),
        ("dead letters", stats.dead_letters),
        ("most that may wait", stats.limit),
    ] {
        output::say(format!("{bold}{name:<23}{bold:#} {count}"))?;
    }
    if stats.groups.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = stats.groups.iter().map(row).collect();
    output::say(format!(
        "\n{}",
        output::table(&["GROUP", "RUNNING", "CONCURRENCY", "RATE"], &rows)
    ))
}

fn row(group: &GroupView) -> Vec<String> {
    vec![
        group.name.clone(),
        group.running.to_string(),
        or_any(group.limits.concurrency.map(|most| most.to_string())),
        or_any(group.limits.rate.map(|rate| format!("{rate}/s"))),
    ]
}

fn or_any(limit: Option<String>) -> String {
    limit.unwrap_or_else(|| "any".to_owned())
}

/// Shows, changes or removes the limits of one group. A limit that is not named stays as it is.
pub(super) async fn group(args: &GroupArgs, client: &NexusClient) -> Result<(), Failure> {
    if args.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err(Failure::usage("a rate is tasks a second, over 0").help("--remove takes the limits away"));
    }
    let path = format!("/api/v1/queues/groups/{}", encoded(&args.name));
    let limits = if args.remove {
        client.delete(&path).await?
    } else {
        let stats: QueueStats = client.get("/api/v1/queues").await?;
        let known = stats.groups.into_iter().find(|group| group.name == args.name);
        let now = known.map(|group| group.limits).unwrap_or_default();
        if args.concurrency.is_none() && args.rate.is_none() {
            now
        } else {
            let wanted = GroupLimits {
                concurrency: args.concurrency.or(now.concurrency),
                rate: args.rate.or(now.rate),
            };
            client.put(&path, &wanted).await?
        }
    };
    if args.json {
        return output::say_json(&limits);
    }
    output::say(format!(
        "{}: {} at one time, {} begin in a second",
        args.name,
        or_any(limits.concurrency.map(|most| most.to_string())),
        or_any(limits.rate.map(|rate| rate.to_string())),
    ))
}

/// Puts every dead letter back, as many as there are now: those that fail again meanwhile would keep it busy for ever.
pub(super) async fn requeue_dead(json: bool, client: &NexusClient) -> Result<(), Failure> {
    let stats: QueueStats = client.get("/api/v1/queues").await?;
    let mut all = AllRequeued {
        requeued: 0,
        left: stats.dead_letters,
    };
    while all.left > 0 && all.requeued < stats.dead_letters {
        let path = "/api/v1/queues/dead/requeue";
        let round: Requeued = client.post(path, &serde_json::json!({}), ROUND_LIMIT).await?;
        all.requeued += round.requeued;
        all.left = round.left;
        if round.requeued == 0 {
            break;
        }
    }
    if json {
        return output::say_json(&all);
    }
    output::say(format!("{} dead letters wait again", all.requeued))
}

/// Percent-encoded for a path.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_a_path() {
        assert_eq!(encoded("nightly-1"), "nightly-1");
        assert_eq!(encoded("a/b ä.."), "a%2Fb%20%C3%A4%2E%2E");
    }
}
