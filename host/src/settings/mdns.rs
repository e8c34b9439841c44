//! Settings of finding each other in the LAN.

use venom_mdns::{Interfaces, Selector};

use super::{SettingError, Sources, env};
use crate::cli::MdnsArgs;

/// Whether and where mDNS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MdnsSettings {
    /// Off: nothing is announced, nobody looked for.
    pub enabled: bool,
    pub interfaces: Interfaces,
}

impl MdnsSettings {
    /// Merges flags, environment, file and defaults.
    pub(crate) fn merge(args: MdnsArgs, sources: &Sources) -> Result<Self, SettingError> {
        let off = args.no_mdns.then_some(super::Switch(false));
        let enabled = sources.pick_switch(off, env::MDNS, sources.file.mdns.enabled)?;
        Ok(Self {
            enabled: enabled.unwrap_or(true),
            interfaces: interfaces(args.mdns_interface, sources)?,
        })
    }
}

fn interfaces(flags: Vec<Selector>, sources: &Sources) -> Result<Interfaces, SettingError> {
    if !flags.is_empty() {
        return Ok(flags.into());
    }
    let Some(list) = sources.env.get(env::MDNS_INTERFACES) else {
        return Ok(sources.file.mdns.interfaces.clone().unwrap_or_default().into());
    };
    let selectors: Result<Vec<Selector>, _> = list.split(',').map(str::parse).collect();
    match selectors {
        Ok(selectors) => Ok(selectors.into()),
        Err(error) => Err(SettingError::Variable {
            name: env::MDNS_INTERFACES,
            value: list.to_owned(),
            why: error.to_string(),
        }),
    }
}
