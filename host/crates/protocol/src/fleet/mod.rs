//! Bodies of the REST of agents: registration, heartbeats, commands, ingest, and what the sites' dashboard reads.
//!
//! Two families of clients older than Venom speak the parts below `/api/agents` and `/api/ingest`: what is optional here they
//! leave out, and fields that are not known here are kept as metadata or ignored, never refused.

mod agent;
mod command;
mod enrolment;
mod ingest;
mod page;
mod shown;
mod sites;

pub use agent::{
    AgentHeartbeat, AgentId, AgentList, AgentStatus, AgentView, HeartbeatAnswer, InvalidAgentId, OutboxStatus,
    RegisterAgent, Registered, TokenRotated,
};
pub use command::{
    CommandDone, CommandList, CommandSent, CommandStatus, CommandUpdate, CommandView, PendingCommand, PendingCommands,
    SendCommand,
};
pub use enrolment::{CreateEnrolment, EnrolmentCreated, EnrolmentList, EnrolmentView};
pub use ingest::{
    CertificateSeen, Discovery, DiscoveryIngested, FindingSeen, NetworkFingerprint, PortSeen, SeenAsset, SeenService,
    Severity, ShieldIngested, ShieldReport,
};
pub use page::Page;
pub use sites::{
    AssetDetail, AssetView, CertificateView, ChangeKind, ChangeView, FindingStatus, FindingUpdate, FindingView,
    NetworkView, ScanView, SiteView, SubnetView, Topology, TopologyLink, TopologyNode,
};
