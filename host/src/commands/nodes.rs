//! `nodes`: what a nexus knows of its spores, and taking one out of service.

use std::time::Duration;

use venom_protocol::{NodeAnswer, NodeList, NodeView};

use crate::cli::{DrainArgs, ListNodesArgs, NodesCommand, ShowNodeArgs};
use crate::client::NexusClient;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::settings::{ClientSettings, Sources};

/// Runs one of the `nodes` commands.
pub(crate) async fn run(command: NodesCommand, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let nexus = match &command {
        NodesCommand::List(args) => &args.nexus,
        NodesCommand::Show(args) => &args.nexus,
        NodesCommand::Drain(args) => &args.nexus,
    };
    let client = NexusClient::new(&ClientSettings::merge(nexus.clone(), &sources)?, &data)?;
    match command {
        NodesCommand::List(args) => list(&args, &client).await,
        NodesCommand::Show(args) => show(&args, &client).await,
        NodesCommand::Drain(args) => drain(&args, &client).await,
    }
}

async fn list(args: &ListNodesArgs, client: &NexusClient) -> Result<(), Failure> {
    let list: NodeList = client
        .get(&format!("/api/v1/nodes?online_only={}", args.online))
        .await?;
    if args.json {
        return output::say_json(&list);
    }
    if list.nodes.is_empty() {
        output::note("no nodes; start one with `venom-host spore`");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = list.nodes.iter().map(row).collect();
    output::say(output::table(
        &["ID", "NAME", "STATE", "CPU", "MEMORY", "CALLS", "SKILLS", "TAGS"],
        &rows,
    ))
}

fn row(node: &NodeView) -> Vec<String> {
    vec![
        node.node_id.to_string(),
        node.node_name.clone(),
        state(node).to_owned(),
        percent(node.cpu_usage),
        percent(node.memory_usage),
        node.active_tasks.to_string(),
        node.capabilities.skills.join(","),
        node.capabilities.tags.join(","),
    ]
}

async fn show(args: &ShowNodeArgs, client: &NexusClient) -> Result<(), Failure> {
    let node = client.find_node(&args.node).await?;
    if args.json {
        return output::say_json(&node);
    }
    let has = &node.capabilities;
    let facts = [
        ("id", node.node_id.to_string()),
        ("name", node.node_name.clone()),
        ("state", state(&node).to_owned()),
        (
            "platform",
            format!("{}, {} cores, {} MiB", has.platform, has.cpu_cores, has.memory_mb),
        ),
        ("gpu", yes_no(has.has_gpu).to_owned()),
        ("docker", yes_no(has.has_docker).to_owned()),
        (
            "load",
            format!(
                "cpu {}, memory {}, {} calls",
                percent(node.cpu_usage),
                percent(node.memory_usage),
                node.active_tasks
            ),
        ),
        ("skills", has.skills.join(", ")),
        ("tags", has.tags.join(", ")),
        ("protocol", node.protocol.to_string()),
        ("registered", node.registered_at.to_string()),
        ("last heard", node.last_heartbeat.to_string()),
    ];
    let bold = output::BOLD;
    for (name, value) in facts {
        output::say(format!("{bold}{name:<11}{bold:#} {value}"))?;
    }
    Ok(())
}

async fn drain(args: &DrainArgs, client: &NexusClient) -> Result<(), Failure> {
    let node = client.find_node(&args.node).await?;
    let verb = if args.undo { "undrain" } else { "drain" };
    let path = format!("/api/v1/nodes/{}/{verb}", node.node_id);
    let answer: NodeAnswer = client.post(&path, &serde_json::json!({}), Duration::ZERO).await?;
    if args.json {
        return output::say_json(&answer);
    }
    let name = &answer.node.node_name;
    output::say(if args.undo {
        format!("{name} takes calls again")
    } else {
        format!("{name} gets no new calls; {} still run", answer.node.active_tasks)
    })
}

fn state(node: &NodeView) -> &'static str {
    match (node.is_online, node.draining) {
        (false, _) => "offline",
        (true, true) => "draining",
        (true, false) => "online",
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
