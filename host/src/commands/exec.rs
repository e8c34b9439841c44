//! `exec`: one method of one skill, on a node of the swarm, over REST.

use venom_protocol::{ErrorCode, ExecuteAnswer, ExecuteRequest};

use crate::cli::ExecArgs;
use crate::client::NexusClient;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::params::{self, Target};
use crate::settings::{ClientSettings, Seconds};

/// Calls the method and prints its result.
pub(crate) async fn run(args: ExecArgs, settings: ClientSettings, data: DataDir) -> Result<(), Failure> {
    let target = Target::parse(&args.call.target)?;
    let params = params::read(&args.call.params, std::io::stdin())?;
    let client = NexusClient::new(&settings, &data)?;
    let Seconds(timeout) = args.timeout;
    let request = ExecuteRequest {
        skill_name: target.skill,
        method_name: target.method,
        parameters: Some(params),
        timeout: Some(timeout.as_secs_f64()),
        tag: args.tag,
        require: None,
    };
    let path = match &args.node {
        Some(node) => format!("/api/v1/nodes/{}/execute", client.find_node(node).await?.node_id),
        None => "/api/v1/execute".to_owned(),
    };
    let answer: ExecuteAnswer = client.post(&path, &request, timeout).await?;
    report(
        &answer,
        &format!("{}.{}", request.skill_name, request.method_name),
        args.json,
    )
}

fn report(answer: &ExecuteAnswer, name: &str, json: bool) -> Result<(), Failure> {
    if json {
        output::say_json(answer)?;
        return if answer.success { Ok(()) } else { Err(Failure::told()) };
    }
    if !answer.success {
        return Err(skill_failure(
            name,
            answer.error_code,
            answer.error.as_deref().unwrap_or("it gave no reason"),
        ));
    }
    if let Some(result) = &answer.result {
        output::say(output::result_text(result))?;
    }
    Ok(())
}

/// A skill that failed, with what to do where the kind of failure says it.
pub(crate) fn skill_failure(name: &str, code: Option<ErrorCode>, message: &str) -> Failure {
    let failure = Failure::new(format!("{name} failed")).because(message);
    let skill = name.split('.').next().unwrap_or(name);
    match code {
        Some(ErrorCode::Denied) => failure.help(format!(
            "`venom-host skill inspect {skill}` shows what it is granted; policy.toml of the node grants more"
        )),
        Some(ErrorCode::UnknownMethod) => failure.help(format!("`venom-host skill inspect {skill}` lists its methods")),
        Some(ErrorCode::TimedOut) => failure.help("give it longer with --timeout TIME"),
        Some(code) if code.is_retryable() => failure.help("try again"),
        _ => failure,
    }
}
