//! `tokens.toml`: who may use the REST interface, as digests. Read once at start; never written here.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use venom_nexus::{Scope, TokenRecord};

use crate::failure::{Explain as _, Failure};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    #[serde(default)]
    tokens: Vec<TokenLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenLine {
    name: String,
    scope: Scope,
    sha256: venom_bundle::Digest,
}

/// Reads the file. Without `--dev` a nexus that knows no token would refuse everybody, so that is a failure.
pub(crate) fn read(path: &Path, dev: bool) -> Result<Vec<TokenRecord>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).or_fail(format!("cannot read {}", path.display())),
    };
    let tokens = parse(&text).map_err(|error| {
        Failure::new(format!("the token file {} cannot be used", path.display())).because(error.to_string())
    })?;
    if tokens.is_empty() && !dev {
        return Err(
            Failure::new(format!("there is no operator token in {}", path.display()))
                .because("this nexus would refuse every request")
                .help("run `venom-host init` to make one, or try things out with --dev (loopback only)"),
        );
    }
    Ok(tokens)
}

fn parse(text: &str) -> Result<Vec<TokenRecord>, toml::de::Error> {
    let file: TokensFile = toml::from_str(text)?;
    let record = |line: TokenLine| TokenRecord {
        name: line.name,
        scope: line.scope,
        sha256: *line.sha256.as_bytes(),
    };
    Ok(file.tokens.into_iter().map(record).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::init::token_entry;

    #[test]
    fn what_init_writes_is_what_the_nexus_compares_with() {
        let records = parse(&token_entry("local", Scope::Viewer, "secret")).unwrap();
        assert_eq!(records, [TokenRecord::of("local", Scope::Viewer, "secret")]);
    }

    #[test]
    fn unknown_scopes_and_keys_are_refused() {
        let entry = token_entry("local", Scope::Viewer, "secret");
        assert!(parse(&entry.replace("\"viewer\"", "\"root\"")).is_err());
        assert!(parse(&entry.replace("scope", "scopes")).is_err());
    }
}
