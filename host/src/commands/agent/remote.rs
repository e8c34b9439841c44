//! What an operator does with the agents of a nexus: `list`, `show`, `approve`, `remove`, `scan`.

use std::time::{Duration, Instant};

use venom_protocol::{
    AgentId, AgentList, AgentStatus, AgentView, CommandList, CommandSent, CommandStatus, CommandView, SendCommand,
};

use crate::cli::{ListAgentsArgs, OneAgentArgs, ScanArgs};
use crate::client::{NexusClient, path_with};
use crate::failure::Failure;
use crate::output;

/// Time between two looks how far a scan is.
const LOOK: Duration = Duration::from_millis(500);
/// Commands of one agent that are looked through for the one that was sent.
const COMMANDS: &str = "200";

/// `agent list`.
pub(super) async fn list(args: &ListAgentsArgs, client: &NexusClient) -> Result<(), Failure> {
    let list = all(client, args.site.as_deref()).await?;
    if args.json {
        return output::say_json(&list);
    }
    if list.agents.is_empty() {
        output::note("no agents; `venom-host enrol create --site NAME` lets the first one in");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = list.agents.iter().map(row).collect();
    output::say(output::table(
        &["ID", "NAME", "SITE", "STATE", "LAST HEARD", "VERSION", "SUBNETS"],
        &rows,
    ))
}

fn row(agent: &AgentView) -> Vec<String> {
    vec![
        agent.id.to_string(),
        agent.name.clone(),
        agent.site_name.clone(),
        state(agent).to_owned(),
        heard(agent),
        agent.version.clone().unwrap_or_default(),
        agent.subnets.join(","),
    ]
}

fn state(agent: &AgentView) -> &'static str {
    match (agent.is_active, agent.approved) {
        (false, _) => "deregistered",
        (true, false) => "waits for approval",
        (true, true) => agent.status.as_str(),
    }
}

fn heard(agent: &AgentView) -> String {
    agent.last_seen.map_or_else(|| "never".to_owned(), |at| at.to_string())
}

async fn all(client: &NexusClient, site: Option<&str>) -> Result<AgentList, Failure> {
    let mut found: Option<AgentList> = None;
    let mut cursor: Option<String> = None;
    loop {
        let query = [("site", site), ("limit", Some("1000")), ("cursor", cursor.as_deref())];
        let mut page: AgentList = client.get(&path_with("/api/agents", &query)?).await?;
        let next = page.next_cursor.take().filter(|next| Some(next) != cursor.as_ref());
        let list = match found {
            None => page,
            Some(mut list) => {
                list.agents.extend(page.agents);
                list
            }
        };
        if next.is_none() {
            return Ok(list);
        }
        (found, cursor) = (Some(list), next);
    }
}

/// An agent by id or by name. Of several with one name, a single one that is active is meant.
async fn find(client: &NexusClient, id_or_name: &str) -> Result<AgentView, Failure> {
    let list = all(client, None).await?;
    if let Some(agent) = list.agents.iter().find(|agent| agent.id.as_str() == id_or_name) {
        return Ok(agent.clone());
    }
    let mut named: Vec<&AgentView> = list.agents.iter().filter(|agent| agent.name == id_or_name).collect();
    named.sort_by_key(|agent| !agent.is_active);
    match named.as_slice() {
        [agent] => Ok((*agent).clone()),
        [first, second, ..] if first.is_active && !second.is_active => Ok((*first).clone()),
        [] => {
            let failure = Failure::new(format!("the nexus knows no agent `{id_or_name}`"));
            let names: Vec<String> = list.agents.into_iter().map(|agent| agent.name).collect();
            Err(match crate::sandbox::near(id_or_name, &names).as_slice() {
                [] => failure.help("`venom-host agent list` shows those it knows"),
                near => failure.help(format!("did you mean {}?", near.join(" or "))),
            })
        }
        _ => Err(
            Failure::new(format!("{} agents are called `{id_or_name}`", named.len()))
                .help("name the agent by its id; `venom-host agent list` shows it"),
        ),
    }
}

/// `agent show`.
pub(super) async fn show(args: &OneAgentArgs, client: &NexusClient) -> Result<(), Failure> {
    let agent = find(client, &args.agent).await?;
    if args.json {
        return output::say_json(&agent);
    }
    let mut facts = vec![
        ("id", agent.id.to_string()),
        ("name", agent.name.clone()),
        ("site", agent.site_name.clone()),
        ("location", agent.location.clone().unwrap_or_default()),
        ("state", state(&agent).to_owned()),
        ("last heard", heard(&agent)),
        ("machine", agent.hostname.clone().unwrap_or_default()),
        ("version", agent.version.clone().unwrap_or_default()),
        ("subnets", agent.subnets.join(", ")),
        ("network", agent.current_network.clone().unwrap_or_default()),
        ("tags", agent.tags.join(", ")),
        ("can do", agent.capabilities.join(", ")),
        ("registered", agent.registered_at.to_string()),
    ];
    if let Some(outbox) = agent.outbox {
        facts.push((
            "outbox",
            format!(
                "{} waiting ({} bytes), {} dropped, {} dead",
                outbox.waiting, outbox.bytes, outbox.dropped, outbox.dead
            ),
        ));
    }
    if let Some(at) = agent.clone_suspected_at {
        facts.push(("CLONE?", format!("two machines were seen with this id, last at {at}")));
    }
    let bold = output::BOLD;
    for (name, value) in facts {
        output::say(format!("{bold}{name:<11}{bold:#} {value}"))?;
    }
    Ok(())
}

/// `agent approve`.
pub(super) async fn approve(args: &OneAgentArgs, client: &NexusClient) -> Result<(), Failure> {
    let id = find(client, &args.agent).await?.id;
    let path = format!("/api/v1/agents/{id}/approve");
    let agent: AgentView = client.post(&path, &serde_json::json!({}), Duration::ZERO).await?;
    if args.json {
        return output::say_json(&agent);
    }
    output::say(format!("{} of {} is in", agent.name, agent.site_name))
}

/// `agent remove`.
pub(super) async fn remove(args: &OneAgentArgs, client: &NexusClient) -> Result<(), Failure> {
    let agent = find(client, &args.agent).await?;
    let _: serde_json::Value = client.delete(&format!("/api/agents/{}", agent.id)).await?;
    if args.json {
        return output::say_json(&serde_json::json!({ "status": "deregistered", "agent_id": agent.id }));
    }
    output::say(format!(
        "{} of {} is deregistered; what it saw stays",
        agent.name, agent.site_name
    ))
}

/// `agent scan`.
pub(super) async fn scan(args: &ScanArgs, client: &NexusClient) -> Result<(), Failure> {
    let agent = find(client, &args.agent).await?;
    let ask = SendCommand {
        targets: args.targets.clone(),
        shield: !args.no_shield,
        ..SendCommand::default()
    };
    let path = format!("/api/agents/{}/commands", agent.id);
    let sent: CommandSent = client.post(&path, &ask, Duration::ZERO).await?;
    if !args.wait {
        if args.json {
            return output::say_json(&sent);
        }
        if agent.status != AgentStatus::Online {
            output::note(format!(
                "{} is {}; it scans once it asks again",
                agent.name,
                state(&agent)
            ));
        }
        return output::say(&sent.command_id);
    }
    let ended = ended(client, &agent.id, &sent.command_id, args.timeout.0).await?;
    if args.json {
        output::say_json(&ended)?;
    } else {
        let result = ended.result.as_ref().map(ToString::to_string).unwrap_or_default();
        output::say(format!("{} {result}", ended.status.as_str()).trim_end())?;
    }
    if ended.status == CommandStatus::Completed {
        return Ok(());
    }
    if args.json {
        return Err(Failure::told());
    }
    Err(Failure::new(format!("{} could not scan", agent.name)))
}

/// The command once it has ended.
async fn ended(client: &NexusClient, agent: &AgentId, id: &str, patience: Duration) -> Result<CommandView, Failure> {
    let deadline = Instant::now() + patience;
    let path = path_with(&format!("/api/agents/{agent}/commands"), &[("limit", Some(COMMANDS))])?;
    loop {
        let list: CommandList = client.get(&path).await?;
        let command = list.commands.into_iter().find(|command| command.id == id);
        let command = command.ok_or_else(|| Failure::new(format!("the nexus no longer knows the command {id}")))?;
        if command.status.is_final() {
            return Ok(command);
        }
        if Instant::now() >= deadline {
            let stands = command.status.as_str();
            return Err(
                Failure::new(format!("the scan has not ended within {patience:?}: it is {stands}"))
                    .help("it goes on; `venom-host assets` shows what comes of it"),
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}
