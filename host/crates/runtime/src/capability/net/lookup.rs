//! `wasi:sockets/ip-name-lookup` with the names checked and the answers remembered. The look-up itself is
//! wasmtime-wasi's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{Host, HostResolveAddressStream, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, HostNetwork, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, SocketError};
use wasmtime_wasi::sockets::WasiSocketsCtxView;

use super::NetCall;

/// The type parameter of `ip_name_lookup::add_to_linker`.
#[derive(Debug)]
pub struct NameLookups;

impl HasData for NameLookups {
    type Data<'a> = NameLookup<'a>;
}

/// One use of the interface: the stock implementation and the call whose grants decide.
pub struct NameLookup<'a> {
    sockets: WasiSocketsCtxView<'a>,
    call: &'a NetCall,
}

impl std::fmt::Debug for NameLookup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameLookup")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

impl<'a> NameLookup<'a> {
    /// `sockets` is made from the store's fields: `WasiSocketsCtxView { ctx: wasi.sockets(), table: &mut table }`.
    #[must_use]
    pub fn new(sockets: WasiSocketsCtxView<'a>, call: &'a NetCall) -> Self {
        Self { sockets, call }
    }
}

impl network::Host for NameLookup<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.sockets.convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets.network_error_code(error)
    }
}

impl HostNetwork for NameLookup<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        HostNetwork::drop(&mut self.sockets, network)
    }
}

impl Host for NameLookup<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        if let Err(refusal) = self.call.policy().check_name(&name) {
            tracing::debug!(skill = self.call.policy().skill(), %refusal, "refused");
            self.call.refuse(refusal);
            return Err(ErrorCode::AccessDenied.into());
        }
        let stream = self.sockets.resolve_addresses(network, name.clone())?;
        self.call.lookup_started(stream.rep(), &name);
        Ok(stream)
    }
}

impl HostResolveAddressStream for NameLookup<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let handle = stream.rep();
        let address = self.sockets.resolve_next_address(stream)?;
        if let Some(address) = address {
            self.call.learn(handle, plain(address));
        }
        Ok(address)
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.sockets.subscribe(stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.call.lookup_ended(stream.rep());
        HostResolveAddressStream::drop(&mut self.sockets, stream)
    }
}

fn plain(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
    }
}
