//! One run: a skill looks, and what it saw goes into the outbox. A scan that is to be looked at more closely goes to the shield skill,
//! network by network.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::{Context, parts};
use crate::journal::blocking;
use crate::outbox::BatchKind;
use crate::schedule::{SCAN_SKILL, Schedule};

/// The skill that looks at the security of what was found.
const SHIELD_SKILL: &str = "ShieldSkill";
const SHIELD_METHOD: &str = "check";

/// What a scan tries whose findings are looked at more closely: databases and the like are not among the usual few.
const SHIELD_PORTS: &str = "top100";

/// Most addresses of one call of the shield skill: each has sockets and a report.
const ADDRESSES_AT_ONCE: usize = 64;

/// Time for a run commanded by an operator.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1_800);

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub(super) skill: String,
    pub(super) method: String,
    pub(super) parameters: Map<String, Value>,
    pub(super) targets: Vec<String>,
    pub(super) shield: bool,
    pub(super) timeout: Duration,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// Sweeps.
    pub(super) discoveries: u64,
    /// What answered.
    pub(super) assets: u64,
    /// Looks at the security of what answered.
    pub(super) reports: u64,
    /// What they found.
    pub(super) findings: u64,
    /// Batches that are on their way.
    pub(super) queued: u64,
    /// What was not looked at, as the sandbox does not let it be: `192.168.1.5:8000`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left_out: Vec<String>,
    /// What went wrong beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) trouble: Vec<String>,
}

/// Most lines of trouble, and places left out, that are passed on, and the length of a line in characters.
const MOST_TROUBLE: usize = 10;
const LONGEST_TROUBLE: usize = 500;

impl Summary {
    fn note(&mut self, trouble: &str) {
        if self.trouble.len() < MOST_TROUBLE {
            self.trouble.push(trouble.chars().take(LONGEST_TROUBLE).collect());
        }
    }
}

impl Job {
    pub(super) fn of_schedule(schedule: &Schedule) -> Self {
        Self {
            skill: schedule.skill.clone(),
            method: schedule.method.clone(),
            parameters: schedule.parameters.clone(),
            targets: schedule.targets.clone(),
            shield: schedule.shield,
            timeout: schedule.timeout,
        }
    }

    /// `scan_now`, with the parameters of the command.
    pub(super) fn of_command(parameters: &Map<String, Value>) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct ScanNow {
            #[serde(default)]
            targets: Vec<String>,
            #[serde(default = "yes")]
            shield: bool,
            #[serde(default)]
            ports: Option<Value>,
        }
        fn yes() -> bool {
            true
        }
        let ask: ScanNow = serde_json::from_value(Value::Object(parameters.clone()))
            .map_err(|error| format!("the parameters of the command cannot be understood: {error}"))?;
        let usual = Schedule::new("scan_now", COMMAND_TIMEOUT);
        let ports = ask.ports.map(|ports| ("ports".to_owned(), ports));
        Ok(Self {
            parameters: ports.into_iter().collect(),
            targets: ask.targets,
            shield: ask.shield,
            timeout: COMMAND_TIMEOUT,
            ..Self::of_schedule(&usual)
        })
    }

    /// Runs it, when there is a place. The error is one line for people; what was seen before it is on its way all the same.
    pub(super) async fn run(&self, context: &Context) -> Result<Summary, String> {
        let Ok(_place) = context.runs.acquire().await else {
            return Err("the agent is going down".to_owned());
        };
        let deadline = Instant::now() + self.timeout;
        let mut parameters = self.parameters.clone();
        if self.shield && self.skill == SCAN_SKILL && !parameters.contains_key("ports") {
            parameters.insert("ports".to_owned(), SHIELD_PORTS.into());
        }
        let own = &context.settings.file.subnets;
        let targets = if self.targets.is_empty() { own } else { &self.targets };
        if !targets.is_empty() {
            parameters.insert("targets".to_owned(), json!(targets));
        }
        let answer = call(context, &self.skill, &self.method, Value::Object(parameters), deadline).await?;
        let (discoveries, reports) = (bodies(&answer, "discoveries"), bodies(&answer, "reports"));
        let mut summary = Summary::default();
        for discovery in discoveries {
            summary.discoveries += 1;
            summary.assets += count(discovery, "assets");
            let left_out = bodies(discovery, "left_out").iter().filter_map(Value::as_str);
            let room = MOST_TROUBLE.saturating_sub(summary.left_out.len());
            summary.left_out.extend(left_out.take(room).map(str::to_owned));
            let most = context.settings.file.outbox.largest_batch();
            for part in parts::of(discovery, usize::try_from(most).unwrap_or(usize::MAX)) {
                put(context, BatchKind::Discovery, &part, &mut summary).await;
            }
        }
        for report in reports {
            take_report(context, report.clone(), None, &mut summary).await;
        }
        if self.shield {
            for discovery in discoveries {
                shield(context, discovery, deadline, &mut summary).await;
            }
        }
        context.report_outbox();
        if summary.queued == 0 && !summary.trouble.is_empty() {
            return Err(summary.trouble.join("; "));
        }
        Ok(summary)
    }
}

/// Looks at the security of what one sweep found.
async fn shield(context: &Context, discovery: &Value, deadline: Instant, summary: &mut Summary) {
    let network = discovery
        .get("network_fingerprint")
        .filter(|network| network.is_object());
    let hash = network.and_then(|network| network.get("fingerprint_hash")?.as_str());
    let mut targets = Vec::new();
    for asset in bodies(discovery, "assets") {
        let Some(ip) = asset.get("ip").and_then(Value::as_str) else {
            continue;
        };
        let (thing, open) = (format!("{} {ip}", hash.unwrap_or_default()), open_ports(asset));
        let before = context.looked.ports(&thing).await;
        if let Some(target) = target(asset, ip, open.union(&before).copied().collect()) {
            targets.push((target, (thing, open)));
        }
    }
    for some in targets.chunks(ADDRESSES_AT_ONCE) {
        let asked: Vec<&Value> = some.iter().map(|(target, _)| target).collect();
        let ask = json!({ "targets": asked });
        let answer = call(context, SHIELD_SKILL, SHIELD_METHOD, ask, deadline).await;
        // after a failure too: a port that is not granted any more would fail every look from now on
        let things = some.iter().map(|(_, thing)| thing.clone()).collect();
        context.looked.remember(things).await;
        match answer {
            Ok(answer) => {
                for report in bodies(&answer, "reports") {
                    take_report(context, report.clone(), network, summary).await;
                }
            }
            Err(error) => {
                summary.note(&error);
                return;
            }
        }
    }
}

fn open_ports(asset: &Value) -> BTreeSet<u64> {
    let port = |port: &Value| port.as_u64().or_else(|| port.get("port")?.as_u64());
    bodies(asset, "open_ports").iter().filter_map(port).collect()
}

/// What the shield skill is told of a thing that answered; nothing, when it has no port to look at.
fn target(asset: &Value, ip: &str, ports: BTreeSet<u64>) -> Option<Value> {
    if ports.is_empty() {
        return None;
    }
    let name = asset.get("hostname").and_then(Value::as_str);
    Some(match name.filter(|name| is_name(name)) {
        Some(name) => json!({ "ip": ip, "ports": ports, "hostname": name }),
        None => json!({ "ip": ip, "ports": ports }),
    })
}

/// Whether this can be asked for as a server's name. Whoever owns a zone, or announces itself, says what it likes, and one
/// name that is none would fail the look at all others.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    // the last part of an address written with dots is a number
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(is_label) && !name.rsplit('.').next().is_some_and(is_number)
}

async fn take_report(context: &Context, mut report: Value, network: Option<&Value>, summary: &mut Summary) {
    summary.reports += 1;
    summary.findings += count(&report, "findings");
    // the same address is another thing in another network: the report says where, as the sweep did
    if let (Some(network), Some(report)) = (network, report.as_object_mut()) {
        let said = report.entry("network_fingerprint").or_insert(Value::Null);
        if said.is_null() {
            *said = network.clone();
        }
    }
    put(context, BatchKind::Shield, &report, summary).await;
}

async fn put(context: &Context, kind: BatchKind, body: &Value, summary: &mut Summary) {
    let (outbox, now) = (context.outbox.clone(), context.now());
    let body = match serde_json::to_vec(body) {
        Ok(body) => body,
        Err(error) => return summary.note(&format!("an answer cannot be written: {error}")),
    };
    match blocking(move || outbox.put(kind, &body, now)).await {
        Ok(Ok(_)) => summary.queued += 1,
        Ok(Err(error)) => {
            let error = venom_protocol::with_causes(&error);
            tracing::error!(error, "what was seen is lost");
            summary.note(&error);
        }
        Err(error) => summary.note(&format!("the outbox cannot be reached: {error}")),
    }
}

async fn call(
    context: &Context,
    skill: &str,
    method: &str,
    parameters: Value,
    deadline: Instant,
) -> Result<Value, String> {
    let left = deadline.saturating_duration_since(Instant::now());
    let slow = || format!("{skill}.{method} did not end in time");
    if left.is_zero() {
        return Err(slow());
    }
    let running = context.skills.run(skill, method, parameters, left);
    let answer = timeout_at(deadline, running).await.map_err(|_| slow())?;
    let answer = answer.map_err(|error| format!("{skill}.{method}: {error}"))?;
    // skills that answer text answer JSON in it
    match answer {
        Value::String(text) => {
            serde_json::from_str(&text).map_err(|_| format!("{skill}.{method} answered text that is no JSON"))
        }
        other => Ok(other),
    }
}

fn bodies<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn count(body: &Value, key: &str) -> u64 {
    bodies(body, key).len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_its_name_when_it_is_one() {
        let ask = |hostname: Value| target(&json!({ "hostname": hostname }), "10.0.0.1", [443].into());
        for name in ["files.example.org", "nas.local", "db_1", "a-b.c"] {
            let asked = json!({"ip": "10.0.0.1", "ports": [443], "hostname": name});
            assert_eq!(ask(json!(name)), Some(asked));
        }
        let long = "x".repeat(64);
        for odd in [
            "",
            "a b",
            "a..b",
            "x.",
            "10.0.0.1",
            "-a",
            "::1",
            "\u{e9}.example",
            "a/b",
            &long,
        ] {
            assert_eq!(
                ask(json!(odd)),
                Some(json!({"ip": "10.0.0.1", "ports": [443]})),
                "{odd}"
            );
        }
        assert_eq!(ask(Value::Null), Some(json!({"ip": "10.0.0.1", "ports": [443]})));
        assert_eq!(target(&json!({"hostname": "a.b"}), "10.0.0.1", BTreeSet::new()), None);
    }
}
