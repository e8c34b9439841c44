//! `agent register`: makes a data directory an agent of a nexus. The id is kept before the nexus is asked, so that the same
//! command again is the same agent, whatever was lost in between.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use venom_agent::{
    AgentFile, AgentFileError, Backoff, Client, ClientError, EnrolError, EnrolString, Enrolment, Pin, RealDisk,
    SystemClock, Token, TokenFile, TokenFileError,
};
use venom_protocol::{AgentId, RegisterAgent, Registered};

use super::trouble;
use crate::cli::RegisterArgs;
use crate::commands::init;
use crate::commands::spore::host_name;
use crate::data_dir::{DataDir, PRIVATE_DIRECTORY, make_directory};
use crate::failure::{Explain as _, Failure, chain};
use crate::output;
use crate::settings::{Secret, Sources};

/// How long a nexus is asked that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest enrol string.
const MAX_ENROL: u64 = 4 * 1024;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// `registered`, `updated` or `unchanged`.
    status: &'static str,
    agent_id: &'a AgentId,
    nexus: &'a str,
    name: &'a str,
    site_name: &'a str,
    approved: bool,
    data_dir: PathBuf,
}

/// Where to register, and with what.
struct Door {
    nexus: String,
    token: Option<Token>,
    pin: Option<Pin>,
}

/// Registers, or finds that it is.
pub(super) async fn run(args: RegisterArgs, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    let door = door(&args, sources)?;
    make_directory(&data.0, PRIVATE_DIRECTORY)?;
    init::ensure_sandbox(data)?;
    let node_id = venom_spore::node_id_in(&data.0).or_fail("this machine has no id")?;
    let own = own_token(data)?;
    let known = known(&args, &door, own.is_some(), data)?;
    let mut file = match &known {
        Some(known) => known.clone(),
        None => AgentFile::new(door.nexus.clone(), AgentId::from(node_id), host_name()),
    };
    let is_new = known.is_none();
    tell(&mut file, &args, &door, is_new)?;
    let client = Client::new(&file.nexus, file.pin, file.ca_file.as_deref()).map_err(|error| setup(&error))?;
    let own = own.filter(|_| !is_new);
    if !args.force
        && let (Some(known), Some(own)) = (&known, &own)
    {
        let client = client.clone().with_token(own.clone());
        match still_in(&client).await {
            Standing::In(approved) if *known == file => return say(&args, "unchanged", &file, approved, data),
            Standing::Unknown(why) if *known == file => {
                output::note(format!(
                    "whether the nexus still knows this agent cannot be asked now: {why}"
                ));
                return say(&args, "unchanged", &file, true, data);
            }
            Standing::In(_) => {
                let registered = register(&client, &mut file, own, data).await?;
                return say(&args, "updated", &file, registered.approved, data);
            }
            // as if it had never been in: with the token that was given
            Standing::Out | Standing::Unknown(_) => {}
        }
    }
    let Some(token) = door.token else {
        return Err(Failure::usage("a token is needed to register")
            .because("none was given with --enrol, --token or AGENT_REGISTRATION_SECRET")
            .help("an operator makes one: `venom-host enrol create --site NAME`"));
    };
    let registered = register(&client, &mut file, &token, data).await?;
    say(&args, "registered", &file, registered.approved, data)
}

fn door(args: &RegisterArgs, sources: &Sources) -> Result<Door, Failure> {
    if let Some(enrol) = &args.enrol {
        let text = match enrol.as_str() {
            "-" => from_stdin()?,
            text => text.to_owned(),
        };
        let enrol: EnrolString = text
            .trim()
            .parse()
            .map_err(|error| Failure::usage(chain(&error)).help("`venom-host enrol create --site NAME` prints one"))?;
        return Ok(Door {
            nexus: enrol.nexus_url,
            token: Some(enrol.token),
            pin: enrol.pin,
        });
    }
    let token: Option<Secret> = sources.registration_secret(args.token.clone())?;
    let token = token
        .map(|token| Token::new(token.reveal()))
        .transpose()
        .map_err(|error| Failure::usage(format!("the registration token cannot be used: {error}")))?;
    let pin = args
        .pin
        .as_deref()
        .map(str::parse::<Pin>)
        .transpose()
        .map_err(|error| Failure::usage(chain(&error)))?;
    Ok(Door {
        nexus: args.nexus.clone().unwrap_or_default().trim_end_matches('/').to_owned(),
        token,
        pin,
    })
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_ENROL).read_to_string(&mut text);
    read.or_fail("no enrol string comes from standard input")?;
    Ok(text)
}

/// The registration that is there, when it is one at the same nexus; another one is only replaced when that is asked for.
///
/// Without a token nobody was registered: what is there is what a try that failed left.
fn known(args: &RegisterArgs, door: &Door, has_token: bool, data: &DataDir) -> Result<Option<AgentFile>, Failure> {
    let known = match AgentFile::read(&data.0) {
        Ok(known) => known,
        Err(AgentFileError::Absent { .. }) => return Ok(None),
        Err(_) if args.force => return Ok(None),
        Err(error) => {
            return Err(Failure::new("the registration that is there cannot be read")
                .because(chain(&error))
                .help("repair it, or replace it with --force"));
        }
    };
    if same_nexus(&known.nexus, &door.nexus) {
        return Ok(Some(known));
    }
    if args.force || !has_token {
        return Ok(None);
    }
    Err(
        Failure::new(format!("this data directory is an agent of {} already", known.nexus))
            .because(format!(
                "{} says so, and it would be one of {} then",
                data.agent_file().display(),
                door.nexus
            ))
            .help("replace the registration with --force, or keep both: --data-dir DIR for the other one"),
    )
}

fn same_nexus(one: &str, other: &str) -> bool {
    one.trim_end_matches('/')
        .eq_ignore_ascii_case(other.trim_end_matches('/'))
}

/// What the flags say goes over what was there.
fn tell(file: &mut AgentFile, args: &RegisterArgs, door: &Door, is_new: bool) -> Result<(), Failure> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    if let Some(name) = given(&args.name) {
        file.name = name;
    }
    if let Some(site) = given(&args.site) {
        file.site_name = site;
    }
    if let Some(location) = given(&args.location) {
        file.location = Some(location);
    }
    if !args.subnets.is_empty() {
        file.subnets.clone_from(&args.subnets);
    }
    if let Some(ca_file) = &args.ca_file {
        file.ca_file = Some(std::path::absolute(ca_file).unwrap_or_else(|_| ca_file.clone()));
    }
    if door.pin.is_some() {
        file.pin = door.pin;
    }
    if is_new {
        file.link = true;
    }
    file.check().map_err(|error| Failure::usage(chain(&error)))
}

/// Whether the nexus knows the token.
enum Standing {
    /// It does; and whether the agent is approved.
    In(bool),
    /// It does not, or no longer.
    Out,
    /// It did not say.
    Unknown(String),
}

async fn still_in(client: &Client) -> Standing {
    match client.commands().await {
        Ok(_) => Standing::In(true),
        Err(error) if error.status() == Some(reqwest::StatusCode::FORBIDDEN) => Standing::In(false),
        Err(error) if error.is_token_refused() => Standing::Out,
        Err(error) => Standing::Unknown(chain(&error)),
    }
}

fn own_token(data: &DataDir) -> Result<Option<Token>, Failure> {
    match TokenFile::open(&data.0, Arc::new(RealDisk)) {
        Ok(file) => Ok(Some(file.current().clone())),
        // registering again makes a good one
        Err(TokenFileError::Absent { .. } | TokenFileError::Shape { .. }) => Ok(None),
        Err(error) => Err(error).or_fail("the agent's token cannot be read"),
    }
}

/// Asks, again when there is no answer; what came is on disk then.
async fn register(client: &Client, file: &mut AgentFile, token: &Token, data: &DataDir) -> Result<Registered, Failure> {
    let enrolment = Enrolment {
        client,
        data_dir: &data.0,
        bearer: token,
        ask: RegisterAgent {
            hostname: Some(host_name()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..RegisterAgent::default()
        },
        patience: PATIENCE,
        backoff: Backoff::default(),
    };
    let nexus = file.nexus.clone();
    match enrolment.enrol(file, Arc::new(RealDisk), &SystemClock).await {
        Ok(registered) => Ok(registered),
        Err(EnrolError::Client(error)) => Err(trouble::refused(&error, &nexus)),
        Err(error) => Err(error).or_advise(
            "what the nexus answered cannot be kept",
            "make room or rights, then run the same command again",
        ),
    }
}

fn setup(error: &ClientError) -> Failure {
    Failure::usage(chain(error))
}

fn say(
    args: &RegisterArgs,
    status: &'static str,
    file: &AgentFile,
    approved: bool,
    data: &DataDir,
) -> Result<(), Failure> {
    if args.json {
        return output::say_json(&Report {
            status,
            agent_id: &file.agent_id,
            nexus: &file.nexus,
            name: &file.name,
            site_name: &file.site_name,
            approved,
            data_dir: data.0.clone(),
        });
    }
    let done = match status {
        "unchanged" => "registered already",
        "updated" => "registered already, and updated",
        _ => "registered",
    };
    output::say(format!(
        "{done}: {} of {} at {}, as {}",
        file.name, file.site_name, file.nexus, file.agent_id
    ))?;
    if !approved {
        output::note(format!(
            "it waits for approval: an operator runs `venom-host agent approve {}`",
            file.agent_id
        ));
    }
    output::note("next: venom-host agent start");
    Ok(())
}
