//! One spore's WebSocket session: reads frames through the protocol's state machine, writes what the driver
//! queued, and closes in order. Decides nothing: rules of the wire are in `venom_protocol::session`, rules
//! of the swarm in the foreman.
//!
//! One task a link, which holds no more than a few KiB while nothing happens.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;
use venom_foreman::{Event, LinkId};
use venom_protocol::session::{NexusEnd, NexusStep};
use venom_protocol::{
    AgentId, Body, Broadcast, Cancel, Disconnect, ErrorReport, ExecuteSkill, Handshake, HiveAnswer, HiveAsk,
    HiveRefusal, HiveReply, NodeId, Timestamp, UpdateReport, Welcome, close, encode,
};

use crate::auth::keyring::SporeToken;
use crate::auth::limits::Visitor as Bucket;
use crate::releases::of_node;
use crate::state::Shared;

/// Messages that wait for one socket. A spore takes 256 calls and queues 1,024; a link with this many
/// unwritten ones is stuck, and new calls are refused.
const OUTGOING_QUEUE: usize = 1_024;
/// Time for a close frame to get out and the peer's to come back.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// Why whoever showed a wrong token has to wait.
const TOO_MANY: &str = "Too many wrong tokens, try again later";

/// A message for a spore, encoded only when it is written. Boxed, so that an idle queue is small.
pub(crate) enum Outgoing {
    Welcome(Box<Welcome>),
    Execute(Box<ExecuteSkill>),
    Cancel(Box<Cancel>),
    Complaint(Box<ErrorReport>),
    Answer(Box<HiveAnswer>),
    /// To this spore alone.
    Broadcast(Box<Broadcast>),
    /// Written once for many links.
    Written(Utf8Bytes),
    Goodbye(Box<Disconnect>),
    /// A WebSocket ping: any peer answers it, v1 too.
    Ping,
}

/// The driver's hold on a link. Clones are the same link.
#[derive(Clone)]
pub(crate) struct LinkHandle {
    outgoing: mpsc::Sender<Outgoing>,
    hangup: Arc<Hangup>,
    /// From where it came.
    pub(crate) peer: IpAddr,
    /// What it speaks.
    pub(crate) protocol: u32,
}

/// Tells the link to close; the first reason counts.
struct Hangup {
    asked: CancellationToken,
    with: OnceLock<(u16, String)>,
}

impl LinkHandle {
    /// Queues a message. False: the queue is full or the link is closing.
    pub(crate) fn send(&self, message: Outgoing) -> bool {
        self.outgoing.try_send(message).is_ok()
    }

    /// Waits until the link is gone.
    pub(crate) async fn closed(&self) {
        self.outgoing.closed().await;
    }

    /// Asks the link to write what is queued and close.
    pub(crate) fn close(&self, code: u16, reason: String) {
        let _ = self.hangup.with.set((code, reason));
        self.hangup.asked.cancel();
    }
}

/// How a link ended.
struct End {
    /// What to send; `None`: the peer is gone or has closed.
    close: Option<(u16, String)>,
    graceful: bool,
    reason: String,
}

impl End {
    fn ours(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            close: Some((code, reason.clone())),
            graceful: false,
            reason,
        }
    }

    fn theirs(graceful: bool, reason: impl Into<String>) -> Self {
        Self {
            close: None,
            graceful,
            reason: reason.into(),
        }
    }
}

/// Runs a link to its end.
pub(crate) async fn run(shared: Arc<Shared>, socket: WebSocket, peer: IpAddr) {
    shared.metrics.links.inc();
    let (mut sink, mut stream) = socket.split();
    let (outgoing, mut queue) = mpsc::channel(OUTGOING_QUEUE);
    let hangup = Arc::new(Hangup {
        asked: CancellationToken::new(),
        with: OnceLock::new(),
    });
    let mut reader = Reader {
        link: shared.driver.new_link(),
        shared: &shared,
        end: NexusEnd::new(),
        handle: LinkHandle {
            outgoing,
            hangup: Arc::clone(&hangup),
            peer,
            protocol: 1,
        },
        node: None,
        claimed: None,
        agent: None,
        said_goodbye: false,
        last_told: Instant::now(),
    };
    let end = tokio::select! {
        // a close that was asked for comes before what the socket has to say about it
        biased;
        () = hangup.asked.cancelled() => {
            let (code, reason) = hangup.with.get().cloned().unwrap_or((close::NORMAL, String::new()));
            End::ours(code, reason)
        }
        () = shared.ending.cancelled() => End::ours(close::GOING_AWAY, "the nexus is shutting down"),
        end = reader.run(&mut stream) => end,
        end = write(&shared, &mut sink, &mut queue) => end,
    };
    let registered = reader.node.is_some();
    if let Some((code, reason)) = &end.close {
        let closing = close_in_order(&shared, &mut sink, &mut stream, &mut queue, *code, reason);
        if tokio::time::timeout(CLOSE_GRACE, closing).await.is_err() {
            tracing::debug!(link = %reader.link, "peer did not finish closing");
        }
    }
    if let (Some(agent), Some(room)) = (&reader.agent, &shared.fleet) {
        room.links.end(agent, reader.link);
    }
    let (link, graceful) = (reader.link, end.graceful || reader.said_goodbye);
    tracing::debug!(%link, %peer, registered, graceful, reason = end.reason, "link ended");
    if registered {
        shared.driver.unregister(link, graceful, end.reason);
    }
    shared.metrics.links.dec();
}

struct Reader<'a> {
    link: LinkId,
    shared: &'a Shared,
    end: NexusEnd,
    handle: LinkHandle,
    node: Option<NodeId>,
    /// A handshake whose token is not the spores': perhaps an agent's own.
    claimed: Option<Handshake>,
    /// The agent whose link this is.
    agent: Option<AgentId>,
    said_goodbye: bool,
    last_told: Instant,
}

impl Reader<'_> {
    async fn run(&mut self, stream: &mut SplitStream<WebSocket>) -> End {
        if !self.shared.settings.node_role {
            return End::ours(close::UNSUPPORTED, "Node role is off");
        }
        let deadline = tokio::time::sleep(self.shared.settings.handshake_timeout);
        tokio::pin!(deadline);
        loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = &mut deadline, if self.node.is_none() => {
                    return End::ours(close::POLICY, "no handshake came in time");
                }
            };
            let message = match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return broken(error),
                None => return End::theirs(self.said_goodbye, "the connection ended"),
            };
            if let Some(end) = self.on_message(message) {
                return end;
            }
            if let Some(handshake) = self.claimed.take()
                && let Some(end) = self.prove(handshake).await
            {
                return end;
            }
        }
    }

    fn on_message(&mut self, message: Message) -> Option<End> {
        self.sign_of_life();
        let step = match message {
            Message::Text(text) => {
                self.shared.metrics.frames_in.inc();
                self.end.on_text(&text)
            }
            Message::Binary(_) => self.end.on_binary(),
            Message::Ping(_) | Message::Pong(_) => return None,
            Message::Close(frame) => {
                let reason = frame.map_or_else(|| "closed by the peer".to_owned(), |f| f.reason.to_string());
                return Some(End::theirs(self.said_goodbye, reason));
            }
        };
        self.on_step(step)
    }

    fn on_step(&mut self, step: NexusStep) -> Option<End> {
        let (driver, link) = (&self.shared.driver, self.link);
        match step {
            NexusStep::Handshake(handshake) => return self.on_handshake(handshake),
            NexusStep::Heartbeat(beat) => driver.tell(Event::Heartbeat {
                link,
                cpu: beat.cpu_usage,
                memory: beat.memory_usage,
                active_tasks: beat.active_tasks,
                credits: beat.credits,
            }),
            NexusStep::Response(response) => driver.answered(link, response),
            NexusStep::Progress(progress) => {
                if let Some(node) = self.node {
                    driver.progressed(node, progress);
                }
            }
            NexusStep::Status(status) => driver.tell(Event::StatusChanged {
                link,
                capabilities: status.capabilities,
                draining: status.draining,
            }),
            NexusStep::Ask(ask) => self.on_ask(ask),
            NexusStep::ReleaseAsk(ask) => match &self.shared.releases {
                Some(releases) => releases.asked(ask, self.handle.clone(), &self.shared.tasks),
                None => tracing::debug!(%link, "no releases are kept here"),
            },
            NexusStep::UpdateReport(report) => self.on_report(report),
            NexusStep::Goodbye(goodbye) => {
                self.said_goodbye = true;
                let reason = goodbye.reason;
                driver.tell(Event::NodeLeft { link, reason });
            }
            NexusStep::PeerError(report) => tracing::warn!(%link, report.error, "peer complains"),
            NexusStep::Complain { error, send } => self.complain(error, send),
            NexusStep::Close { code, reason } => {
                self.shared.metrics.frames_invalid.inc();
                return Some(End::ours(code, reason));
            }
        }
        None
    }

    fn on_ask(&self, ask: HiveAsk) {
        let Some(node) = self.node else { return };
        match &self.shared.hive {
            Some(hive) => hive.ask(node, self.link, self.handle.clone(), ask, &self.shared.tasks),
            None => {
                let reply = HiveReply::Refused {
                    refusal: HiveRefusal::Unavailable,
                    reason: "this nexus keeps no tasks (ENABLE_HIVE=false)".to_owned(),
                };
                let ask_id = ask.ask_id;
                self.handle
                    .send(Outgoing::Answer(Box::new(HiveAnswer { ask_id, reply })));
            }
        }
    }

    fn on_report(&self, report: UpdateReport) {
        let Some(node) = self.node else { return };
        let report = of_node(node, report);
        let Some(before) = self.shared.driver.updated(Arc::clone(&report)) else {
            return;
        };
        if let Some(releases) = &self.shared.releases {
            releases.reported(before.as_deref(), &report);
        }
    }

    fn complain(&self, error: ErrorReport, send: bool) {
        self.shared.metrics.frames_invalid.inc();
        tracing::warn!(link = %self.link, peer = %self.handle.peer, error.error, "invalid message");
        if send {
            self.handle.send(Outgoing::Complaint(Box::new(error)));
        }
    }

    fn on_handshake(&mut self, handshake: Handshake) -> Option<End> {
        self.handle.protocol = self.end.protocol();
        let peer = Bucket::from_address(self.handle.peer);
        // before comparing: a shared token may be short enough to be guessed. An agent's own is not, and others behind the same
        // address do not lock it out.
        let is_guessing = self.shared.failure_buckets.look(peer, Instant::now()).is_err();
        if is_guessing && self.shared.fleet.is_none() {
            self.shared.metrics.rate_limited.inc();
            return Some(End::ours(close::POLICY, TOO_MANY));
        }
        match self.shared.keyring.judge_spore(&handshake.token) {
            SporeToken::Right if !is_guessing => {
                self.register(handshake);
                None
            }
            _ if self.shared.fleet.is_some() => {
                self.claimed = Some(handshake);
                None
            }
            SporeToken::Right => Some(End::ours(close::POLICY, TOO_MANY)),
            SporeToken::Wrong => Some(self.refused(close::AUTHENTICATION_FAILED)),
            SporeToken::Closed => Some(self.refused("Registration is closed: the nexus has no token")),
        }
    }

    /// An agent links as a spore, with its own token and its own id.
    async fn prove(&mut self, mut handshake: Handshake) -> Option<End> {
        let Some(room) = &self.shared.fleet else {
            return Some(self.refused(close::AUTHENTICATION_FAILED));
        };
        let pass = match room.admit(&handshake.token).await {
            Ok(Some(pass)) => pass,
            Ok(None) => return Some(self.refused(close::AUTHENTICATION_FAILED)),
            Err(error) => {
                tracing::warn!(%error, "an agent cannot be looked up");
                return Some(End::ours(close::GOING_AWAY, "the fleet cannot be reached"));
            }
        };
        let agent = AgentId::from(handshake.node_id);
        if pass.agent_id != agent {
            return Some(self.refused("the token is another agent's"));
        }
        if !pass.approved {
            return Some(End::ours(close::POLICY, "the agent waits for approval"));
        }
        // what the enrolment bound it to, whatever it says itself
        let tags = &mut handshake.capabilities.tags;
        for tag in pass.tags.iter().cloned().chain([format!("site:{}", pass.site_name)]) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        room.links.begin(agent.clone(), self.link, self.handle.clone());
        self.agent = Some(agent);
        self.register(handshake);
        None
    }

    fn refused(&self, why: &'static str) -> End {
        let counted = self.shared.wrong_token(self.handle.peer, "spore", "/ws/nodes");
        End::ours(close::POLICY, if counted.is_ok() { why } else { TOO_MANY })
    }

    fn register(&mut self, mut handshake: Handshake) {
        handshake.token.clear();
        self.node = Some(handshake.node_id);
        self.shared.driver.register(self.link, self.handle.clone(), handshake);
    }

    /// Any frame shows that the peer lives, but the foreman need not hear it a thousand times a second.
    fn sign_of_life(&mut self) {
        if self.node.is_some() && self.last_told.elapsed() >= self.shared.driver.tick() {
            self.last_told = Instant::now();
            self.shared.driver.tell(Event::FrameSeen { link: self.link });
        }
    }
}

/// Writes what is queued: all that is ready, then one flush.
async fn write(shared: &Shared, sink: &mut SplitSink<WebSocket, Message>, queue: &mut mpsc::Receiver<Outgoing>) -> End {
    loop {
        let Some(mut message) = queue.recv().await else {
            return End::ours(close::NORMAL, "");
        };
        loop {
            if let Err(error) = feed(shared, sink, message).await {
                return broken(error);
            }
            match queue.try_recv() {
                Ok(next) => message = next,
                Err(_) => break,
            }
        }
        if let Err(error) = sink.flush().await {
            return broken(error);
        }
    }
}

async fn feed(shared: &Shared, sink: &mut SplitSink<WebSocket, Message>, message: Outgoing) -> Result<(), axum::Error> {
    let text = match message {
        Outgoing::Welcome(body) => written(&*body),
        Outgoing::Execute(body) => written(&*body),
        Outgoing::Cancel(body) => written(&*body),
        Outgoing::Complaint(body) => written(&*body),
        Outgoing::Answer(body) => written(&*body),
        Outgoing::Broadcast(body) => written(&*body),
        Outgoing::Written(text) => {
            shared.metrics.frames_out.inc();
            return sink.feed(Message::Text(text)).await;
        }
        Outgoing::Ping => return sink.feed(Message::Ping(Default::default())).await,
        Outgoing::Goodbye(body) => written(&*body),
    };
    let Some(text) = text else { return Ok(()) };
    shared.metrics.frames_out.inc();
    sink.feed(Message::Text(text.into())).await
}

fn written<B: Body>(body: &B) -> Option<String> {
    encode(body, Timestamp::now())
        .inspect_err(|error| tracing::error!(%error, kind = B::MESSAGE_TYPE, "message cannot be written"))
        .ok()
}

/// What is queued, then the close frame, then whatever the peer still sends until it closes too: dropping a
/// socket with unread bytes would reset it and the peer might never see why.
async fn close_in_order(
    shared: &Shared,
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
    queue: &mut mpsc::Receiver<Outgoing>,
    code: u16,
    reason: &str,
) {
    queue.close();
    while let Ok(message) = queue.try_recv() {
        if feed(shared, sink, message).await.is_err() {
            return;
        }
    }
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    if sink.send(Message::Close(Some(frame))).await.is_err() {
        return;
    }
    while let Some(Ok(_)) = stream.next().await {}
}

/// What to do when the socket fails: say so where the peer can still hear it.
fn broken(error: axum::Error) -> End {
    let inner = error.into_inner();
    match inner.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(why)) => End::ours(close::TOO_BIG, why.to_string()),
        Some(tungstenite::Error::Utf8(_)) => End::ours(1007, "text is no UTF-8"),
        Some(tungstenite::Error::Protocol(why)) => End::ours(1002, why.to_string()),
        _ => End::theirs(false, inner.to_string()),
    }
}
