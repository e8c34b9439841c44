//! The escape suite: `HostileSkill` tries every way out, on a real spore, called over REST. Each way is refused with
//! its reason, the spore is unharmed, and its next call works.

mod commands;
mod exhaustion;
mod files;
mod network;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use venom_tests::{Answer, Client, Node, SkillName, TestHive, hostile};

/// A hive with one spore that runs `HostileSkill` beside `EchoSkill`.
struct Cage {
    _hive: TestHive,
    node: Node,
    client: Client,
}

impl Cage {
    /// `policy` is TOML below `[skills.HostileSkill]`, which has its workspace at `/work` already.
    async fn new(policy: &str) -> Result<Self> {
        let hive = TestHive::with_tasks().await?;
        let node = hive.node()?.skill(SkillName::Hostile).skill(SkillName::Echo);
        let node = node.grant(|workspace| hostile(workspace, policy)).start().await?;
        let client = hive.client()?;
        Ok(Self {
            _hive: hive,
            node,
            client,
        })
    }

    async fn try_to(&self, method: &str, parameters: Value) -> Result<Answer> {
        self.client
            .call(self.node.id, &format!("HostileSkill.{method}"), parameters)
            .await
    }

    /// The attempt ends with the host's words, which contain one of `reasons`.
    async fn refuses(&self, method: &str, parameters: Value, reasons: &[&str]) -> Result<String> {
        let answer = self.try_to(method, parameters.clone()).await?;
        let why = if answer.success {
            ensure!(
                answer.result["escaped"] == false,
                "{method} {parameters} escaped: {}",
                answer.result
            );
            answer.result["detail"].as_str().unwrap_or_default().to_owned()
        } else {
            answer.why().to_owned()
        };
        let named = reasons.iter().any(|reason| why.to_lowercase().contains(reason));
        ensure!(named, "{method} {parameters}: `{why}` names none of {reasons:?}");
        self.is_unharmed().await.with_context(|| format!("after {method}"))?;
        Ok(why)
    }

    /// The host ends the call with this error code, in words that contain `reason`.
    async fn ends(&self, method: &str, parameters: Value, code: &str, reason: &str) -> Result<()> {
        let answer = self.try_to(method, parameters).await?;
        ensure!(!answer.success, "{method} succeeded: {}", answer.result);
        ensure!(answer.code() == code, "{method}: {} {}", answer.code(), answer.why());
        ensure!(
            answer.why().contains(reason),
            "{method}: `{}` does not say `{reason}`",
            answer.why()
        );
        ensure!(
            answer.why().contains("HostileSkill"),
            "{method}: `{}` does not name the skill",
            answer.why()
        );
        self.is_unharmed().await.with_context(|| format!("after {method}"))
    }

    /// Both the skill that tried and its neighbour answer.
    async fn is_unharmed(&self) -> Result<()> {
        let again = self
            .client
            .call(self.node.id, "HostileSkill.sleep", json!({"milliseconds": 0}))
            .await?;
        ensure!(again.success, "{again:?}");
        let neighbour = self
            .client
            .call(self.node.id, "EchoSkill.say", json!({"text": "well"}))
            .await?;
        ensure!(neighbour.result == "well", "{neighbour:?}");
        Ok(())
    }
}
