//! A nexus in the wrong hands: it knows the protocol and serves whatever it is given, signed by whomever. What a spore
//! does about it is its own business.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::tungstenite::Message;
use venom_tests::releases::{Packed, Swarm, signed};
use venom_tests::{Node, TestHive, eventually};

/// See the module. Ends when dropped.
pub(super) struct Impostor {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    answer: Mutex<Value>,
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    reports: Mutex<Vec<Value>>,
    asks: Mutex<usize>,
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Impostor {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let served = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            let mut visits = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                visits.spawn(visit(socket, Arc::clone(&served)));
            }
        });
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// A spore that asks this nexus often. `hive` only makes it.
    pub(super) async fn spore(&self, hive: &TestHive, swarm: &Swarm) -> Result<Node> {
        let node = hive
            .node()?
            .follows_as(swarm, |updates| updates.poll = Duration::from_millis(100));
        let there = format!("http://{}", self.address);
        node.with(|settings| settings.nexus = there).start().await
    }

    /// Serves these bytes for a bundle, be they its own or not.
    pub(super) fn serve(&self, packed: &Packed, bytes: &[u8]) {
        let name = packed.bundle.file_sha256.to_string();
        held(&self.shared.blobs).insert(name, bytes.to_vec());
    }

    /// Answers every ask with these documents from now on.
    pub(super) fn answer(&self, roots: &[&str], release: Option<&str>, rollout: Option<&str>) {
        *held(&self.shared.answer) =
            json!({"channel": "stable", "roots": roots, "release": release, "rollout": rollout});
    }

    /// Serves a release with its bundles and a rollout to everybody.
    pub(super) fn release(&self, swarm: &Swarm, seq: u64, bundles: &[&Packed]) {
        for packed in bundles {
            self.serve(packed, &packed.bytes);
        }
        let release = swarm.release(seq, None, bundles.iter().map(|packed| packed.entry()).collect());
        let rollout = swarm.rollout(release.unsigned().digest(), 1);
        let rollout = signed(rollout.unsigned(), &[&swarm.online_key()]);
        self.answer(&[], Some(&swarm.sign(&release)), Some(&rollout));
    }

    /// How often it was asked.
    pub(super) fn asks(&self) -> usize {
        *held(&self.shared.asks)
    }

    /// Waits until what is served now was asked for.
    pub(super) async fn asked_again(&self) -> Result<()> {
        let before = self.asks();
        eventually("another ask", async || Ok((self.asks() > before + 1).then_some(()))).await
    }

    /// The newest report.
    pub(super) fn report(&self) -> Value {
        held(&self.shared.reports).last().cloned().unwrap_or_default()
    }

    /// Waits until the newest report shows the skill in this state, with this version.
    pub(super) async fn until(&self, state: &str, version: &str) -> Result<Value> {
        let what = format!("{state} {version}");
        let waited = eventually(&what, async || {
            let skill = self.report()["skills"][0].clone();
            let there = skill["state"] == state && skill["version"].as_str().unwrap_or_default() == version;
            Ok(there.then_some(skill))
        });
        waited.await.map_err(|error| error.context(self.report().to_string()))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn visit(socket: TcpStream, shared: Arc<Shared>) {
    let mut begin = [0; 512];
    let Ok(length) = socket.peek(&mut begin).await else {
        return;
    };
    let begin = String::from_utf8_lossy(&begin[..length]).into_owned();
    if begin.starts_with("GET /ws/nodes") {
        talk(socket, shared).await;
    } else {
        // whoever hangs up early hangs up
        let _ = serve_blob(socket, &begin, &shared).await;
    }
}

async fn serve_blob(mut socket: TcpStream, request: &str, shared: &Shared) -> std::io::Result<()> {
    let mut read = vec![0; 4096];
    let _ = socket.read(&mut read).await?;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let blob = held(&shared.blobs).get(name).cloned();
    let (status, body) = blob.map_or(("404 Not Found", Vec::new()), |blob| ("200 OK", blob));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body).await
}

async fn talk(socket: TcpStream, shared: Arc<Shared>) {
    let Ok(mut link) = tokio_tungstenite::accept_async(socket).await else {
        return;
    };
    while let Some(Ok(message)) = link.next().await {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
        let reply = match frame["message_type"].as_str().unwrap_or_default() {
            "HANDSHAKE" => Some((
                "WELCOME",
                json!({"protocol": 2, "heartbeat_timeout": 60.0, "version": "0.1.0"}),
            )),
            "RELEASE_ASK" => {
                *held(&shared.asks) += 1;
                let answer = held(&shared.answer).clone();
                (!answer.is_null()).then_some(("RELEASE_ANSWER", answer))
            }
            "UPDATE_REPORT" => {
                held(&shared.reports).push(frame["payload"].clone());
                None
            }
            _ => None,
        };
        if let Some((kind, payload)) = reply {
            let frame = json!({"message_type": kind, "payload": payload, "timestamp": "2026-01-01T00:00:00Z"});
            if link.send(Message::text(frame.to_string())).await.is_err() {
                return;
            }
        }
    }
}
