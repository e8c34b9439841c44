//! What a nexus that says no, or nothing, means for an agent, and what to do then.

use venom_agent::ClientError;

use crate::failure::{Failure, chain};

/// Why the nexus did not register this agent.
pub(super) fn refused(error: &ClientError, nexus: &str) -> Failure {
    let why = chain(error);
    // registering is refused with 403, everything later with 401
    if error.is_token_refused() || error.status() == Some(reqwest::StatusCode::FORBIDDEN) {
        return Failure::new(format!("the nexus at {nexus} does not let this agent in"))
            .because(why)
            .help("an operator makes a token: `venom-host enrol create --site NAME`; each is good for a time and a number of agents");
    }
    if error.status().is_some() {
        return Failure::new(format!("the nexus at {nexus} did not register this agent")).because(why);
    }
    Failure::new(format!("no nexus registered this agent at {nexus}"))
        .because(why)
        .help("check the address, that the nexus runs there, and that this machine may reach it; then run the same command again")
}
