//! `key`: the publisher key. A key is never overwritten and never leaves the disk through here.

use std::path::{Path, PathBuf};

use serde::Serialize;
use venom_bundle::{MissingSignatures, PublicKey, RootChange, SigningKey};
use venom_protocol::Timestamp;

use super::init::publisher_entry;
use super::root;
use crate::cli::{KeyCommand, NewKeyArgs, ShowKeyArgs};
use crate::data_dir::{DataDir, PRIVATE_DIRECTORY, SHARED_FILE, make_directory, replace_file};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::Lifetime;

/// What `key ... --json` prints.
#[derive(Serialize)]
struct Report {
    key_id: String,
    public_key: String,
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<PathBuf>,
}

/// Runs one of the `key` commands.
pub(crate) fn run(command: KeyCommand, data: &DataDir) -> Result<(), Failure> {
    match command {
        KeyCommand::New(args) => new(args, data),
        KeyCommand::Show(args) => show(&args, data),
        KeyCommand::Rotate(args) => rotate(&args, data),
    }
}

/// The key that signs: the one named, or the data directory's.
pub(crate) fn load(named: Option<&Path>, data: &DataDir) -> Result<SigningKey, Failure> {
    let path = named.map_or_else(|| data.publisher_key(), Path::to_owned);
    if !path.exists() {
        return Err(Failure::new(format!("there is no key at {}", path.display()))
            .help("run `venom-host init` to make the publisher key, or name another with --key FILE"));
    }
    SigningKey::load(&path).or_fail(format!("the key {} cannot be used", path.display()))
}

/// The keys that sign: those named, or the data directory's.
pub(crate) fn load_all(named: &[PathBuf], data: &DataDir) -> Result<Vec<SigningKey>, Failure> {
    if named.is_empty() {
        return Ok(vec![load(None, data)?]);
    }
    named.iter().map(|path| load(Some(path), data)).collect()
}

fn new(args: NewKeyArgs, data: &DataDir) -> Result<(), Failure> {
    let path = match args.out {
        Some(path) => path,
        None => {
            make_directory(&data.keys(), PRIVATE_DIRECTORY)?;
            data.publisher_key()
        }
    };
    let key = make(&path)?;
    report(&path, &key.public(), None, args.json)
}

fn make(path: &Path) -> Result<SigningKey, Failure> {
    let what = || format!("cannot make the key {}", path.display());
    if path.exists() {
        return Err(Failure::new(what())
            .because("there is a file of that name, and keys are never overwritten")
            .help("choose another name with --out FILE, or replace the publisher key with `venom-host key rotate`"));
    }
    let key = SigningKey::generate().or_fail(what())?;
    key.save_new(path).or_fail(what())?;
    key.public().save_new(&path.with_extension("pub")).or_fail(what())?;
    Ok(key)
}

fn show(args: &ShowKeyArgs, data: &DataDir) -> Result<(), Failure> {
    let public = load(None, data)?.public();
    report(&data.publisher_key(), &public, None, args.json)
}

/// The old key stays trusted, so that what it signed goes on running: drop it from trust.toml when all is re-signed.
fn rotate(args: &ShowKeyArgs, data: &DataDir) -> Result<(), Failure> {
    let old = load(None, data)?;
    let kept = data.keys().join(format!("publisher-{}.key", old.public().id().short()));
    let draft = data.keys().join(format!("publisher-next-{}.key", std::process::id()));
    let key = make(&draft)?;
    // The new key is trusted before it is used: a crash in between leaves a key too many, never one too few.
    trust_too(&data.trust(), &old.public(), &key.public())?;
    let root = next_root(&old, &key, data)?;
    let (private, public) = (data.publisher_key(), data.publisher_public());
    let moves = [
        (private.clone(), kept.clone()),
        (public.clone(), kept.with_extension("pub")),
        (draft.clone(), private.clone()),
        (draft.with_extension("pub"), public),
    ];
    for (from, to) in moves {
        if from.exists() {
            std::fs::rename(&from, &to).or_fail(format!("cannot move {} to {}", from.display(), to.display()))?;
        }
    }
    report(&private, &key.public(), Some(kept), args.json)?;
    if !args.json {
        root.tell()?;
    }
    Ok(())
}

/// What a rotation did to the root.
enum RootAfter {
    /// There is none, or it does not name the key.
    Untouched,
    /// It is the data directory's.
    Installed(u64),
    /// It lies there until other keys have signed it.
    Drafted(PathBuf, Vec<MissingSignatures>),
}

/// The next root, in which the new key takes the place of the old one; both sign it.
fn next_root(old: &SigningKey, new: &SigningKey, data: &DataDir) -> Result<RootAfter, Failure> {
    if !data.root().exists() {
        return Ok(RootAfter::Untouched);
    }
    let before = root::load(None, data)?;
    let change = RootChange::replacing(before.root(), &old.public(), &new.public());
    if change == RootChange::default() {
        return Ok(RootAfter::Untouched);
    }
    let now = Timestamp::now();
    let next = before.root().next(&change, now, Lifetime::OF_A_ROOT.after(now)?);
    let next = next.or_fail("the root cannot take the new key")?;
    let mut signed = next.unsigned();
    signed.add_signature(old);
    signed.add_signature(new);
    let missing = signed.missing_of_root(&next, Some(before.root()));
    if missing.is_empty() {
        let trusted = before
            .rotate(signed.to_text().as_bytes())
            .or_fail("the root cannot be rotated")?;
        root::install(&trusted, Some(&before), data)?;
        return Ok(RootAfter::Installed(next.version));
    }
    let path = data.0.join("next-root.json");
    replace_file(&path, signed.to_text().as_bytes(), SHARED_FILE)?;
    Ok(RootAfter::Drafted(path, missing))
}

impl RootAfter {
    fn tell(&self) -> Result<(), Failure> {
        match self {
            Self::Untouched => Ok(()),
            Self::Installed(version) => output::say(format!(
                "\nroot.json is root {version} now, signed by both keys; give it to the nexus:\n\n  venom-host root publish"
            )),
            Self::Drafted(path, missing) => {
                let path = path.display();
                output::say(format!("\nother root keys must sign the next root, {path}:\n"))?;
                missing.iter().try_for_each(|one| output::say(root::words(one)))?;
                output::say(format!(
                    "\n  venom-host root sign {path} --key FILE\n  venom-host root publish {path}"
                ))
            }
        }
    }
}

/// Adds `new` beside `old` wherever the trust file names it; as a publisher of its own where it does not.
fn trust_too(path: &Path, old: &PublicKey, new: &PublicKey) -> Result<(), Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).or_fail(format!("cannot read {}", path.display())),
    };
    let text = with_key(&text, old, new).or_fail(format!("the trust file {} cannot be used", path.display()))?;
    venom_bundle::Trust::parse(&text).or_fail(format!("the trust file {} cannot take the new key", path.display()))?;
    replace_file(path, text.as_bytes(), SHARED_FILE)
}

fn with_key(text: &str, old: &PublicKey, new: &PublicKey) -> Result<String, toml_edit::TomlError> {
    let mut document: toml_edit::DocumentMut = text.parse()?;
    let mut added = false;
    if let Some(publishers) = document
        .get_mut("publishers")
        .and_then(|item| item.as_array_of_tables_mut())
    {
        for publisher in publishers.iter_mut() {
            let Some(keys) = publisher.get_mut("keys").and_then(|item| item.as_array_mut()) else {
                continue;
            };
            let is_old = |value: &toml_edit::Value| {
                value
                    .as_str()
                    .and_then(|text| PublicKey::parse(text).ok())
                    .is_some_and(|key| key == *old)
            };
            if keys.iter().any(is_old) {
                keys.push(new.to_base64());
                added = true;
            }
        }
    }
    let text = document.to_string();
    Ok(if added {
        text
    } else {
        format!("{text}\n{}", publisher_entry("rotated", new))
    })
}

fn report(path: &Path, public: &PublicKey, replaced: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    if json {
        return output::say_json(&Report {
            key_id: public.id().to_string(),
            public_key: public.to_base64(),
            path: path.to_owned(),
            replaced,
        });
    }
    output::say(format!("key id      {}", public.id()))?;
    output::say(format!("public key  {}", public.to_base64()))?;
    output::say(format!("file        {}", path.display()))?;
    if let Some(replaced) = replaced {
        output::say(format!(
            "replaced    {} (still trusted; sign again, then drop it from trust.toml)",
            replaced.display()
        ))?;
    }
    output::say(format!(
        "\nto trust it elsewhere, add to that machine's trust.toml:\n\n{}",
        publisher_entry("NAME", public).trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_goes_beside_the_old_one() {
        let old = SigningKey::generate().unwrap().public();
        let new = SigningKey::generate().unwrap().public();
        let text = format!("# kept\n{}", publisher_entry("local", &old));
        let changed = with_key(&text, &old, &new).unwrap();
        assert!(
            changed.starts_with("# kept") && changed.contains(&old.to_base64()) && changed.contains(&new.to_base64())
        );
        assert_eq!(changed.matches("[[publishers]]").count(), 1);
        let stranger = SigningKey::generate().unwrap().public();
        assert_eq!(
            with_key(&text, &stranger, &new)
                .unwrap()
                .matches("[[publishers]]")
                .count(),
            2
        );
    }
}
