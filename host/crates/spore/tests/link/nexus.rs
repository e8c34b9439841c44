//! The scripted nexus.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async};
use venom_protocol::RequestId;
use venom_spore::sim::{SimHandle, SimSpore};
use venom_spore::{Backoff, SporeError};

/// Nothing here takes this long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within {DEADLINE:?}"))
}

pub(crate) struct FakeNexus {
    listener: TcpListener,
}

impl FakeNexus {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        Self { listener }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().expect("an address"))
    }

    /// A spore of this nexus that reconnects fast.
    pub(crate) fn spore(&self) -> SimSpore {
        SimSpore::new(&self.url(), "token").with(|settings| {
            settings.backoff = Backoff {
                base: Duration::from_millis(20),
                cap: Duration::from_millis(200),
            };
        })
    }

    /// The next link, handshake read, not welcomed yet.
    pub(crate) async fn accept(&self) -> (Peer, Value) {
        let (stream, _) = soon("a connection", self.listener.accept()).await.expect("accepted");
        let mut peer = Peer {
            socket: soon("the upgrade", accept_async(stream)).await.expect("a websocket"),
        };
        let handshake = peer.next_of("HANDSHAKE").await;
        (peer, handshake)
    }

    /// Connects a spore and welcomes it.
    pub(crate) async fn take(&self, spore: SimSpore) -> (SimHandle, Peer) {
        self.take_with_patience(spore, 60.0).await
    }

    pub(crate) async fn take_with_patience(&self, spore: SimSpore, heartbeat_timeout: f64) -> (SimHandle, Peer) {
        let (handle, peer) = tokio::join!(spore.connect(DEADLINE), async {
            let (mut peer, _) = self.accept().await;
            peer.welcome(heartbeat_timeout).await;
            peer
        });
        (handle.expect("taken"), peer)
    }

    /// Accepts connections and gives each to `treat`, for ever.
    pub(crate) async fn treat_all<F: Future<Output = ()>>(&self, treat: impl Fn(Peer) -> F) {
        loop {
            let (peer, _) = self.accept().await;
            treat(peer).await;
        }
    }
}

pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
}

impl Peer {
    pub(crate) async fn send(&mut self, message_type: &str, payload: Value) {
        let frame = json!({"message_type": message_type, "payload": payload, "timestamp": "2026-01-01T00:00:00"});
        self.send_raw(frame.to_string()).await;
    }

    pub(crate) async fn send_raw(&mut self, text: String) {
        self.try_send_raw(text).await.expect("sent");
    }

    pub(crate) async fn try_send_raw(&mut self, text: String) -> Result<(), Error> {
        soon("a write", self.socket.send(Message::text(text))).await
    }

    pub(crate) async fn welcome(&mut self, heartbeat_timeout: f64) {
        let welcome = json!({"protocol": 2, "heartbeat_timeout": heartbeat_timeout, "version": "9.9.9"});
        self.send("WELCOME", welcome).await;
    }

    pub(crate) async fn execute(&mut self, node: &SimHandle, method: &str, parameters: Value) -> RequestId {
        self.execute_within(node, method, parameters, 30.0).await
    }

    pub(crate) async fn execute_within(
        &mut self,
        node: &SimHandle,
        method: &str,
        parameters: Value,
        timeout: f64,
    ) -> RequestId {
        let request_id = RequestId::random();
        self.execute_as(request_id, node, method, parameters, timeout).await;
        request_id
    }

    pub(crate) async fn execute_as(
        &mut self,
        request_id: RequestId,
        node: &SimHandle,
        method: &str,
        parameters: Value,
        timeout: f64,
    ) {
        let call = json!({
            "request_id": request_id, "node_id": node.node_id(), "skill_name": "EchoSkill",
            "method_name": method, "parameters": parameters, "timeout": timeout,
        });
        self.send("EXECUTE_SKILL", call).await;
    }

    /// The next message, whatever it is; `None` when the link is over.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            match soon("a message", self.socket.next()).await? {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).expect("json");
                    let kind = frame["message_type"].as_str().expect("a type").to_owned();
                    return Some((kind, frame["payload"].clone()));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message of this type; heartbeats in between are skipped, anything else is a failure.
    pub(crate) async fn next_of(&mut self, wanted: &str) -> Value {
        loop {
            let (kind, payload) = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the link ended before {wanted}"));
            if kind == wanted {
                return payload;
            }
            assert_eq!(kind, "HEARTBEAT", "instead of {wanted}: {payload}");
        }
    }

    pub(crate) async fn response(&mut self, request_id: RequestId) -> Value {
        let response = self.next_of("RESPONSE").await;
        assert_eq!(response["request_id"], json!(request_id));
        response
    }

    /// Reads to the end of the link and answers all that came but heartbeats.
    pub(crate) async fn rest(&mut self) -> Vec<(String, Value)> {
        let mut rest = Vec::new();
        while let Some((kind, payload)) = self.next().await {
            if kind != "HEARTBEAT" {
                rest.push((kind, payload));
            }
        }
        rest
    }

    /// The code with which the spore closed.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match soon("a close", self.socket.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("the link ended without a close: {other:?}"),
            }
        }
    }

    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        soon("a close", self.socket.close(Some(frame))).await.expect("closed");
        while let Some(Ok(_)) = soon("the end", self.socket.next()).await {}
    }
}

/// A spore that was not taken.
pub(crate) async fn not_taken(spore: SimSpore, patience: Duration) -> SporeError {
    spore.connect(patience).await.expect_err("not taken")
}
