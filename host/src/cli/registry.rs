//! `bundle push` and `bundle pull`: bundles in OCI registries.

use std::path::PathBuf;

use clap::Args;

use crate::registry::OciLocation;

/// How a registry is reached.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RegistryArgs {
    /// User of the registry [env: VENOM_REGISTRY_USERNAME] [default: the login of `docker login`]
    #[arg(long, value_name = "NAME", help_heading = "Registry")]
    pub username: Option<String>,
    /// Read the password or token from standard input [env: VENOM_REGISTRY_PASSWORD]
    #[arg(long, help_heading = "Registry")]
    pub password_stdin: bool,
    /// Ask without TLS; needless for a registry on this machine [env: VENOM_REGISTRY_PLAIN_HTTP]
    #[arg(long, help_heading = "Registry")]
    pub plain_http: bool,
    /// Certificates to trust beside the public ones, PEM [env: VENOM_REGISTRY_CA_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Registry", conflicts_with = "plain_http")]
    pub registry_ca: Option<PathBuf>,
}

/// `venom-host bundle push`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host bundle push Greeter.venom oci://ghcr.io/acme/skills/greeter:1.2.0\n  \
                  venom-host bundle push Greeter.venom oci://127.0.0.1:5000/greeter --json | jq -r .pinned\n\n\
                  Other tools see a WebAssembly component: wkg oci pull, oras pull. The signed manifest goes with it as an annotation."
)]
pub(crate) struct PushArgs {
    /// Bundle to push
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Where to, `oci://REGISTRY/REPOSITORY[:TAG]`; the tag is `latest` where none is named
    #[arg(value_name = "LOCATION")]
    pub location: OciLocation,
    /// Which registry, and as whom.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host bundle pull`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host bundle pull oci://ghcr.io/acme/skills/greeter:1.2.0\n  \
                  venom-host bundle pull oci://ghcr.io/acme/skills/greeter@sha256:DIGEST --out Greeter.venom\n\n\
                  The file is the one that was pushed, byte for byte. Nothing is verified yet: see bundle verify."
)]
pub(crate) struct PullArgs {
    /// Where from, `oci://REGISTRY/REPOSITORY[:TAG|@sha256:DIGEST]`
    #[arg(value_name = "LOCATION")]
    pub location: OciLocation,
    /// Bundle to write [default: {name}.venom]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which registry, and as whom.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
