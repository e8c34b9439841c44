//! The nexus's part: the enrolment of one agent, and whether it is heard of.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, sleep};
use venom_protocol::{AgentStatus, AgentView, CreateEnrolment, EnrolmentCreated, EnrolmentView};

use crate::client::{NexusClient, Trouble};
use crate::failure::Failure;
use crate::settings::Secret;

/// A token that lies around unused is good for this long.
const GOOD_FOR: u64 = 900;
/// Time between two looks at the agent.
const PAUSE: Duration = Duration::from_millis(500);

/// How the agent gets in.
#[derive(Debug)]
pub(super) struct Enrolment {
    /// For `agent register`.
    pub string: Secret,
    /// Of the enrolment that was made for this; `None`: it was given.
    pub id: Option<String>,
}

/// Has the nexus make an enrolment for one agent.
pub(super) async fn enrol(
    client: &NexusClient,
    host: &str,
    site: Option<&str>,
    tags: &[String],
) -> Result<Enrolment, Failure> {
    let ask = CreateEnrolment {
        name: format!("provision {host}"),
        site_name: site.unwrap_or("default").to_owned(),
        location: None,
        tags: tags.to_vec(),
        uses: 1,
        expires_in: GOOD_FOR,
        approval: false,
    };
    let made: EnrolmentCreated = client.post("/api/v1/enrolments", &ask, Duration::ZERO).await?;
    Ok(Enrolment {
        string: Secret::new(super::target::enrol_string(&made.enrol)?),
        id: Some(made.enrolment.id),
    })
}

/// Withdraws what was made and may not have been used.
pub(super) async fn withdraw(client: &NexusClient, id: &str) -> Result<(), Failure> {
    let id = path_part(id)?;
    let _: EnrolmentView = client.delete(&format!("/api/v1/enrolments/{id}")).await?;
    Ok(())
}

/// Deregisters an agent that was registered in vain; one that never was is fine.
pub(super) async fn deregister(client: &NexusClient, id: &str) -> Result<(), Failure> {
    let path = format!("/api/agents/{}", path_part(id)?);
    let asked = client.ask::<serde_json::Value>(reqwest::Method::DELETE, &path, None::<&()>, Duration::ZERO);
    match asked.await {
        Err(trouble) if trouble.status == Some(StatusCode::NOT_FOUND) => Ok(()),
        asked => Ok(asked.map(drop)?),
    }
}

/// An agent as the nexus sees it; `None` when it knows none of that id.
pub(super) async fn agent(client: &NexusClient, id: &str) -> Result<Option<AgentView>, Trouble> {
    let path = format!("/api/agents/{}", path_part(id)?);
    match client
        .ask(reqwest::Method::GET, &path, None::<&()>, Duration::ZERO)
        .await
    {
        Ok(agent) => Ok(Some(agent)),
        Err(trouble) if trouble.status == Some(StatusCode::NOT_FOUND) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// Waits until the nexus has heard of the agent since `before`. Answers whether an operator must approve it. A nexus that does not answer
/// meanwhile is asked on.
pub(super) async fn wait_online(
    client: &NexusClient,
    id: &str,
    before: Option<&AgentView>,
    patience: Duration,
) -> Result<bool, Failure> {
    let heard_before = before.and_then(|agent| agent.last_seen);
    let deadline = Instant::now() + patience;
    loop {
        let seen = match agent(client, id).await {
            Err(trouble) if trouble.may_pass() && Instant::now() < deadline => {
                sleep(PAUSE).await;
                continue;
            }
            seen => seen?,
        };
        if let Some(agent) = &seen {
            let is_new = agent.last_seen.is_some() && agent.last_seen != heard_before;
            if is_new && (agent.status == AgentStatus::Online || !agent.approved) {
                return Ok(!agent.approved);
            }
        }
        if Instant::now() >= deadline {
            let waited = patience.as_secs();
            return Err(match seen {
                None => Failure::new(format!("the nexus knows no agent {id}"))
                    .because("the agent there is registered with another nexus")
                    .help("name that nexus with --nexus URL, or remove the registration there first"),
                Some(agent) => Failure::new(format!("the agent did not come online within {waited} s"))
                    .because(format!("the nexus sees it as {}", agent.status.as_str()))
                    .help("see that the machine reaches the nexus; --wait gives it longer"),
            });
        }
        sleep(PAUSE).await;
    }
}

/// The host of an enrol string, when it is one that only this machine reaches.
pub(super) fn loopback_host(enrol: &str) -> Option<String> {
    let url = reqwest::Url::parse(&enrol.replacen("venom://", "http://", 1)).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    is_loopback(&host).then_some(host)
}

/// Whether a host is this machine and no other.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Ids go into paths as they are, so they may hold nothing that means something there.
fn path_part(id: &str) -> Result<&str, Failure> {
    match id.parse::<venom_protocol::AgentId>() {
        Ok(_) => Ok(id),
        Err(error) => Err(Failure::new("that is no id").because(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nexus_that_only_this_machine_reaches_is_seen() {
        for (enrol, host) in [
            ("venom://127.0.0.1:8000/?token=T", Some("127.0.0.1")),
            ("venom://localhost:8000/?token=T", Some("localhost")),
            ("venom://[::1]:8000/?token=T", Some("::1")),
            ("venom://10.0.0.5:8000/?token=T", None),
            ("venom://nexus.example/?token=T&tls=1", None),
        ] {
            assert_eq!(loopback_host(enrol).as_deref(), host, "{enrol}");
        }
    }

    #[test]
    fn ids_that_would_change_a_path_are_refused() {
        assert!(path_part("6fa459ea-ee8a-4ca4-894e-db77e160355e").is_ok());
        for bad in ["", "a/b", "..?x", "a#b", "%2e"] {
            assert!(path_part(bad).is_err(), "{bad}");
        }
    }
}
