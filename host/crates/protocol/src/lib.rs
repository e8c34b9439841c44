//! What goes over the wire between a nexus, its spores and its callers: ids, swarm messages, REST types,
//! events, error codes, and the state machine of both ends of a link. No I/O, no clock, no randomness of
//! its own beyond making ids.

mod envelope;
mod error;
mod event;
mod fleet;
mod frame;
mod hive;
mod ids;
mod lenient;
mod message;
mod node;
mod release;
mod rest;
pub mod session;
mod task;
mod time;
mod update;

pub use error::{CallError, ErrorCode, with_causes};
pub use event::Event;
pub use fleet::{
    AgentHeartbeat, AgentId, AgentList, AgentStatus, AgentView, AssetDetail, AssetView, CertificateSeen,
    CertificateView, ChangeKind, ChangeView, CommandDone, CommandList, CommandSent, CommandStatus, CommandUpdate,
    CommandView, CreateEnrolment, Discovery, DiscoveryIngested, EnrolmentCreated, EnrolmentList, EnrolmentView,
    FindingSeen, FindingStatus, FindingUpdate, FindingView, HeartbeatAnswer, InvalidAgentId, NetworkFingerprint,
    NetworkView, OutboxStatus, Page, PendingCommand, PendingCommands, PortSeen, RegisterAgent, Registered, ScanView,
    SeenAsset, SeenService, SendCommand, Severity, ShieldIngested, ShieldReport, SiteView, SubnetView, TokenRotated,
    Topology, TopologyLink, TopologyNode,
};
pub use frame::{FrameError, MAX_FRAME_BYTES, decode_from_nexus, decode_from_spore, encode};
pub use hive::{
    Broadcast, CacheKey, HiveAnswer, HiveAsk, HiveQuestion, HiveRefusal, HiveReply, HiveTask, HiveTaskState, TaskRun,
};
pub use ids::{InvalidId, NodeId, RequestId, SessionId, TaskId};
pub use message::{
    Body, Cancel, Disconnect, ErrorReport, ExecuteSkill, FromNexus, FromSpore, Handshake, Heartbeat, Progress,
    ProgressUpdate, Response, StatusUpdate, Welcome,
};
pub use node::{Capabilities, NodeView, Requirements};
pub use release::{
    BundleList, BundleView, DryRun, OnFailure, PublishRelease, ReleaseDocument, ReleaseList, ReleaseView,
    RolloutCounts, RolloutPlan, RolloutState, RolloutView, RootDocument, SkillChange, SporePlan, SporeProgress,
    TrustView, Wave,
};
pub use rest::{ExecuteAnswer, ExecuteRequest, NodeAnswer, NodeList};
pub use task::{
    Backoff, CacheEntry, ClusterStatus, ControlBroadcast, GroupLimits, GroupView, InvalidLane, InvalidPriority, Lane,
    LaneNeeds, MapItem, MapRequest, MapResult, MapSummary, Placement, Priority, QueueStats, Reduce, Strategy,
    TaskAccepted, TaskList, TaskPayload, TaskRequest, TaskSpec, TaskStatus, TaskView, TasksAccepted, TasksRequest,
};
pub use time::Timestamp;
pub use update::{MAX_ROOTS_IN_ANSWER, ReleaseAnswer, ReleaseAsk, ReleaseMark, SkillReport, SkillState, UpdateReport};

/// Version of the swarm protocol our own peers speak; a peer without the field speaks 1.
pub const PROTOCOL_VERSION: u32 = 2;

/// Close codes of `/ws/nodes`.
pub mod close {
    /// Wrong token (RFC 6455: policy violation).
    pub const POLICY: u16 = 1008;
    /// The node role is off, or a frame of a kind that is not taken (RFC 6455: unsupported data).
    pub const UNSUPPORTED: u16 = 1003;
    /// A frame over the size limit (RFC 6455).
    pub const TOO_BIG: u16 = 1009;
    /// Normal end.
    pub const NORMAL: u16 = 1000;
    /// The server goes down; come back elsewhere or later.
    pub const GOING_AWAY: u16 = 1001;
    /// Reason sent with [`POLICY`] for a wrong token; peers depend on the text.
    pub const AUTHENTICATION_FAILED: &str = "Authentication failed";
}

/// Invalid messages in a row after which an end closes the link.
pub const MAX_INVALID_IN_A_ROW: u32 = 10;
