//! `host verify`: whether a program is the one that was signed, for this machine and this swarm, and may still be installed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use venom_bundle::{Digest, DocumentKind, MAX_HOST_BYTES, TrustedHostArtefact};
use venom_protocol::Timestamp;

use super::TARGET;
use crate::cli::{ArtefactArgs, VerifyHostArgs};
use crate::commands::root;
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::output;

/// Bytes read at one time.
const CHUNK: usize = 256 * 1024;

/// An artefact that is believed, and what it has to be for.
pub(super) struct Believed {
    pub(super) artefact: TrustedHostArtefact,
    pub(super) target: String,
}

/// Says yes or no.
pub(super) fn run(args: &VerifyHostArgs, data: &DataDir) -> Result<(), Failure> {
    let args = &args.artefact;
    match check(args, data) {
        Ok(believed) => told(args, &believed),
        Err(failure) if args.json => {
            output::say_json(
                &serde_json::json!({ "verified": false, "path": args.file, "problem": failure.summary() }),
            )?;
            Err(Failure::told())
        }
        Err(failure) => Err(failure),
    }
}

fn check(args: &ArtefactArgs, data: &DataDir) -> Result<Believed, Failure> {
    let believed = Believed::read(args, data)?;
    let file = open(&args.file)?;
    let measured = measure(file, std::io::sink()).or_fail(format!("cannot read {}", args.file.display()))?;
    believed.check(&measured, &args.file)?;
    Ok(believed)
}

/// Opens a program.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).or_fail(format!("cannot read {}", path.display()))
}

/// What a file is, as far as an artefact names it.
pub(super) struct Measured {
    sha256: Digest,
    size: u64,
}

impl Measured {
    /// Its digest and its size.
    pub(super) fn into_parts(self) -> (Digest, u64) {
        (self.sha256, self.size)
    }
}

/// Copies a program and measures what was copied; stops where it is longer than any program may be.
pub(super) fn measure(file: impl Read, mut copy: impl std::io::Write) -> std::io::Result<Measured> {
    let mut file = file.take(MAX_HOST_BYTES + 1);
    let (mut hash, mut size, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let read = file.read(&mut chunk)?;
        let bytes = chunk.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            let sha256 = Digest::from_bytes(hash.finalize().into());
            return Ok(Measured { sha256, size });
        }
        hash.update(bytes);
        copy.write_all(bytes)?;
        size += bytes.len() as u64;
    }
}

impl Believed {
    /// Reads an artefact and believes it, or says why not.
    pub(super) fn read(args: &ArtefactArgs, data: &DataDir) -> Result<Self, Failure> {
        let root = root::load(args.root.as_deref(), data)?;
        let shown = args.artefact.display();
        let bytes = read_document(&args.artefact)?;
        let artefact = root.host_artefact(&bytes).or_advise(
            format!("the artefact {shown} is not believed"),
            "it must be signed by enough release keys of the root: `venom-host root show` lists them, `venom-host host sign` adds a signature",
        )?;
        if artefact.is_expired(Timestamp::now()) {
            return Err(
                Failure::new(format!("the artefact {shown} must not be installed any more"))
                    .because("it, or the root it is believed by, expired")
                    .help("fetch a newer one, or let its maker sign it again"),
            );
        }
        Ok(Self {
            artefact,
            target: args.target.clone().unwrap_or_else(|| TARGET.to_owned()),
        })
    }

    /// Whether what was measured is the signed program.
    pub(super) fn check(&self, measured: &Measured, path: &Path) -> Result<(), Failure> {
        self.artefact
            .matches(&measured.sha256, measured.size, &self.target)
            .or_fail(format!("{} is not the program that was signed", path.display()))
    }

    /// Whether what was measured is the signed program already, whatever it is for.
    pub(super) fn is(&self, measured: &Measured) -> bool {
        let signed = self.artefact.artefact();
        (signed.sha256, signed.size) == (measured.sha256, measured.size)
    }
}

/// A document, no longer than one may be.
pub(super) fn read_document(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = DocumentKind::Host.max_bytes() as u64 + 1;
    let read = open(path)?.take(limit).read_to_end(&mut bytes);
    read.or_fail(format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

fn told(args: &ArtefactArgs, believed: &Believed) -> Result<(), Failure> {
    let signed = believed.artefact.artefact();
    if args.json {
        return output::say_json(&serde_json::json!({
            "verified": true, "path": args.file, "version": signed.version, "target": signed.target,
            "sha256": signed.sha256, "size": signed.size, "created": signed.created, "expires": signed.expires,
            "swarm_id": signed.swarm_id,
        }));
    }
    let green = output::GREEN;
    output::say(format!(
        "{green}verified{green:#}: {} is venom-host {} for {}",
        args.file.display(),
        signed.version,
        signed.target
    ))?;
    output::say(format!("sha256  {}", signed.sha256))
}
