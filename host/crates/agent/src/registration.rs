//! Getting in: registers with a token somebody handed over, and has the agent's own on disk before anything uses it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use venom_protocol::{RegisterAgent, Registered};

use crate::agent_file::{AgentFile, AgentFileError};
use crate::backoff::{Backoff, Tries};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::token::Token;
use crate::token_file::{TokenFile, TokenFileError};

/// Why an agent is not registered.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The nexus said no, or did not answer for too long.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The settings make no sense or cannot be written.
    #[error(transparent)]
    File(#[from] AgentFileError),
    /// The token cannot be written. It is lost; registering again gives another.
    #[error(transparent)]
    Token(#[from] TokenFileError),
    /// The nexus gave no token, or one that is none.
    #[error("the nexus registered this agent without a token of its own: it is no nexus, or one for hive clients only")]
    OddToken,
}

/// What registering works with.
#[derive(Debug)]
pub struct Enrolment<'a> {
    /// The nexus.
    pub client: &'a Client,
    /// Where `agent.toml` and `agent.token` go.
    pub data_dir: &'a Path,
    /// The token that was handed over.
    pub bearer: &'a Token,
    /// What is said beside what the settings say: host name, version, capabilities.
    pub ask: RegisterAgent,
    /// How long it is tried.
    pub patience: Duration,
    /// How long to wait between tries.
    pub backoff: Backoff,
}

impl Enrolment<'_> {
    /// Registers. Who is new has its settings on disk before the nexus is asked, so that a try that is broken off goes on with the same
    /// id; who has a token keeps what it has until the nexus said yes. The token is on disk before this returns, and the client has it
    /// then. A nexus that does not answer is asked again, with the same `agent_id` and `boot_id`: if it had registered this agent and the
    /// answer was lost, it is the same agent.
    ///
    /// # Errors
    /// When the nexus says no, does not answer in time, or the disk says no.
    pub async fn enrol(
        self,
        file: &mut AgentFile,
        disk: Arc<dyn Disk>,
        clock: &dyn Clock,
    ) -> Result<Registered, EnrolError> {
        let is_new = matches!(
            TokenFile::open(self.data_dir, Arc::clone(&disk)),
            Err(TokenFileError::Absent { .. } | TokenFileError::Shape { .. })
        );
        if is_new {
            file.write(self.data_dir)?;
        }
        let ask = RegisterAgent {
            agent_id: Some(file.agent_id.clone()),
            name: Some(file.name.clone()),
            site_name: Some(file.site_name.clone()),
            location: file.location.clone(),
            subnets: file.subnets.clone(),
            boot_id: self
                .ask
                .boot_id
                .clone()
                .or_else(|| Some(uuid::Uuid::new_v4().to_string())),
            ..self.ask.clone()
        };
        let registered = self.register(&ask).await?;
        let token = Token::new(&registered.token).map_err(|_| EnrolError::OddToken)?;
        TokenFile::create(self.data_dir, disk, token.clone(), clock.now())?;
        if !is_new || file.agent_id != registered.agent_id || file.site_name != registered.site_name {
            file.agent_id = registered.agent_id.clone();
            file.site_name.clone_from(&registered.site_name);
            file.write(self.data_dir)?;
        }
        self.client.set_token(token);
        Ok(registered)
    }

    /// An answer that was lost is asked for once more whatever the patience: the agent may be registered, and not know its token.
    async fn register(&self, ask: &RegisterAgent) -> Result<Registered, ClientError> {
        let (deadline, mut tries) = (Instant::now() + self.patience, Tries::new(self.backoff));
        loop {
            let error = match self.client.register(ask, self.bearer).await {
                Ok(registered) => return Ok(registered),
                Err(error) => error,
            };
            let is_first_loss =
                tries.failures() == 0 && matches!(error, ClientError::Unreachable { timed_out: true, .. });
            let wait = tries.wait().max(error.retry_after().unwrap_or_default());
            if !error.is_retryable() || (!is_first_loss && Instant::now() + wait >= deadline) {
                return Err(error);
            }
            tracing::warn!(%error, wait = ?wait, "not registered yet; trying again");
            tokio::time::sleep(wait).await;
        }
    }
}
