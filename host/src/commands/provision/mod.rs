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

use std::time::Duration;

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

/// Longest wait for a script there to end once this program was told to stop: what it does is undone only when it does no more.
const LAST_SCRIPT: Duration = Duration::from_secs(10);

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
    work.ssh.run_until_told(Some(signals.drain.clone()));
    let mut busy = work.ssh.busy();
    let stopped = async {
        signals.drain.cancelled().await;
        tokio::select! {
            () = busy.ended(LAST_SCRIPT) => {}
            () = signals.quit.cancelled() => {}
        }
    };
    let ended = tokio::select! {
        ended = work.run() => ended,
        () = stopped => Err(told_to_stop()),
    };
    let ended = match ended {
        Ok(()) => Ok(()),
        Err(failure) => Err((work.fail(&failure).await, failure)),
    };
    let Work { ssh, report, .. } = work;
    ssh.close().await;
    report.end(json, ended)
}

fn told_to_stop() -> Failure {
    Failure::new("told to stop").help("the same command again starts anew")
}
