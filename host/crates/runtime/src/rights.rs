//! A skill's grants made ready when it is loaded, so that a call only looks: directories open, programs found,
//! address rules read. Nothing here changes while the skill is loaded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use venom_bundle::capability::{Budgets, Grants};

use crate::capability::GrantError;
use crate::capability::command::CommandGrants;
use crate::capability::fs::{Directories, Directory, Quotas};
use crate::capability::http::{HttpClient, HttpPolicy};
use crate::capability::lan::ResolverShare;
use crate::capability::net::AddressPolicy;
use crate::{Backends, CacheNamespace};

/// What a skill may do, ready to use.
pub(crate) struct Rights {
    pub(crate) skill: Arc<str>,
    pub(crate) grants: Grants,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directories: Directories,
    pub(crate) commands: CommandGrants,
    pub(crate) addresses: Arc<AddressPolicy>,
    pub(crate) http: Arc<HttpPolicy>,
    pub(crate) resolver: ResolverShare,
    pub(crate) cache: Option<CacheShare>,
    pub(crate) backends: Backends,
}

/// A skill's part of the cache.
pub(crate) struct CacheShare {
    pub(crate) namespace: CacheNamespace,
    pub(crate) max_ttl: Duration,
}

/// What all skills of a runtime share.
pub(crate) struct Ground<'a> {
    pub(crate) quotas: &'a Quotas,
    pub(crate) http: &'a HttpClient,
    /// Never reached unless a grant names exactly them.
    pub(crate) denied: &'a [SocketAddr],
}

impl Rights {
    /// Opens and resolves everything granted; all problems at once.
    pub(crate) fn prepare(
        skill: &str,
        grants: Grants,
        backends: &Backends,
        ground: &Ground<'_>,
    ) -> Result<Self, Vec<GrantError>> {
        let mut problems = Vec::new();
        let mut directories = Vec::new();
        for grant in &grants.fs {
            match Directory::open(grant, ground.quotas) {
                Ok(directory) => directories.push(directory),
                Err(problem) => {
                    problems.push(GrantError::new("fs", &grant.host.display().to_string(), problem));
                }
            }
        }
        let commands = keep(
            CommandGrants::resolve(skill, &grants.commands, &grants.fs),
            &mut problems,
        );
        let addresses = keep(AddressPolicy::new(skill, &grants, ground.denied), &mut problems);
        let client = ground.http.clone();
        let environment = |key: &str| std::env::var(key).ok();
        let http = keep(
            HttpPolicy::new(skill, &grants, ground.denied, client, &environment),
            &mut problems,
        );
        let (Some(commands), Some(addresses), Some(http), true) = (commands, addresses, http, problems.is_empty())
        else {
            return Err(problems);
        };
        Ok(Self {
            skill: skill.into(),
            environment: grants
                .env
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            directories,
            commands,
            addresses: Arc::new(addresses),
            http: Arc::new(http),
            resolver: ResolverShare::default(),
            cache: cache_share(skill, &grants),
            backends: backends.clone(),
            grants,
        })
    }

    /// No rights at all, for `describe`; the budgets still hold.
    pub(crate) fn none(
        skill: &str,
        budgets: Budgets,
        backends: &Backends,
        ground: &Ground<'_>,
    ) -> Result<Self, Vec<GrantError>> {
        let grants = Grants {
            budgets,
            ..Grants::default()
        };
        Self::prepare(skill, grants, backends, ground)
    }

    pub(crate) fn budgets(&self) -> &Budgets {
        &self.grants.budgets
    }
}

fn keep<T>(result: Result<T, Vec<GrantError>>, problems: &mut Vec<GrantError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(more) => {
            problems.extend(more);
            None
        }
    }
}

fn cache_share(skill: &str, grants: &Grants) -> Option<CacheShare> {
    let cache = grants.cache.as_ref()?;
    // The two kinds of names cannot meet: a shared one is never mistaken for a skill's own.
    let name = match &cache.namespace {
        Some(shared) => format!("shared:{shared}"),
        None => format!("skill:{skill}"),
    };
    Some(CacheShare {
        namespace: CacheNamespace {
            name,
            quota: cache.quota.as_u64(),
        },
        max_ttl: cache.max_ttl,
    })
}
