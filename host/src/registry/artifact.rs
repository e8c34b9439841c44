//! What a bundle is in a registry: the wasm artifact that other tools know (a manifest with a wasm config and the component
//! as its one layer), with the signed envelope as an annotation of the manifest. Those tools refuse a second layer and
//! ignore annotations; and the digest of the manifest covers the signatures too. Talks to nobody.

use std::collections::BTreeMap;

use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde::{Deserialize, Serialize};
use venom_bundle::{BundleParts, Digest, MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES, Manifest, inspect_component};
use venom_protocol::Timestamp;

use crate::failure::{Explain as _, Failure};

/// Media type of the config of wasm artifacts.
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// Media type of the component.
const COMPONENT_TYPE: &str = "application/wasm";
/// The signed envelope, exactly as it stands in the `.venom` file.
const ENVELOPE: &str = "vnd.venom.bundle.envelope.v1+json";
/// SHA-256 of the whole `.venom` file.
const FILE_SHA256: &str = "vnd.venom.bundle.file.sha256";
/// Most bytes of a manifest: an envelope at its largest whose every byte is escaped, and the rest.
pub(super) const MAX_MANIFEST_BYTES: usize = 2 * MAX_ENVELOPE_BYTES + 64 * 1024;

/// What is pushed.
pub(super) struct Artifact {
    /// The manifest's bytes.
    pub(super) manifest: Vec<u8>,
    /// The config's bytes.
    pub(super) config: Vec<u8>,
}

/// The config of a wasm component.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig<'a> {
    created: Timestamp,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [String; 1],
    component: WasmComponent<'a>,
}

/// What a component is for.
#[derive(Serialize)]
struct WasmComponent<'a> {
    exports: Vec<String>,
    imports: Vec<String>,
    target: &'a str,
}

impl Artifact {
    /// Of a bundle; always the same bytes for the same bundle.
    pub(super) fn of(parts: &BundleParts, manifest: &Manifest) -> Result<Self, Failure> {
        let what = "the bundle cannot be made an OCI artifact";
        let shape = inspect_component(parts.component()).or_fail(what)?;
        let component = descriptor(COMPONENT_TYPE, parts.component());
        let config = serde_json::to_vec(&WasmConfig {
            created: manifest.created,
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [component.digest.clone()],
            component: WasmComponent {
                exports: shape.exports,
                imports: shape.imports,
                target: &manifest.world,
            },
        })
        .or_fail(what)?;
        let title = format!("{}.wasm", manifest.name);
        let named = BTreeMap::from([("org.opencontainers.image.title".to_owned(), title)]);
        let image = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config: descriptor(CONFIG_TYPE, &config),
            layers: vec![OciDescriptor {
                annotations: Some(named),
                ..component
            }],
            annotations: Some(annotations(parts, manifest)),
            ..OciImageManifest::default()
        };
        let manifest = serde_json::to_vec(&image).or_fail(what)?;
        Ok(Self { manifest, config })
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: digest(bytes),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

/// `sha256:...`, as registries write it.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes))
}

fn annotations(parts: &BundleParts, manifest: &Manifest) -> BTreeMap<String, String> {
    let known = |key: &str| format!("org.opencontainers.image.{key}");
    BTreeMap::from([
        (known("title"), manifest.name.clone()),
        (known("version"), manifest.version.to_string()),
        (known("description"), manifest.summary.clone()),
        (known("created"), manifest.created.to_string()),
        (ENVELOPE.to_owned(), parts.envelope().to_owned()),
        (FILE_SHA256.to_owned(), Digest::of(&parts.join()).to_string()),
    ])
}

/// A bundle of which only the component is still to be fetched.
pub(super) struct Announced {
    /// Its envelope.
    pub(super) envelope: String,
    /// Of the component.
    pub(super) component: OciDescriptor,
    /// Bytes of the component.
    pub(super) size: u64,
    /// Digest of the whole file.
    pub(super) file_sha256: Option<String>,
}

/// Something else than a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error(
        "it is a plain WebAssembly component, without what makes it a bundle: a signed manifest that says what the skill is and asks for"
    )]
    Unsigned,
    #[error("it is a choice of several images (`{0}`), a bundle is one artifact")]
    Index(String),
    #[error("its config is of the type `{0}`, that of a bundle is `{CONFIG_TYPE}`")]
    Config(String),
    #[error("it has {0}, a bundle has one layer of the type `{COMPONENT_TYPE}`")]
    Layers(String),
    #[error("its component has {0} bytes, at most {MAX_COMPONENT_BYTES} are taken")]
    Size(i64),
    #[error("its manifest cannot be read: {0}")]
    Broken(String),
}

impl Foreign {
    /// What to do about it.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::Unsigned => {
                "fetch the component with `wkg oci pull` or `oras pull`, look at it, write its skill.toml, and sign it yourself with `venom-host bundle pack COMPONENT`"
            }
            _ => "name what `venom-host bundle push` made",
        }
    }
}

/// The kind of a manifest, before anything else in it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// Reads the manifest of what should be a bundle.
pub(super) fn read(bytes: &[u8]) -> Result<Announced, Foreign> {
    let broken = |error: serde_json::Error| Foreign::Broken(error.to_string());
    let kind: Kind = serde_json::from_slice(bytes).map_err(broken)?;
    if kind.manifests.is_some() {
        return Err(Foreign::Index(brief(&kind.media_type.unwrap_or_default())));
    }
    let manifest: OciImageManifest = serde_json::from_slice(bytes).map_err(broken)?;
    if manifest.config.media_type != CONFIG_TYPE {
        return Err(Foreign::Config(brief(&manifest.config.media_type)));
    }
    let component = match manifest.layers.as_slice() {
        [layer] if layer.media_type == COMPONENT_TYPE => layer.clone(),
        [layer] => {
            return Err(Foreign::Layers(format!(
                "a layer of the type `{}`",
                brief(&layer.media_type)
            )));
        }
        layers => return Err(Foreign::Layers(format!("{} layers", layers.len()))),
    };
    let mut annotations = manifest.annotations.unwrap_or_default();
    let envelope = annotations.remove(ENVELOPE).ok_or(Foreign::Unsigned)?;
    let size = u64::try_from(component.size)
        .ok()
        .filter(|size| *size <= MAX_COMPONENT_BYTES)
        .ok_or(Foreign::Size(component.size))?;
    Ok(Announced {
        envelope,
        size,
        // What a manifest names beside the registry itself is not followed.
        component: OciDescriptor {
            urls: None,
            ..component
        },
        file_sha256: annotations.remove(FILE_SHA256),
    })
}

/// What strangers wrote, short enough for a line.
fn brief(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
