//! `init`: everything a data directory needs. Never overwrites; says what it made and what was there.

use std::path::{Path, PathBuf};

use serde::Serialize;
use venom_bundle::{PublicKey, Root, SigningKey};
use venom_nexus::{Scope, TokenRecord};
use venom_protocol::Timestamp;

use crate::cli::InitArgs;
use crate::data_dir::{
    DataDir, PRIVATE_DIRECTORY, PRIVATE_FILE, SHARED_FILE, make_directory, make_file, new_token, read_token,
};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::Lifetime;

const SETTINGS: &str = include_str!("init/venom.toml");
const POLICY: &str = include_str!("init/policy.toml");
const TRUST: &str = include_str!("init/trust.toml");

/// One part of a data directory.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    path: PathBuf,
    what: &'static str,
    made: bool,
}

/// What `init --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    data_dir: &'a Path,
    key_id: String,
    parts: &'a [Part],
    next: [&'static str; 2],
}

const NEXT: [&str; 2] = ["venom-host nexus", "venom-host spore"];

/// Makes what is missing and tells.
pub(crate) fn run(args: &InitArgs, data: &DataDir) -> Result<(), Failure> {
    let parts = ensure(data)?;
    let key = publisher(data)?;
    if args.json {
        return output::say_json(&Report {
            data_dir: &data.0,
            key_id: key.id().to_string(),
            parts: &parts,
            next: NEXT,
        });
    }
    let (green, dim) = (output::GREEN, output::DIM);
    for part in &parts {
        let path = part.path.display();
        output::say(if part.made {
            format!("{green}made{green:#}  {path}  {dim}{}{dim:#}", part.what)
        } else {
            format!("{dim}kept  {path}  {}{dim:#}", part.what)
        })?;
    }
    output::say(format!("\nskills are signed by key {}\n\nnext:", key.id()))?;
    let directory = if is_default(data) {
        String::new()
    } else {
        format!(" --data-dir {}", data.0.display())
    };
    for command in NEXT {
        output::say(format!("  {command}{directory}"))?;
    }
    Ok(())
}

fn is_default(data: &DataDir) -> bool {
    use crate::settings::{Environment, Sources};
    let none = crate::cli::GlobalArgs {
        config: Some("/dev/null".into()),
        ..Default::default()
    };
    Sources::find(&none, Environment::of_process()).is_ok_and(|sources| sources.data_dir == data.0)
}

/// Makes what is missing.
pub(crate) fn ensure(data: &DataDir) -> Result<Vec<Part>, Failure> {
    let mut parts = vec![directory(data.0.clone(), "data directory")?];
    parts.push(directory(data.keys(), "keys")?);
    parts.extend(key_pair(
        data.publisher_key(),
        data.publisher_public(),
        "signs bundles, releases and roots; keep it secret",
    )?);
    parts.extend(key_pair(
        data.online_key(),
        data.online_public(),
        "signs rollouts; stays with the nexus",
    )?);
    parts.push(root(data)?);
    let key = publisher(data)?;
    let trust = format!("{TRUST}\n{}", publisher_entry("local", &key));
    parts.push(file(data.trust(), &trust, SHARED_FILE, "who may publish skills")?);
    parts.push(file(data.policy(), POLICY, SHARED_FILE, "what skills may do here")?);
    parts.push(file(data.settings(), SETTINGS, SHARED_FILE, "settings")?);
    parts.extend(operator_token(data)?);
    parts.push(secret(data.node_token(), "token spores show the nexus")?);
    parts.push(node_id(data)?);
    parts.push(directory(data.skills(), "bundles a spore offers")?);
    parts.push(directory(data.workspace(), "what skills may touch with --dev")?);
    parts.push(directory(data.compiled(), "compiled code")?);
    Ok(parts)
}

/// Makes what the sandbox needs where nothing is trusted and nothing granted yet: for a machine that is told by its nexus.
pub(crate) fn ensure_sandbox(data: &DataDir) -> Result<(), Failure> {
    file(data.trust(), TRUST, SHARED_FILE, "who may publish skills")?;
    file(data.policy(), POLICY, SHARED_FILE, "what skills may do here")?;
    directory(data.skills(), "bundles a spore offers")?;
    Ok(())
}

fn directory(path: PathBuf, what: &'static str) -> Result<Part, Failure> {
    let made = make_directory(&path, PRIVATE_DIRECTORY)?;
    Ok(Part { path, what, made })
}

fn file(path: PathBuf, text: &str, mode: u32, what: &'static str) -> Result<Part, Failure> {
    let made = make_file(&path, text, mode)?;
    Ok(Part { path, what, made })
}

fn secret(path: PathBuf, what: &'static str) -> Result<Part, Failure> {
    let token = new_token()?;
    file(path, &format!("{}\n", token.reveal()), PRIVATE_FILE, what)
}

fn key_pair(private: PathBuf, public: PathBuf, what: &'static str) -> Result<[Part; 2], Failure> {
    let made = !private.exists();
    if made {
        let key = SigningKey::generate().or_fail(format!("cannot make the key {}", private.display()))?;
        key.save_new(&private).or_fail("cannot keep a new key")?;
    }
    let key = load_key(&private)?;
    let made_public = make_file(&public, &key.public().to_pem(), SHARED_FILE)?;
    let half = Part {
        path: public,
        what: "its public half",
        made: made_public,
    };
    Ok([
        Part {
            path: private,
            what,
            made,
        },
        half,
    ])
}

/// Where trust in updates begins: the publisher key in all roles but that of rollouts, in a swarm of its own.
fn root(data: &DataDir) -> Result<Part, Failure> {
    let (path, what) = (data.root(), "which keys updates are trusted by; spores need a copy");
    if path.exists() {
        return Ok(Part {
            path,
            what,
            made: false,
        });
    }
    let key = load_key(&data.publisher_key())?;
    let online = load_key(&data.online_key())?.public();
    let swarm = uuid::Uuid::new_v4().to_string();
    let swarm = swarm.parse().or_fail("cannot name a swarm")?;
    let now = Timestamp::now();
    let root = Root::first(swarm, &key.public(), &online, now, Lifetime::OF_A_ROOT.after(now)?);
    let mut signed = root.unsigned();
    signed.add_signature(&key);
    file(path, &signed.to_text(), SHARED_FILE, what)
}

fn load_key(path: &Path) -> Result<SigningKey, Failure> {
    SigningKey::load(path).or_fail(format!("the key {} cannot be used", path.display()))
}

fn publisher(data: &DataDir) -> Result<PublicKey, Failure> {
    load_key(&data.publisher_key()).map(|key| key.public())
}

/// The digest goes to tokens.toml, for the nexus; the token itself to operator.token, for the local command line.
fn operator_token(data: &DataDir) -> Result<[Part; 2], Failure> {
    let (digests, plain) = (data.tokens(), data.operator_token());
    if digests.exists() && !plain.exists() {
        // The token of that digest is gone from here on purpose; a new one would not be in the file.
        let what = "operator token of the local command line (only its digest is here)";
        return Ok([
            tokens_part(digests, false),
            Part {
                path: plain,
                what,
                made: false,
            },
        ]);
    }
    let plain = secret(plain, "operator token of the local command line")?;
    let token = read_token(&plain.path)?.ok_or_else(|| Failure::new(format!("{} is gone", plain.path.display())))?;
    let made = make_file(
        &digests,
        &token_entry("local", Scope::Admin, token.reveal()),
        PRIVATE_FILE,
    )?;
    Ok([tokens_part(digests, made), plain])
}

fn tokens_part(path: PathBuf, made: bool) -> Part {
    Part {
        path,
        what: "digests of operator tokens",
        made,
    }
}

fn node_id(data: &DataDir) -> Result<Part, Failure> {
    let path = data.0.join("node_id");
    let made = !path.exists();
    venom_spore::node_id_in(&data.0).or_fail("cannot keep a node id")?;
    Ok(Part {
        path,
        what: "this node's id",
        made,
    })
}

/// The lines a token has in `tokens.toml`.
pub(crate) fn token_entry(name: &str, scope: Scope, token: &str) -> String {
    let digest: String = TokenRecord::of(name, scope, token)
        .sha256
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("[[tokens]]\nname = \"{name}\"\nscope = \"{scope}\" # viewer, operator or admin\nsha256 = \"{digest}\"\n")
}

/// The lines a publisher has in a trust file.
pub(crate) fn publisher_entry(name: &str, key: &PublicKey) -> String {
    format!(
        "[[publishers]]\nname = \"{name}\"\nprefix = \"*\"\nkeys = [\"{}\"]\n",
        key.to_base64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::File;

    #[test]
    fn what_init_writes_can_be_read() {
        File::parse(SETTINGS, Path::new("/d/venom.toml")).unwrap();
        let policy: venom_bundle::capability::Policy = toml::from_str(POLICY).unwrap();
        assert!(policy.skills.is_empty(), "a fresh policy grants nothing");
        let trust = venom_bundle::Trust::parse(TRUST).unwrap();
        assert!(
            trust.publishers().is_empty(),
            "without a publisher of its own a machine trusts nobody"
        );
    }

    /// The settings file with everything in it that is commented out, but for the lines that hold `except`.
    fn uncommented(except: &[&str]) -> File {
        let lines = SETTINGS.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") => rest,
            _ => line,
        });
        let kept: Vec<&str> = lines
            .filter(|line| !except.iter().any(|word| line.starts_with(word)))
            .collect();
        File::parse(&kept.join("\n"), Path::new("/d/venom.toml")).unwrap()
    }

    #[test]
    fn every_commented_setting_exists_and_is_the_default() {
        use crate::settings::{AgentSettings, ClientSettings, Environment, NexusSettings, Sources, SporeSettings};
        uncommented(&[]);
        let merged = |file: File| {
            let sources = Sources {
                env: Environment::of(&[]),
                file,
                data_dir: "/d".into(),
            };
            let nexus = NexusSettings::merge(Default::default(), &sources).unwrap();
            let spore = SporeSettings::merge(Default::default(), &sources, "here".to_owned()).unwrap();
            let client = ClientSettings::merge(Default::default(), &sources).unwrap();
            let agent = AgentSettings::merge(&sources).unwrap();
            format!("{nexus:#?}\n{spore:#?}\n{client:#?}\n{agent:#?}")
        };
        // These have no default that could stand in a file.
        let examples = [
            "tls_", "nexus = ", "name = ", "tags", "ca_file", "url", "token", "username", "password",
        ];
        assert_eq!(merged(uncommented(&examples)), merged(File::default()));
    }

    #[test]
    fn the_example_in_the_policy_is_a_policy() {
        let uncommented: String = POLICY
            .lines()
            .filter_map(|line| line.strip_prefix("#| "))
            .map(|line| format!("{line}\n"))
            .collect();
        let policy: venom_bundle::capability::Policy = toml::from_str(&uncommented).unwrap();
        assert!(!policy.skills.is_empty());
    }
}
