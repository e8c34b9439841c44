//! A whole hive for tests: the real nexus in process on a free port, real spores with real signed skills,
//! simulated spores, and the real binary as processes of its own. Deadlines and conditions, never sleeps.
//! It never stands in for a part of the product: what a test sees is what a user gets.

mod artifacts;
mod client;
mod hive;
pub mod network;
mod policy;
mod process;
pub mod releases;
mod skills;
mod wait;

pub use artifacts::{component, host_binary, repository};
pub use client::{Answer, Client, HttpAnswer};
pub use hive::{LeftNode, Node, NodeBuilder, OPERATOR_TOKEN, SPORE_TOKEN, TestHive, VIEWER_TOKEN};
pub use policy::{file_skill, hostile, parallel_skill, shell_skill};
pub use process::{HostProcess, Python};
pub use skills::{Publisher, SkillName};
pub use wait::{DEADLINE, eventually, soon};
