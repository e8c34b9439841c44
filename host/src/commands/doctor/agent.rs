//! The agent of this data directory, where there is one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use venom_agent::{AgentFile, AgentFileError, Client, RealDisk, TokenFile};

use super::{Check, network};
use crate::client::NexusClient;
use crate::commands::agent::find_process;
use crate::data_dir::DataDir;
use crate::failure::chain;
use crate::settings::ClientSettings;

const REGISTER: &str = "register it again: `venom-host agent register --force ...`";

/// Its settings, its token, its process, and its nexus.
pub(crate) async fn check(data: &DataDir) -> Vec<Check> {
    let name = "agent";
    let file = match AgentFile::read(&data.0) {
        Ok(file) => file,
        Err(AgentFileError::Absent { .. }) => return vec![Check::skip(name, "this data directory is no agent")],
        Err(error) => {
            let what = format!("{}: {}", data.agent_file().display(), chain(&error));
            return vec![Check::fail(name, what, "repair it, or register again with --force")];
        }
    };
    let mut checks = vec![process(&file, data)];
    let token = token(data);
    checks.push(match &token {
        Ok(_) => Check::ok("agent token", "only this user can read it"),
        Err(check) => check.clone(),
    });
    checks.extend(nexus(&file, token.ok(), data).await);
    checks
}

fn process(file: &AgentFile, data: &DataDir) -> Check {
    let who = format!("{} of {}", file.name, file.site_name);
    match find_process(&data.agent_pid()) {
        Ok(Some(agent)) => Check::ok("agent", format!("{who} runs (pid {})", agent.pid)),
        Ok(None) => Check::warn(
            "agent",
            format!("{who} does not run"),
            "start it: `venom-host agent start`",
        ),
        Err(failure) => Check::fail("agent", failure.summary(), "look who uses this data directory"),
    }
}

fn token(data: &DataDir) -> Result<TokenFile, Check> {
    let name = "agent token";
    let path = data.agent_token();
    if mode(&path).is_some_and(|mode| mode & 0o077 != 0) {
        let help = format!("chmod go-rwx {}; it may be known: {REGISTER}", path.display());
        return Err(Check::fail(name, format!("others can read {}", path.display()), help));
    }
    TokenFile::open(&data.0, Arc::new(RealDisk)).map_err(|error| Check::fail(name, chain(&error), REGISTER))
}

fn mode(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.permissions().mode())
}

/// Whether the agent's nexus is there and knows it, and whether their clocks agree.
async fn nexus(file: &AgentFile, token: Option<TokenFile>, data: &DataDir) -> Vec<Check> {
    let name = "agent's nexus";
    let client = match Client::new(&file.nexus, file.pin, file.ca_file.as_deref()) {
        Ok(client) => client,
        Err(error) => {
            return vec![Check::fail(
                name,
                chain(&error),
                "repair nexus, pin and ca_file in agent.toml",
            )];
        }
    };
    let Some(token) = token else {
        return vec![Check::skip(name, "not asked: there is no token to show")];
    };
    let nexus = &file.nexus;
    let asked = client.with_token(token.current().clone()).commands().await;
    let answer = match asked {
        Ok(_) => Check::ok(name, format!("{nexus} knows this agent")),
        Err(error) if error.status() == Some(reqwest::StatusCode::FORBIDDEN) => Check::warn(
            name,
            format!("{nexus} has this agent wait for approval"),
            format!("an operator runs `venom-host agent approve {}`", file.agent_id),
        ),
        Err(error) if error.is_token_refused() => Check::fail(
            name,
            format!("{nexus} does not know its token: {}", chain(&error)),
            REGISTER,
        ),
        Err(error) => Check::fail(
            name,
            format!("{nexus}: {}", chain(&error)),
            "check the address, and that this machine may reach it; what the agent sees is kept meanwhile",
        ),
    };
    let mut checks = vec![answer];
    // a pinned nexus has no certificate this client would trust, and the time of day is no secret worth a second way
    if file.pin.is_none() {
        let settings = ClientSettings {
            nexus: nexus.trim_end_matches('/').to_owned(),
            token: None,
            ca_file: file.ca_file.clone(),
        };
        if let Ok(client) = NexusClient::new(&settings, data)
            && let Ok(hello) = client.hello().await
        {
            checks.push(network::skew("agent's clock", &hello));
        }
    }
    checks
}
