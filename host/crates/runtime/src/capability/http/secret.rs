//! Secrets: read when the skill is loaded, handed out as placeholders, written into headers on the way out.
//! No value is ever logged, shown by `Debug` or put into an error.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use venom_bundle::capability::SecretGrant;

use super::host::{HostPattern, Target};
use crate::capability::GrantError;

/// How every placeholder begins.
pub(super) const PREFIX: &str = "venom-secret-";
/// What a response header is blanked with.
const BLANK: HeaderValue = HeaderValue::from_static("[secret]");

/// A skill's secrets.
#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeMap<String, Secret>);

struct Secret {
    value: String,
    audience: Vec<HostPattern>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    pub(super) fn read(
        grants: &BTreeMap<String, SecretGrant>,
        environment: &dyn Fn(&str) -> Option<String>,
        errors: &mut Vec<GrantError>,
    ) -> Self {
        let mut secrets = BTreeMap::new();
        for (name, grant) in grants {
            match Secret::read(grant, environment) {
                Ok(secret) => drop(secrets.insert(name.clone(), secret)),
                Err(problem) => errors.push(GrantError::new("secret", name, problem)),
            }
        }
        Self(secrets)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn value_for(&self, name: &str, target: &Target) -> Option<&str> {
        let secret = self.0.get(name)?;
        secret
            .audience
            .iter()
            .any(|host| host.matches(target))
            .then_some(secret.value.as_str())
    }

    /// Takes injected secrets out of a response's headers.
    pub(super) fn blank(&self, injected: &[String], headers: &mut HeaderMap) {
        let values: Vec<&str> = injected
            .iter()
            .filter_map(|name| self.0.get(name))
            .map(|one| one.value.as_str())
            .collect();
        for value in headers.values_mut() {
            if values.iter().any(|secret| holds(value.as_bytes(), secret.as_bytes())) {
                *value = BLANK;
            }
        }
    }
}

impl Secret {
    fn read(grant: &SecretGrant, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let value = match (&grant.env, &grant.file) {
            (Some(key), None) => environment(key)
                .ok_or_else(|| format!("environment variable {key} is not set (set it for the spore)"))?,
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                line.strip_suffix('\r').unwrap_or(line).to_owned()
            }
            _ => return Err("needs either `env` or `file`".to_owned()),
        };
        if value.is_empty() {
            return Err("is empty".to_owned());
        }
        if HeaderValue::from_str(&value).is_err() {
            return Err("holds characters that no header can carry".to_owned());
        }
        if grant.audience.is_empty() {
            return Err("has no `audience`, so it could never be sent".to_owned());
        }
        let audience = grant
            .audience
            .iter()
            .map(|host| HostPattern::parse(host).map_err(|problem| format!("audience `{host}`: {problem}")));
        Ok(Self {
            value,
            audience: audience.collect::<Result<_, _>>()?,
        })
    }
}

/// The placeholders one call was given: text to name.
#[derive(Debug, Default)]
pub(super) struct Placeholders(Vec<(String, String)>);

impl Placeholders {
    /// The call's placeholder for a secret; the same each time it asks.
    pub(super) fn of(&mut self, name: &str) -> String {
        if let Some((text, _)) = self.0.iter().find(|(_, known)| known == name) {
            return text.clone();
        }
        let text = format!("{PREFIX}{:032x}", rand::random::<u128>());
        self.0.push((text.clone(), name.to_owned()));
        text
    }

    /// Writes secrets in place of their placeholders. Answers the names of those written; the error is the
    /// reason for people.
    pub(super) fn fill(
        &self,
        secrets: &Secrets,
        target: &Target,
        headers: &mut HeaderMap,
    ) -> Result<Vec<String>, String> {
        let mut written = Vec::new();
        for (header, value) in headers.iter_mut() {
            if !holds(value.as_bytes(), PREFIX.as_bytes()) {
                continue;
            }
            let mut text = value
                .to_str()
                .map_err(|_| format!("header {header} mixes a secret with other than text"))?
                .to_owned();
            for (placeholder, name) in &self.0 {
                if text.contains(placeholder) {
                    let secret = secrets.value_for(name, target);
                    let secret = secret.ok_or_else(|| format!("secret `{name}` may not be sent to this host"))?;
                    text = text.replace(placeholder, secret);
                    written.push(name.clone());
                }
            }
            *value = HeaderValue::from_str(&text).map_err(|_| format!("header {header} is none once filled"))?;
            value.set_sensitive(true);
        }
        Ok(written)
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(env: Option<&str>, file: Option<&str>, audience: &[&str]) -> SecretGrant {
        SecretGrant {
            env: env.map(str::to_owned),
            file: file.map(Into::into),
            audience: audience.iter().map(ToString::to_string).collect(),
        }
    }

    fn problem(grant: SecretGrant, value: &str) -> String {
        let value = value.to_owned();
        let environment = move |key: &str| (key == "KEY").then(|| value.clone());
        Secret::read(&grant, &environment).unwrap_err()
    }

    #[test]
    fn a_secret_that_cannot_work_is_refused_without_its_value() {
        assert!(problem(grant(Some("NONE"), None, &["a"]), "x").contains("NONE is not set"));
        assert!(problem(grant(None, None, &["a"]), "x").contains("either"));
        assert!(problem(grant(Some("KEY"), Some("/x"), &["a"]), "x").contains("either"));
        assert!(problem(grant(None, Some("/no/such"), &["a"]), "x").contains("/no/such"));
        assert!(problem(grant(Some("KEY"), None, &[]), "x").contains("audience"));
        assert!(problem(grant(Some("KEY"), None, &["a b"]), "x").contains("a b"));
        assert!(problem(grant(Some("KEY"), None, &["a"]), "").contains("empty"));
        let unfit = problem(grant(Some("KEY"), None, &["a"]), "geheim\n");
        assert!(unfit.contains("no header") && !unfit.contains("geheim"), "{unfit}");
    }

    #[test]
    fn a_file_loses_its_last_newline_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " geheim \r\n").unwrap();
        let read = Secret::read(&grant(None, file.path().to_str(), &["a"]), &|_| None).unwrap();
        assert_eq!(read.value, " geheim ");
        assert!(!format!("{read:?}").contains("geheim"));
    }
}
