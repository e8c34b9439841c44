//! `provision`: makes another machine an agent of a nexus, over SSH, or upgrades the one it has. Each step is told; what is
//! changed there is noted first, so that a failure at any point puts everything back as it was.

mod nexus;
mod plan;
mod program;
mod report;
mod scripts;
mod ssh;
mod steps;
mod survey;
mod target;
mod undo;
mod unit;

use self::plan::Plan;
use self::report::{Outcome, Report, Step};
use self::ssh::Ssh;
use self::steps::Work;
use crate::cli::ProvisionArgs;
use crate::client::NexusClient;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::settings::{ClientSettings, Sources};
use crate::signals::Signals;

/// Provisions one machine.
pub(crate) async fn run(args: ProvisionArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let json = args.json;
    let client = NexusClient::new(&ClientSettings::merge(args.nexus.clone(), &sources)?, &data)?;
    let plan = Plan::read(args)?;
    // Whoever brings an enrol string and no operator token cannot ask the nexus, and need not.
    let client = (plan.enrol.is_none() || client.has_token()).then_some(client);
    let mut report = Report::new(plan.target.as_str(), plan.dry_run);
    let ssh = match Ssh::connect(plan.target.clone(), plan.ssh_options.clone()).await {
        Ok(ssh) => ssh,
        Err(failure) => {
            report.tell(Step::Connect, Outcome::Failed, failure.summary());
            return report.end(json, Err((Step::Connect, failure)));
        }
    };
    report.tell(Step::Connect, Outcome::Done, format!("ssh {}", plan.target));
    let signals = Signals::watch()?;
    let mut work = Work::new(&plan, ssh, client, report);
    let ended = tokio::select! {
        ended = work.run() => ended,
        () = signals.drain.cancelled() => Err(Failure::new("told to stop").help("the same command again starts anew")),
    };
    let ended = match ended {
        Ok(()) => Ok(()),
        Err(failure) => Err((work.fail(&failure).await, failure)),
    };
    let Work { ssh, report, .. } = work;
    ssh.close().await;
    report.end(json, ended)
}
