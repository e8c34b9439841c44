//! What a release may say: the rules that need nothing but the release. Every text and list has a bound, because it is
//! kept, compared and shown by every spore.

use std::collections::BTreeSet;

use super::signed::check_format;
use super::span::{MAX_LIFETIME, Span};
use super::{BundleRef, DocumentError, DocumentKind, Entry, MAX_ENTRIES, MAX_SEQ, Release, Selector};
use crate::archive::MAX_BUNDLE_FILE_BYTES;
use crate::capability::{HttpHost, Peer};
use crate::{Digest, check_skill_name};

/// Most URLs of one bundle.
pub const MAX_SOURCES: usize = 8;
/// Longest URL of a bundle.
pub const MAX_SOURCE_BYTES: usize = 2_048;
/// Most tags of a selector: no spore has more.
const MAX_TAGS: usize = 64;
/// Longest tag, in characters.
const MAX_TAG: usize = 64;
/// Most spores that one selector names; more than that are a tag.
const MAX_IDS: usize = 1_024;

type Checked = Result<(), DocumentError>;

fn bad(key: impl Into<String>, problem: impl Into<String>) -> DocumentError {
    DocumentError::value(DocumentKind::Release, key, problem)
}

impl Release {
    /// The rules beyond the shape.
    ///
    /// # Errors
    /// [`DocumentError::Value`] names the key.
    pub fn check(&self) -> Result<(), DocumentError> {
        check_format(DocumentKind::Release, self.format)?;
        if self.epoch == 0 || !(1..=MAX_SEQ).contains(&self.seq) {
            return Err(bad("seq", "epochs and numbers begin with 1 and end with 2^53"));
        }
        if self.seq == 1 && self.prev_sha256.is_some() {
            return Err(bad("prev_sha256", "nothing comes before the first release of an epoch"));
        }
        Span {
            kind: DocumentKind::Release,
            begins: ("created", self.created),
            expires: Some(self.expires),
            longest: MAX_LIFETIME,
        }
        .check()?;
        if self.entries.len() > MAX_ENTRIES {
            return Err(bad("entries", format!("more than {MAX_ENTRIES}")));
        }
        let mut known = BTreeSet::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let at = format!("entries[{index}]");
            entry.check(&at, &self.revoked)?;
            if !known.insert((&entry.skill, entry.selector.normal())) {
                let problem = "another entry of this skill is for the very same spores: leave one out";
                return Err(bad(at, problem));
            }
        }
        Ok(())
    }
}

impl Entry {
    fn check(&self, at: &str, revoked: &[Digest]) -> Checked {
        check_skill_name(&self.skill).map_err(|error| bad(format!("{at}.skill"), error.to_string()))?;
        self.selector.check(&format!("{at}.selector"))?;
        let fallback = self.fallback.iter().map(|fallback| ("fallback", fallback));
        for (key, bundle) in [("bundle", &self.bundle)].into_iter().chain(fallback) {
            let at = format!("{at}.{key}");
            bundle.check(&at)?;
            if revoked.contains(&bundle.sha256) {
                return Err(bad(at, "is revoked by this very release: take one of the two out"));
            }
            if !self.allows(&bundle.version) {
                return Err(bad(at, "is below the entry's own `floor`"));
            }
        }
        if self.fallback.as_ref().is_some_and(|it| it.sha256 == self.bundle.sha256) {
            let problem = "is the bundle itself: name another, or leave it out";
            return Err(bad(format!("{at}.fallback"), problem));
        }
        if let Some(grants) = &self.grants {
            let checked = grants.check("grants");
            checked.map_err(|error| bad(format!("{at}.{}", error.key), error.problem))?;
        }
        Ok(())
    }
}

impl BundleRef {
    fn check(&self, at: &str) -> Checked {
        if !(1..=MAX_BUNDLE_FILE_BYTES).contains(&self.size) {
            let problem = format!("is {}, bundles have 1 to {MAX_BUNDLE_FILE_BYTES} bytes", self.size);
            return Err(bad(format!("{at}.size"), problem));
        }
        if self.sources.len() > MAX_SOURCES {
            return Err(bad(format!("{at}.sources"), format!("lists more than {MAX_SOURCES}")));
        }
        for (index, source) in self.sources.iter().enumerate() {
            if !is_source(source) {
                let problem = "is no URL to fetch from: write https://host/path, without user or fragment (http only for this machine)";
                return Err(bad(format!("{at}.sources[{index}]"), problem));
            }
        }
        Ok(())
    }
}

impl Selector {
    fn check(&self, at: &str) -> Checked {
        if self.percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            return Err(bad(format!("{at}.percent"), "give 1 to 100"));
        }
        if self.ids.len() > MAX_IDS {
            return Err(bad(
                format!("{at}.ids"),
                format!("lists more than {MAX_IDS}: use a tag"),
            ));
        }
        if self.tags.len() > MAX_TAGS {
            return Err(bad(format!("{at}.tags"), format!("lists more than {MAX_TAGS}")));
        }
        let fits = |tag: &String| {
            !tag.trim().is_empty() && tag.chars().count() <= MAX_TAG && !tag.chars().any(char::is_control)
        };
        match self.tags.iter().position(|tag| !fits(tag)) {
            Some(index) => Err(bad(
                format!("{at}.tags[{index}]"),
                "tags have 1 to 64 characters, none of control",
            )),
            None => Ok(()),
        }
    }

    /// The same for all selectors that select the same spores because they differ in order, doubles or `percent: 100`.
    pub(super) fn normal(&self) -> (BTreeSet<&str>, BTreeSet<&[u8; 16]>, u8) {
        (
            self.tags.iter().map(String::as_str).collect(),
            self.ids.iter().map(|id| id.0.as_bytes()).collect(),
            self.percent.unwrap_or(100),
        )
    }
}

/// `https://host[:port]/…`, or `http://` where the host is this machine.
fn is_source(url: &str) -> bool {
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return false,
    };
    let Some((authority, path)) = rest.split_once('/') else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>`{}|^".contains(&byte);
    url.len() <= MAX_SOURCE_BYTES && path.bytes().all(plain) && is_host(authority, secure)
}

fn is_host(authority: &str, secure: bool) -> bool {
    match HttpHost::parse(authority).map(|host| host.peer) {
        Some(Peer::Range(range)) => secure || range.addr().is_loopback(),
        Some(Peer::Name(name)) => !name.contains('*') && (secure || name == "localhost"),
        Some(Peer::Anyone) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_https_or_this_machine() {
        for good in [
            "https://example.com/a.venom",
            "https://example.com:8443/a/b?x=1&y=%20",
            "https://10.0.0.1/a",
            "https://[2001:db8::1]:1/",
            "http://127.0.0.1:8080/a",
            "http://[::1]/a",
            "http://localhost/a",
        ] {
            assert!(is_source(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "https:///a",
            "https://example.com",
            "http://example.com/a",
            "http://10.0.0.1/a",
            "http://127.0.0.1.example.com/a",
            "HTTPS://example.com/a",
            "https://Example.com/a",
            "https://user@example.com/a",
            "https://user:pass@example.com/a",
            "https://example.com/a b",
            "https://example.com/a\n",
            "https://example.com/\u{e9}",
            "https://example.com/a#b",
            "https://example.com\\@evil.example/a",
            "https://*.example.com/a",
            "https://*/a",
            "https://10.0.0.0/8",
            "https://0x7f.1/a",
            "https://example.com:0/a",
            "https://example.com:99999/a",
            "file:///etc/passwd",
            "ftp://example.com/a",
            "//example.com/a",
        ] {
            // `10.0.0.0/8` is the host 10.0.0.0 and the path 8: fine over https.
            assert_eq!(is_source(bad), bad == "https://10.0.0.0/8", "{bad}");
        }
        let long = |bytes: usize| format!("https://a.example/{}", "x".repeat(bytes - 18));
        assert!(is_source(&long(MAX_SOURCE_BYTES)) && !is_source(&long(MAX_SOURCE_BYTES + 1)));
    }
}
