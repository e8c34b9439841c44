//! One call: what it carries in and what comes out of it.

use std::time::Duration;

use bytesize::ByteSize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use venom_protocol::{CallError, ProgressUpdate, RequestId};

/// One call of one method.
#[derive(Debug)]
pub struct Call {
    /// This run: what the hive is asked for is asked for it. Made anew for each run of a task.
    pub request_id: RequestId,
    /// What the skill and every log line of the call name it by: the task it is a run of, else the request.
    pub task_id: String,
    /// W3C `traceparent` of the caller.
    pub traceparent: Option<String>,
    /// 1 for the first try.
    pub attempt: u32,
    /// The method, as `describe` names it.
    pub method: String,
    /// A JSON object.
    pub params: Box<RawValue>,
    /// How long the caller waits. The skill's `wall` budget can only shorten it.
    pub timeout: Duration,
    /// Cancelled when the caller goes away.
    pub cancel: CancellationToken,
    /// Where partial results and reports go; they are dropped when it is full or absent.
    pub progress: Option<mpsc::Sender<ProgressUpdate>>,
    /// How many skills stand between a person and this call; 0: none.
    pub depth: u32,
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The result as JSON, or why there is none.
    pub result: Result<Box<RawValue>, CallError>,
    /// From being asked to being answered, waiting included.
    pub elapsed: Duration,
    /// What it used.
    pub usage: Usage,
}

/// What a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Most linear memory at one time, all memories together.
    pub memory_peak: ByteSize,
    /// Time the guest ran, in whole epoch ticks.
    pub cpu: Duration,
}
