//! Bundles: signed, immutable packages of one skill, and the rules by which they are trusted.

pub mod capability;
