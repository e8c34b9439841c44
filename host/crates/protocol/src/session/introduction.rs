//! What a peer may say about itself: bounds on a handshake and on capabilities, and the version agreed
//! upon. Never looks at the token.

use super::{MAX_FIELD_BYTES, MAX_LABEL_CHARS, MAX_NAME_CHARS, MAX_SKILLS, MAX_TAGS};
use crate::{Capabilities, Handshake, PROTOCOL_VERSION, UpdateReport};

/// The version both speak: the peer's, at most ours. 0 does not exist and is read as 1, as if absent.
pub(super) fn agreed_protocol(claimed: Option<u32>) -> u32 {
    claimed.unwrap_or(1).clamp(1, PROTOCOL_VERSION)
}

/// Says what is wrong with a handshake.
pub(super) fn check_handshake(handshake: &Handshake) -> Result<(), String> {
    if handshake.node_id.0.is_nil() {
        return Err("node_id is the nil uuid; make a random one".to_owned());
    }
    check_text("node_name", &handshake.node_name, MAX_NAME_CHARS)?;
    check_capabilities(&handshake.capabilities)?;
    if handshake.concurrency == Some(0) {
        return Err("concurrency is 0; leave it out or make it at least 1".to_owned());
    }
    for (name, value) in [
        ("token", Some(&handshake.token)),
        ("boot_id", handshake.boot_id.as_ref()),
        ("version", handshake.version.as_ref()),
    ] {
        if value.is_some_and(|text| text.len() > MAX_FIELD_BYTES) {
            return Err(format!("{name} is over {MAX_FIELD_BYTES} bytes"));
        }
    }
    Ok(())
}

/// Says what is wrong with capabilities.
pub(super) fn check_capabilities(capabilities: &Capabilities) -> Result<(), String> {
    check_labels("skill", &capabilities.skills, MAX_SKILLS)?;
    check_labels("tag", &capabilities.tags, MAX_TAGS)?;
    match capabilities.platform.chars().count() {
        0..=MAX_LABEL_CHARS => Ok(()),
        more => Err(format!("platform has {more} characters, over {MAX_LABEL_CHARS}")),
    }
}

/// Says what is wrong with a report of updates: a nexus keeps it for as long as the node is listed.
pub(super) fn check_report(report: &UpdateReport) -> Result<(), String> {
    if report.skills.len() > MAX_SKILLS {
        return Err(format!("{} skills reported, over {MAX_SKILLS}", report.skills.len()));
    }
    let marks = report.release.iter().map(|mark| mark.sha256.as_str());
    let words = report.stale.iter().chain(&report.alarm).map(String::as_str);
    let skills = report.skills.iter().flat_map(|skill| {
        let given = [
            &skill.version,
            &skill.bundle_sha256,
            &skill.wanted_version,
            &skill.wanted_sha256,
            &skill.reason,
        ];
        given.into_iter().flatten().chain([&skill.skill]).map(String::as_str)
    });
    let mut texts = marks.chain(words).chain(skills).chain([report.channel.as_str()]);
    match texts.find(|text| text.len() > MAX_FIELD_BYTES) {
        Some(text) => Err(format!(
            "a text of {} bytes is reported, over {MAX_FIELD_BYTES}",
            text.len()
        )),
        None => Ok(()),
    }
}

fn check_labels(what: &str, labels: &[String], most: usize) -> Result<(), String> {
    if labels.len() > most {
        return Err(format!("{} {what}s named, over {most}", labels.len()));
    }
    labels
        .iter()
        .try_for_each(|label| check_text(what, label, MAX_LABEL_CHARS))
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("{what} is empty"));
    }
    if text.chars().nth(most).is_some() {
        return Err(format!("{what} has over {most} characters"));
    }
    // they end up on terminals and in logs
    if text.chars().any(char::is_control) {
        return Err(format!("{what} {text:?} has control characters"));
    }
    Ok(())
}
