//! What a store holds of one call. Everything a call may never need is made when it is first asked for: most
//! calls touch neither files nor clocks nor sockets.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venom_bundle::capability::NetProtocol;
use venom_protocol::{ProgressUpdate, RequestId};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::sockets::WasiSocketsCtxView;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::capability::fs::{Files, FsView};
use crate::capability::http::HttpCall;
use crate::capability::net::{NameLookup, NetCall};
use crate::capability::random::RandomBudget;
use crate::capability::stdio::GuestOutput;
use crate::capability::{Connections, Refusal, Refusals};
use crate::journal::{Journal, Stream};
use crate::limits::Limits;
use crate::meter::Meter;
use crate::rights::Rights;

/// A call as its host functions see it.
pub(crate) struct CallState {
    pub(crate) rights: Arc<Rights>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) limits: Limits,
    pub(crate) random: RandomBudget,
    pub(crate) task: TaskInfo,
    pub(crate) left: Left,
    pub(crate) refusals: Refusals,
    connections: Connections,
    table: ResourceTable,
    files: Files,
    wasi: Option<Box<WasiCtx>>,
    net: Option<NetCall>,
    http: Option<Box<Http>>,
}

/// Outgoing HTTP of one call.
struct Http {
    ctx: WasiHttpCtx,
    call: HttpCall,
}

/// What the call is about.
pub(crate) struct TaskInfo {
    pub(crate) request_id: RequestId,
    pub(crate) attempt: u32,
    pub(crate) depth: u32,
    pub(crate) deadline: Instant,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: Option<mpsc::Sender<ProgressUpdate>>,
}

/// Budgets counted by host functions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub(crate) output_bytes: u64,
    pub(crate) commands: u32,
    pub(crate) submissions: u32,
}

impl CallState {
    pub(crate) fn new(rights: Arc<Rights>, journal: Arc<Journal>, meter: Arc<Meter>, task: TaskInfo) -> Self {
        let budgets = rights.budgets();
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(budgets.handles).unwrap_or(usize::MAX));
        Self {
            limits: Limits::new(budgets),
            random: RandomBudget::new(budgets.random_bytes),
            left: Left {
                output_bytes: budgets.output_bytes.as_u64(),
                commands: budgets.commands,
                submissions: budgets.submissions,
            },
            connections: Connections::new(budgets.connections),
            refusals: Refusals::default(),
            journal,
            meter,
            task,
            table,
            files: Files::default(),
            wasi: None,
            net: None,
            http: None,
            rights,
        }
    }

    /// The file system interface of this call.
    pub(crate) fn fs(&mut self) -> FsView<'_> {
        FsView::new(&self.rights.directories, &mut self.files, &mut self.table)
    }

    /// The handles of this call.
    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// The budget of connections of this call.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// What this call may reach.
    pub(crate) fn net(&mut self) -> &NetCall {
        net(&mut self.net, &self.rights, &self.connections, &self.refusals)
    }

    /// The name look-up interface of this call.
    pub(crate) fn lookup(&mut self) -> NameLookup<'_> {
        let net = net(&mut self.net, &self.rights, &self.connections, &self.refusals);
        let sockets = WasiSocketsCtxView {
            ctx: wasi(&mut self.wasi, &self.rights, &self.journal, net).sockets(),
            table: &mut self.table,
        };
        NameLookup::new(sockets, net)
    }

    /// A stand-in for a secret, valid during this call only.
    pub(crate) fn secret_placeholder(&mut self, name: &str) -> Result<String, Refusal> {
        let http = http(
            &mut self.http,
            &self.rights,
            &self.connections,
            &self.refusals,
            self.task.deadline,
        );
        http.call.secret(name)
    }
}

fn http<'a>(
    slot: &'a mut Option<Box<Http>>,
    rights: &Rights,
    connections: &Connections,
    refusals: &Refusals,
    deadline: Instant,
) -> &'a mut Http {
    slot.get_or_insert_with(|| {
        let policy = Arc::clone(&rights.http);
        Box::new(Http {
            ctx: WasiHttpCtx::new(),
            call: HttpCall::new(policy, connections.clone(), refusals.clone(), deadline),
        })
    })
}

fn net<'a>(
    slot: &'a mut Option<NetCall>,
    rights: &Rights,
    connections: &Connections,
    refusals: &Refusals,
) -> &'a NetCall {
    slot.get_or_insert_with(|| NetCall::new(Arc::clone(&rights.addresses), connections.clone(), refusals.clone()))
}

/// No arguments, no inherited anything; an empty standard input; addresses checked one by one.
fn wasi<'a>(
    slot: &'a mut Option<Box<WasiCtx>>,
    rights: &Rights,
    journal: &Arc<Journal>,
    net: &NetCall,
) -> &'a mut WasiCtx {
    slot.get_or_insert_with(|| {
        let addresses = &rights.addresses;
        let mut builder = WasiCtx::builder();
        builder
            .envs(&rights.environment)
            .stdout(GuestOutput::new(Arc::clone(journal), Stream::Output))
            .stderr(GuestOutput::new(Arc::clone(journal), Stream::Errors))
            .allow_tcp(addresses.allows(NetProtocol::Tcp))
            .allow_udp(addresses.allows(NetProtocol::Udp))
            // Off in wasmtime-wasi means "no names at all"; which names is decided by `NameLookup`.
            .allow_ip_name_lookup(true)
            .socket_addr_check(net.check());
        Box::new(builder.build())
    })
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let net = net(&mut self.net, &self.rights, &self.connections, &self.refusals);
        WasiCtxView {
            ctx: wasi(&mut self.wasi, &self.rights, &self.journal, net),
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let http = http(
            &mut self.http,
            &self.rights,
            &self.connections,
            &self.refusals,
            self.task.deadline,
        );
        WasiHttpCtxView {
            ctx: &mut http.ctx,
            hooks: &mut http.call,
            table: &mut self.table,
        }
    }
}
