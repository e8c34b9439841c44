//! OCI registries as a place for bundles. A registry is untrusted: what comes from one is exactly what was asked for, if a
//! digest was, and nothing more is known of it until its signatures are verified. Nothing here verifies them.

mod artifact;
mod client;
mod credentials;
mod location;
mod trouble;

pub(crate) use client::{Pulled, Registry};
pub(crate) use location::OciLocation;
