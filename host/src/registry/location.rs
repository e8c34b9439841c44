//! `oci://REGISTRY/REPOSITORY[:TAG|@sha256:DIGEST]`: where in an OCI registry something lies. Talks to nobody.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use oci_client::Reference;

/// What such a place begins with.
const SCHEME: &str = "oci://";
/// The tag of a place that names none.
const DEFAULT_TAG: &str = "latest";

/// A place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OciLocation {
    reference: Reference,
}

/// Why a text is no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (write it as oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:DIGEST)")]
pub(crate) struct InvalidLocation {
    problem: String,
}

impl OciLocation {
    /// The place a path means, where it is none on this machine.
    pub(crate) fn of_path(path: &Path) -> Option<Result<Self, InvalidLocation>> {
        let text = path.to_str().filter(|text| text.starts_with(SCHEME))?;
        Some(text.parse())
    }

    /// As the client wants it.
    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// `host[:port]`.
    pub(crate) fn registry(&self) -> &str {
        self.reference.registry()
    }

    /// Where a digest is named, exactly that is meant, for ever.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.reference.digest()
    }

    /// The same repository, exactly these contents.
    pub(crate) fn at(&self, digest: &str) -> Self {
        let reference = self.reference.clone_with_digest(digest.to_owned());
        let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
        Self {
            reference: Reference::with_digest(registry, repository, digest.to_owned()),
        }
    }

    /// Whether the registry is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.registry();
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// `REPOSITORY:TAG` or `REPOSITORY@DIGEST`.
    pub(crate) fn name(&self) -> String {
        let repository = self.reference.repository();
        match (self.digest(), self.reference.tag()) {
            (Some(digest), _) => format!("{repository}@{digest}"),
            (None, tag) => format!("{repository}:{}", tag.unwrap_or(DEFAULT_TAG)),
        }
    }
}

impl fmt::Display for OciLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry(), self.name())
    }
}

impl FromStr for OciLocation {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let wrong = |problem: String| InvalidLocation { problem };
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| wrong(format!("`{text}` does not begin with {SCHEME}")))?;
        // Without this a name alone would quietly mean a registry that nobody named.
        let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
        if !rest.split_once('/').is_some_and(|(host, _)| is_host(host)) {
            return Err(wrong(format!("`{text}` names no registry")));
        }
        let reference: Reference = rest
            .parse()
            .map_err(|error| wrong(format!("`{text}` cannot be read: {error}")))?;
        match (reference.tag(), reference.digest()) {
            (Some(_), Some(_)) => Err(wrong(format!("`{text}` names a tag and a digest, one is enough"))),
            (_, Some(digest)) if !digest.starts_with("sha256:") => {
                Err(wrong(format!("`{text}` names a digest that is not SHA-256")))
            }
            _ => Ok(Self { reference }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_place_is_a_registry_a_repository_and_a_tag_or_digest() {
        let cases = [
            (
                "oci://127.0.0.1:5000/skills/greeter:1.2.0",
                "skills/greeter:1.2.0",
                true,
            ),
            ("oci://localhost/greeter", "greeter:latest", true),
            ("oci://ghcr.io/acme/greeter:1", "acme/greeter:1", false),
            ("oci://registry.example:443/a/b/c:x", "a/b/c:x", false),
        ];
        for (text, name, loopback) in cases {
            let location: OciLocation = text.parse().unwrap();
            assert_eq!((location.name().as_str(), location.is_loopback()), (name, loopback));
            let pinned = location.at(DIGEST);
            assert_eq!(pinned.digest(), Some(DIGEST));
            assert_eq!(pinned.to_string().parse::<OciLocation>().unwrap(), pinned);
        }
        let bare: OciLocation = "oci://localhost/greeter".parse().unwrap();
        assert_eq!(bare.to_string(), "oci://localhost/greeter:latest");
    }

    #[test]
    fn what_is_not_one_says_how_to_write_it() {
        let both = format!("oci://a.example/b:c@{DIGEST}");
        for text in [
            "a.example/b",
            "oci://greeter",
            "oci://acme/greeter",
            "oci://a.example/",
            "oci://a.example/B",
            "oci://a.example/b:c d",
            "oci://a.example/b@sha256:12",
            "oci://a.example/b@md5:d41d8cd98f00b204e9800998ecf8427e",
            &both,
        ] {
            let error = text.parse::<OciLocation>().unwrap_err().to_string();
            assert!(error.contains("REGISTRY/REPOSITORY"), "{text}: {error}");
        }
    }

    #[test]
    fn paths_on_this_machine_are_none() {
        assert!(OciLocation::of_path(Path::new("./oci/greeter.venom")).is_none());
        assert!(OciLocation::of_path(Path::new("oci://a.example/b")).unwrap().is_ok());
        assert!(OciLocation::of_path(Path::new("oci://b")).unwrap().is_err());
    }
}
