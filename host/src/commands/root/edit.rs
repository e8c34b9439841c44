//! `root new`: the next root, as it is asked for.

use venom_bundle::{PublicKey, RoleChange, Root, RootChange, RootPublisher};
use venom_protocol::Timestamp;

use super::{load, public_key, report};
use crate::cli::NewRootArgs;
use crate::data_dir::{DataDir, SHARED_FILE, make_file};
use crate::failure::{Explain as _, Failure};

/// Writes the next root without signatures.
pub(super) fn run(args: NewRootArgs, data: &DataDir) -> Result<(), Failure> {
    let before = load(args.from.as_deref(), data)?;
    let now = Timestamp::now();
    let next = before
        .root()
        .next(&change(&args, before.root())?, now, args.expires.after(now)?);
    let next = next.or_fail("no such root can be made")?;
    let unsigned = next.unsigned();
    if !make_file(&args.out, &unsigned.to_text(), SHARED_FILE)? {
        return Err(Failure::new(format!("there is a file {} already", args.out.display()))
            .because("it may hold signatures")
            .help("move it away, or name another with --out FILE"));
    }
    let missing = unsigned.missing_of_root(&next, Some(before.root()));
    report(&args.out, &next, &unsigned, &missing, args.json)
}

fn change(args: &NewRootArgs, before: &Root) -> Result<RootChange, Failure> {
    Ok(RootChange {
        root: role(&args.root_keys, args.root_threshold)?,
        release: role(&args.release_keys, args.release_threshold)?,
        rollout: role(&args.rollout_keys, None)?,
        publishers: publisher(args, before)?.into_iter().collect(),
        without_publishers: args.without_publisher.clone(),
        revoke: args.revoke.clone(),
        epoch_up: args.epoch_up,
    })
}

fn role(keys: &[String], threshold: Option<usize>) -> Result<RoleChange, Failure> {
    Ok(RoleChange {
        keys: public_keys(keys)?,
        threshold,
    })
}

fn public_keys(texts: &[String]) -> Result<Vec<PublicKey>, Failure> {
    texts.iter().map(|text| public_key(text)).collect()
}

/// The publisher that is named: what is not given of one that is there stays.
fn publisher(args: &NewRootArgs, before: &Root) -> Result<Option<RootPublisher>, Failure> {
    let Some(name) = &args.publisher else { return Ok(None) };
    let known = before.publishers.iter().find(|publisher| publisher.name == *name);
    let prefix = args.prefix.clone().or_else(|| known.map(|known| known.prefix.clone()));
    let prefix = prefix.ok_or_else(|| {
        Failure::usage(format!("which skills may `{name}` publish?"))
            .because("there is no such publisher yet")
            .help("add --prefix P, a prefix of the names of its skills, or --prefix '*' for any")
    })?;
    Ok(Some(RootPublisher {
        name: name.clone(),
        prefix,
        keys: public_keys(&args.publisher_keys)?,
        threshold: args.publisher_threshold.unwrap_or(1),
        ceiling: known.and_then(|known| known.ceiling.clone()),
        budgets: known.map(|known| known.budgets.clone()).unwrap_or_default(),
    }))
}
