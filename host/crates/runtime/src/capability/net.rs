//! Which addresses and names a skill may reach through sockets. It never opens one: wasmtime-wasi does,
//! and asks here before each.
//!
//! Once a skill, when it is loaded: [`AddressPolicy::new`]. Once a call: [`NetCall::new`]. Then
//!
//! ```text
//! let net = NetCall::new(policy.clone(), connections.clone(), refusals.clone());
//! let wasi = WasiCtx::builder()
//!     .allow_tcp(policy.allows(NetProtocol::Tcp))
//!     .allow_udp(policy.allows(NetProtocol::Udp))
//!     .allow_ip_name_lookup(true) // the names are checked by `NameLookup`
//!     .socket_addr_check(net.check()) ...;
//! // once a linker, after wasmtime_wasi::p2::add_to_linker_async:
//! linker.allow_shadowing(true);
//! ip_name_lookup::add_to_linker::<State, NameLookups>(&mut linker, |state: &mut State| NameLookup::new(state.sockets(), &net))?;
//! ```
//!
//! (`state.sockets()` borrows the whole state, so the closure builds `WasiSocketsCtxView` from the fields; see
//! [`NameLookup::new`].) When a call failed, `refusals.explain()` is the text to add to its error.

mod call;
mod lookup;
mod name;
mod policy;
mod special;

pub use call::NetCall;
pub use lookup::{NameLookup, NameLookups};
pub use policy::AddressPolicy;

pub(crate) use name::{NamePattern, normalise};
pub(crate) use special::{Special, embedded, is_public, specials};
