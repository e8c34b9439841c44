//! `map`: one method over many items.

use std::path::PathBuf;

use clap::Args;
use venom_protocol::Priority;

use super::NexusClientArgs;
use super::task::NodeNeedsArgs;
use crate::settings::Seconds;

const ITEMS_HELP: &str = "Items are a JSON array, or lines: each is JSON if it reads as JSON, else text. An item that is an object \
     is the parameters itself, anything else is passed under --param.\n\nResults go to stdout, one JSON object a line in the order \
     of the items; numbers go to stderr. Exit code 1 when an item failed or had not ended in time.\n\
     Ctrl-C takes back what has not begun, a second one leaves at once.";

/// `venom-host map`.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  seq 20 | venom-host map EchoSkill.item --items - --reduce EchoSkill.sum\n  \
                  venom-host map ScanSkill.host --items hosts.txt --param host --reduce ReportSkill.merge --json\n\n{ITEMS_HELP}"))]
pub(crate) struct MapArgs {
    /// Skill and method, for example FileSkill.read_file
    #[arg(value_name = "SKILL.METHOD")]
    pub target: String,
    /// The items, - for stdin
    #[arg(long, value_name = "FILE|-")]
    pub items: PathBuf,
    /// Parameter an item that is no object is passed under
    #[arg(long, value_name = "NAME", default_value = "item")]
    pub param: String,
    /// How urgent: 0 to 10, high_priority (8) or background (2) [default: background]
    #[arg(long, value_name = "P")]
    pub priority: Option<Priority>,
    /// Longest to wait for all; what has not ended by then goes on
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub wait: Seconds,
    /// Longest one run may take [default: the nexus's HIVE_TASK_TIMEOUT]
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Seconds>,
    /// Runs after the first, when it fails [default: the nexus's HIVE_MAX_RETRIES]
    #[arg(long, value_name = "N")]
    pub max_retries: Option<u32>,
    /// Which nodes.
    #[command(flatten)]
    pub nodes: NodeNeedsArgs,
    /// Method that is given the results of all that completed, in order
    #[arg(long, value_name = "SKILL.METHOD")]
    pub reduce: Option<String>,
    /// Parameter that gets the results
    #[arg(long, value_name = "NAME", default_value = "results", requires = "reduce")]
    pub reduce_param: String,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print all that came of it as one JSON object
    #[arg(long)]
    pub json: bool,
}
