//! Tasks: one durable unit of work each. What is asked for, where it may run, how it is shown.

mod lane;
mod map;
mod priority;
mod request;
mod spec;
mod view;

pub use lane::{InvalidLane, Lane, LaneNeeds};
pub use map::{MapItem, MapRequest, MapResult, MapSummary, Reduce};
pub use priority::{InvalidPriority, Priority};
pub use request::{TaskAccepted, TaskRequest, TasksAccepted, TasksRequest};
pub use spec::{Backoff, Placement, Strategy, TaskSpec};
pub use view::{
    CacheEntry, ClusterStatus, ControlBroadcast, GroupLimits, GroupView, QueueStats, TaskList, TaskPayload, TaskStatus,
    TaskView,
};
