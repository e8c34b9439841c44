//! Which capability each import of a component belongs to: one table, by which authors are warned when they pack, and
//! hosts refuse to load. It grants nothing: a call into a declared import is still decided by the rights in force.

use std::fmt;

use crate::capability::Request;
use crate::shape::ComponentShape;

/// A capability whose use shows in the imports. (Toolchains import `wasi:filesystem` and `wasi:cli` into everything,
/// so those tell nothing.)
struct Capability {
    /// How it is named in `unused_imports`.
    group: &'static str,
    /// Each of these is enough to use it.
    interfaces: &'static [&'static str],
    /// For people: the key in `skill.toml`.
    word: &'static str,
    asked: fn(&Request) -> bool,
}

const CAPABILITIES: [Capability; 7] = [
    Capability {
        group: "venom:skill/command",
        interfaces: &["venom:skill/command"],
        word: "commands",
        asked: |request| !request.commands.is_empty(),
    },
    Capability {
        group: "venom:skill/cache",
        interfaces: &["venom:skill/cache"],
        word: "cache",
        asked: |request| request.cache,
    },
    Capability {
        group: "venom:skill/hive",
        interfaces: &["venom:skill/hive"],
        word: "hive",
        asked: |request| !request.hive.is_empty(),
    },
    Capability {
        group: "venom:skill/settings",
        interfaces: &["venom:skill/settings"],
        word: "config or secrets",
        asked: |request| !request.config.is_empty() || !request.secrets.is_empty(),
    },
    Capability {
        group: "venom:skill/lan",
        interfaces: &["venom:skill/lan"],
        word: "lan",
        asked: |request| !request.lan.is_empty(),
    },
    Capability {
        group: "wasi:http",
        interfaces: &["wasi:http/outgoing-handler"],
        word: "http",
        asked: |request| !request.http.is_empty(),
    },
    Capability {
        group: "wasi:sockets",
        interfaces: &[
            "wasi:sockets/tcp",
            "wasi:sockets/udp",
            "wasi:sockets/ip-name-lookup",
            "wasi:sockets/tcp-create-socket",
            "wasi:sockets/udp-create-socket",
        ],
        word: "net or dns",
        asked: |request| !request.net.is_empty() || !request.dns.is_empty(),
    },
];

/// An import whose capability the manifest neither asks for nor declares unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndeclaredImport {
    /// Without its version, like `venom:skill/cache`.
    pub interface: &'static str,
    /// What would have to be asked for.
    pub capability: &'static str,
    /// What would have to be declared unused.
    pub group: &'static str,
}

impl fmt::Display for UndeclaredImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interface,
            capability,
            group,
        } = self;
        write!(
            f,
            "the component imports {interface} but its manifest asks for no {capability}: ask for it under [capabilities] in skill.toml, or, when only the toolchain imports it, add \"{group}\" to unused_imports there"
        )
    }
}

impl ComponentShape {
    /// The imports a manifest does not account for: such a component is refused by every host.
    #[must_use]
    pub fn undeclared(&self, asked: &Request, unused: &[String]) -> Vec<UndeclaredImport> {
        let not_declared = CAPABILITIES
            .iter()
            .filter(|capability| !(capability.asked)(asked) && !unused.iter().any(|group| group == capability.group));
        not_declared
            .filter_map(|capability| {
                self.first_of(capability).map(|interface| UndeclaredImport {
                    interface,
                    capability: capability.word,
                    group: capability.group,
                })
            })
            .collect()
    }

    /// Declarations that nothing in the component needs, for its author.
    pub(crate) fn needless(&self, asked: &Request, unused: &[String]) -> Vec<String> {
        let mut needless = Vec::new();
        for capability in &CAPABILITIES {
            let (imported, asked) = (self.first_of(capability).is_some(), (capability.asked)(asked));
            let (word, group) = (capability.word, capability.group);
            if asked && !imported {
                needless.push(format!(
                    "skill.toml asks for {word} but the component imports none of {}: ask for less",
                    capability.interfaces.join(", ")
                ));
            }
            if unused.iter().any(|unused| unused == group) && (asked || !imported) {
                let why = if asked {
                    format!("skill.toml asks for {word}")
                } else {
                    "the component does not import it".to_owned()
                };
                needless.push(format!("unused_imports names \"{group}\" but {why}: take it out"));
            }
        }
        needless
    }

    fn first_of(&self, capability: &Capability) -> Option<&'static str> {
        let mut interfaces = capability.interfaces.iter();
        interfaces.find(|interface| self.imports_interface(interface)).copied()
    }
}

/// The first of these names that `unused_imports` does not know, with those it knows.
pub(crate) fn unknown_group(names: &[String]) -> Option<(String, String)> {
    let is_known = |name: &&String| CAPABILITIES.iter().any(|capability| capability.group == name.as_str());
    let unknown = names.iter().find(|name| !is_known(name))?;
    let known: Vec<_> = CAPABILITIES.iter().map(|capability| capability.group).collect();
    Some((unknown.chars().take(80).collect(), known.join(", ")))
}
