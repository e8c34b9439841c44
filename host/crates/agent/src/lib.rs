//! An agent's half of the fleet: it enrols, tells how it is, asks for commands, scans when it is time, and keeps what it saw on disk
//! until its nexus has it. It runs no skill itself and knows no other agent.

mod agent;
mod agent_file;
mod backoff;
mod client;
mod clock;
mod disk;
mod enrol;
mod journal;
mod outbox;
mod pin;
mod registration;
mod schedule;
mod skills;
mod span;
mod state;
mod token;
mod token_file;

pub use agent::{Agent, AgentError, AgentSettings, RunNow};
pub use agent_file::{AGENT_FILE, AgentFile, AgentFileError, MOST_SCHEDULES};
pub use backoff::Backoff;
pub use client::{BeatAnswer, Client, ClientError, Ingested, Patience};
pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskLock, RealDisk};
pub use enrol::{EnrolString, InvalidEnrolString};
pub use outbox::{
    Batch, BatchKey, BatchKind, OUTBOX_DIRECTORY, Outbox, OutboxError, OutboxReport, OutboxSettings, OutboxTally,
    PutError, WhenFull,
};
pub use pin::{Pin, PinError, tls_config};
pub use registration::{EnrolError, Enrolment};
pub use schedule::{Decision, InvalidSchedule, MOST_MADE_UP, Missed, SHORTEST_PERIOD, Schedule};
pub use skills::RunSkill;
pub use span::{InvalidSpan, parse_span, write_span};
pub use state::{AgentState, Phase, STATUS_FILE, ScheduleState};
pub use token::{InvalidToken, Token};
pub use token_file::{TOKEN_FILE, TokenFile, TokenFileError};
