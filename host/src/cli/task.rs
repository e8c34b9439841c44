//! `task`: durable units of work, submitted to a nexus and looked at later.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use venom_protocol::{Priority, TaskId, TaskStatus};

use super::NexusClientArgs;
use crate::settings::Seconds;

const FILE_HELP: &str = "FILE (or - for stdin) holds tasks as the REST API takes them: a JSON array, or one JSON object a line.\n\
     They are submitted 1,000 at a time, and their ids printed one a line; tasks that name each other by `ref` go all at once.";

const WATCH_HELP: &str = "Partial results go to stdout as they come, then the result; progress goes to stderr. A stream that breaks \
     goes on where it was.\nExit code 0 when the task completed, 1 when it failed or was cancelled.";

/// `venom-host task ...`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  venom-host task submit EchoSkill.say text=hello\n  venom-host task list --status failed"
)]
pub(crate) enum TaskCommand {
    /// Submit one task, or many from a file
    Submit(Box<SubmitArgs>),
    /// Show one task
    Get(GetTaskArgs),
    /// List tasks in one state
    List(ListTasksArgs),
    /// Follow what a task does, as it does it
    Watch(WatchTaskArgs),
    /// Take tasks back; those that run are stopped
    Cancel(CancelTasksArgs),
    /// Put failed or cancelled tasks back into the queue
    Requeue(RequeueTasksArgs),
    /// Show the queues in numbers, and the groups
    Queues(QueuesArgs),
    /// Show, set or remove the limits of a group of tasks
    Group(GroupArgs),
}

/// `venom-host task submit`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["target", "file"])))]
#[command(after_help = format!("Examples:\n  venom-host task submit EchoSkill.say text=hello --priority high_priority --wait 30s\n  \
                  venom-host task submit ReportSkill.build day=monday --delay 10m --key monday --group nightly --tag big\n  \
                  venom-host task submit --file tasks.jsonl\n\n{FILE_HELP}"))]
pub(crate) struct SubmitArgs {
    /// Skill and method, for example FileSkill.read_file
    #[arg(value_name = "SKILL.METHOD")]
    pub target: Option<String>,
    /// Parameters: a JSON object, name=text and name:=json pairs, @FILE or - (stdin)
    #[arg(value_name = "JSON|NAME=TEXT|NAME:=JSON|@FILE|-")]
    pub params: Vec<String>,
    /// Submit the tasks of this file, - for stdin
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ONE_TASK)]
    pub file: Option<PathBuf>,
    /// How urgent: 0 to 10, high_priority (8) or background (2) [default: background]
    #[arg(long, value_name = "P")]
    pub priority: Option<Priority>,
    /// Longest one run may take [default: the nexus's HIVE_TASK_TIMEOUT]
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Seconds>,
    /// Runs after the first, when it fails [default: the nexus's HIVE_MAX_RETRIES]
    #[arg(long, value_name = "N")]
    pub max_retries: Option<u32>,
    /// Time before it may run
    #[arg(long, value_name = "TIME")]
    pub delay: Option<Seconds>,
    /// Idempotency key: the same key with the same task again starts nothing
    #[arg(long, value_name = "K")]
    pub key: Option<String>,
    /// Task that must complete first; may be repeated
    #[arg(long = "depends-on", value_name = "ID")]
    pub depends_on: Vec<TaskId>,
    /// Which nodes.
    #[command(flatten)]
    pub nodes: NodeNeedsArgs,
    /// Run on this node
    #[arg(long, value_name = "ID|NAME")]
    pub node: Option<String>,
    /// Group whose limits on concurrency and rate apply
    #[arg(long, value_name = "G")]
    pub group: Option<String>,
    /// How to choose among the nodes that fit [default: least-loaded]
    #[arg(long, value_name = "least-loaded|round-robin|spread", hide_possible_values = true)]
    pub strategy: Option<StrategyArg>,
    /// Nodes with this tag come first; may be repeated
    #[arg(long = "prefer-tag", value_name = "T")]
    pub prefer_tags: Vec<String>,
    /// Word of your own, shown as the type [default: SKILL.METHOD]
    #[arg(long = "type", value_name = "TEXT")]
    pub task_type: Option<String>,
    /// Wait this long for its end and print its result; exit code 1 unless it completed
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Seconds>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags about one task. In a file each task says these for itself.
const ONE_TASK: [&str; 16] = [
    "params",
    "priority",
    "timeout",
    "max_retries",
    "delay",
    "key",
    "depends_on",
    "tags",
    "exclude_tags",
    "gpu",
    "node",
    "group",
    "strategy",
    "prefer_tags",
    "task_type",
    "wait",
];

/// What the nodes must have.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NodeNeedsArgs {
    /// Only nodes with this tag; may be repeated
    #[arg(long = "tag", value_name = "T")]
    pub tags: Vec<String>,
    /// Only nodes without this tag; may be repeated
    #[arg(long = "exclude-tag", value_name = "T")]
    pub exclude_tags: Vec<String>,
    /// Only nodes with a GPU
    #[arg(long)]
    pub gpu: bool,
}

/// How to compare nodes that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyArg {
    /// The lowest load score.
    LeastLoaded,
    /// The one not chosen for the longest time.
    RoundRobin,
    /// The one that runs the fewest calls.
    Spread,
}

/// `venom-host task get`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host task get 0198c5b2-7d3e-7a10-9c44-1f2e3d4c5b6a\n  \
                  venom-host task get 0198c5b2-7d3e-7a10-9c44-1f2e3d4c5b6a --wait 5m --json | jq .result"
)]
pub(crate) struct GetTaskArgs {
    /// The task
    #[arg(value_name = "ID")]
    pub id: TaskId,
    /// Wait this long for its end; exit code 1 unless it completed
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Seconds>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the task as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host task list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host task list\n  venom-host task list --status failed --limit 200 --json | jq -r '.tasks[].task_id'"
)]
pub(crate) struct ListTasksArgs {
    /// Which: pending, blocked, running, completed, failed or cancelled
    #[arg(long, value_name = "S", hide_possible_values = true, default_value = "running")]
    pub status: StatusArg,
    /// Most to list, up to 1,000
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusArg {
    /// Waits for other tasks.
    Blocked,
    /// Waits for its time or for a node.
    Pending,
    /// A node has it.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Taken back.
    Cancelled,
}

impl From<StatusArg> for TaskStatus {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Blocked => Self::Blocked,
            StatusArg::Pending => Self::Pending,
            StatusArg::Running => Self::Running,
            StatusArg::Completed => Self::Completed,
            StatusArg::Failed => Self::Failed,
            StatusArg::Cancelled => Self::Cancelled,
        }
    }
}

/// `venom-host task watch`.
#[derive(Debug, Args)]
#[command(after_help = format!("Example:\n  venom-host task watch 0198c5b2-7d3e-7a10-9c44-1f2e3d4c5b6a\n\n{WATCH_HELP}"))]
pub(crate) struct WatchTaskArgs {
    /// The task
    #[arg(value_name = "ID")]
    pub id: TaskId,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print every event as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host task cancel`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host task cancel 0198c5b2-7d3e-7a10-9c44-1f2e3d4c5b6a")]
pub(crate) struct CancelTasksArgs {
    /// The tasks
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<TaskId>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the tasks as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host task requeue`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host task requeue 0198c5b2-7d3e-7a10-9c44-1f2e3d4c5b6a\n  venom-host task requeue --all-dead"
)]
pub(crate) struct RequeueTasksArgs {
    /// The tasks
    #[arg(value_name = "ID", required_unless_present = "all_dead", conflicts_with = "all_dead")]
    pub ids: Vec<TaskId>,
    /// All that failed and are kept
    #[arg(long)]
    pub all_dead: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the tasks (with --all-dead, how many) as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host task queues`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host task queues --json | jq .dead_letters")]
pub(crate) struct QueuesArgs {
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host task group`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host task group nightly --concurrency 4 --rate 10\n  venom-host task group nightly\n  \
                  venom-host task group nightly --remove"
)]
pub(crate) struct GroupArgs {
    /// The group; tasks name it with --group
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Most that run at one time, over the whole hive
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: Option<u32>,
    /// Most that begin in a second, over the whole hive
    #[arg(long, value_name = "R")]
    pub rate: Option<f64>,
    /// Take all its limits away
    #[arg(long, conflicts_with_all = ["concurrency", "rate"])]
    pub remove: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the limits as JSON
    #[arg(long)]
    pub json: bool,
}
