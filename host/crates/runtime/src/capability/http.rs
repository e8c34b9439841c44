//! Outgoing HTTP of a skill, HTTP/1.1 with or without TLS. It never follows a redirect (the guest may, and is
//! checked again), never reuses a connection and starts no task of its own: wasmtime-wasi-http drives what is
//! returned here and ends it with the call.
//!
//! Once a runtime: [`HttpClient::new`]. Once a skill, when it is loaded: [`HttpPolicy::new`], which also reads
//! the secrets. Once a call, when first needed: [`HttpCall::new`], which is the `hooks` of a
//! `WasiHttpCtxView` and hands out placeholders for `settings.secret`.
//!
//! ```text
//! let client = HttpClient::new(&[])?;                                        // extra roots beside webpki-roots
//! let http = Arc::new(HttpPolicy::new(skill, &grants, &denied, client, &|key| std::env::var(key).ok())?);
//! let mut call = HttpCall::new(http.clone(), connections.clone(), refusals.clone(), deadline);
//! WasiHttpCtxView { hooks: &mut call, table: &mut table, ctx: &mut WasiHttpCtx }   // in WasiHttpView::http
//! call.secret(name)                                                          // Result<String, Refusal>
//! wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;       // once a linker
//! ```
//!
//! **Order of checks:** scheme, host, port and method against the grants; secrets against their audience; then
//! the name is resolved once, every address is checked, and one of the approved addresses is dialled.
//!
//! **Secrets:** a placeholder in a request header becomes the secret only on its way to a host of the secret's
//! audience; to any other the request is refused. A response header that repeats a secret is blanked. A body is
//! passed on as it comes: a host that writes the secret it was sent into a body hands it to the skill, so an
//! audience must be trusted that far.

mod body;
mod client;
mod exchange;
mod hooks;
mod host;
mod policy;
mod secret;

pub use client::{HttpClient, Resolve, SystemResolver};
pub use hooks::HttpCall;
pub use policy::HttpPolicy;

#[cfg(test)]
mod tests;
