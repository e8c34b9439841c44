//! A nexus in this process, a spore made of JSON, and patience with a deadline.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use venom_broker::Broker;
use venom_broker::sqlite::{Durability, SqliteBroker};
use venom_fleet::{Fleet, FleetSettings};
use venom_nexus::{LocalSkills, Nexus, NexusError, NexusSettings, Parts, Scope, Secret, TokenRecord};

pub(crate) const SPORE_TOKEN: &str = "spore-token";
pub(crate) const VIEWER: &str = "viewer-token";
pub(crate) const OPERATOR: &str = "operator-token";
pub(crate) const ADMIN: &str = "admin-token";
/// Long enough for a loaded machine, short enough to notice.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `future`, but not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("gave up waiting for {what}"),
    }
}

/// Asks again and again until `ask` gives something.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        loop {
            pause.tick().await;
            if let Some(value) = ask().await {
                return value;
            }
        }
    })
    .await
}

pub(crate) fn settings() -> NexusSettings {
    NexusSettings {
        shared_token: Some(Secret::new(SPORE_TOKEN)),
        operator_tokens: vec![
            TokenRecord::of("eyes", Scope::Viewer, VIEWER),
            TokenRecord::of("hands", Scope::Operator, OPERATOR),
            TokenRecord::of("owner", Scope::Admin, ADMIN),
        ],
        drain_timeout: Duration::from_secs(5),
        ..NexusSettings::default()
    }
}

pub(crate) fn sqlite_in(directory: &std::path::Path, settings: venom_broker::Settings) -> Arc<dyn Broker> {
    let path = directory.join("hive.db");
    Arc::new(SqliteBroker::open(&path, Durability::Process, settings).unwrap())
}

pub(crate) struct TestNexus {
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), NexusError>>,
    /// Of the embedded broker.
    directory: Option<tempfile::TempDir>,
    /// Of spores made of JSON, which do not answer a close unless the test reads on.
    sockets: Mutex<Vec<Weak<std::net::TcpStream>>>,
}

impl TestNexus {
    pub(crate) async fn start() -> Self {
        Self::start_with(settings()).await
    }

    pub(crate) async fn start_with(settings: NexusSettings) -> Self {
        Self::start_local(settings, None).await
    }

    /// With an embedded broker in a directory of its own.
    pub(crate) async fn with_tasks() -> Self {
        Self::with_tasks_and(settings()).await
    }

    pub(crate) async fn with_tasks_and(settings: NexusSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = sqlite_in(directory.path(), venom_broker::Settings::default());
        let mut nexus = Self::start_all(settings, None, Some(broker)).await;
        nexus.directory = Some(directory);
        nexus
    }

    pub(crate) async fn start_local(settings: NexusSettings, local: Option<Arc<dyn LocalSkills>>) -> Self {
        Self::start_all(settings, local, None).await
    }

    pub(crate) async fn start_all(
        settings: NexusSettings,
        local: Option<Arc<dyn LocalSkills>>,
        broker: Option<Arc<dyn Broker>>,
    ) -> Self {
        // the second to come finds it installed
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let parts = Parts {
            local,
            broker,
            fleet: None,
        };
        Self::serve(listener, address, Nexus::with_parts(settings, parts).unwrap())
    }

    /// With a fleet in a directory of its own.
    pub(crate) async fn with_fleet(settings: NexusSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut nexus = Self::with_fleet_in(directory.path(), settings).await;
        nexus.directory = Some(directory);
        nexus
    }

    /// With a fleet in a directory of the test's.
    pub(crate) async fn with_fleet_in(directory: &std::path::Path, settings: NexusSettings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let database = format!("sqlite:{}", directory.join("fleet.db").display());
        let fleet = Fleet::open(&database, FleetSettings::default()).await.unwrap();
        let parts = Parts {
            fleet: Some(fleet),
            ..Parts::default()
        };
        Self::serve(listener, address, Nexus::with_parts(settings, parts).unwrap())
    }

    fn serve(listener: TcpListener, address: SocketAddr, nexus: Nexus) -> Self {
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(nexus.serve(listener, shutdown.clone()));
        Self {
            address,
            http: reqwest::Client::new(),
            shutdown,
            serving,
            directory: None,
            sockets: Mutex::default(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path)).bearer_auth(VIEWER)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.http.post(self.url(path)).bearer_auth(OPERATOR).json(body)).await
    }

    pub(crate) async fn post_empty(&self, path: &str) -> Answer {
        Answer::of(self.http.post(self.url(path)).bearer_auth(OPERATOR)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.http.put(self.url(path)).bearer_auth(OPERATOR).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.http.delete(self.url(path)).bearer_auth(OPERATOR)).await
    }

    /// A request with any token.
    pub(crate) async fn with_token(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        let request = self
            .http
            .request(method.parse().unwrap(), self.url(path))
            .bearer_auth(token);
        Answer::of(if body.is_null() { request } else { request.json(body) }).await
    }

    /// Submits one task and gives its id.
    pub(crate) async fn submit(&self, task: Value) -> String {
        let answer = self.post("/api/v1/tasks", &task).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["task_id"].as_str().unwrap().to_owned()
    }

    /// The task, once it is in this state.
    pub(crate) async fn task_in(&self, task: &str, status: &str) -> Value {
        let path = format!("/api/v1/tasks/{task}");
        until(&format!("task to be {status}"), async || {
            let body = self.get(&path).await.body;
            (body["status"] == status).then_some(body)
        })
        .await
    }

    /// Starts a request in the background.
    pub(crate) fn posting(&self, path: &str, body: Value) -> JoinHandle<Answer> {
        let request = self.http.post(self.url(path)).bearer_auth(OPERATOR).json(&body);
        tokio::spawn(Answer::of(request))
    }

    /// One line of the metrics, as a number.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let request = self.http.get(self.url("/metrics")).bearer_auth(VIEWER);
        let text = request.send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    pub(crate) fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn stopped(self) {
        soon("the nexus to end", self.serving).await.unwrap().unwrap();
        drop(self.directory);
    }

    /// Asks it to stop and waits until it has. Links of [`FakeSpore`]s end at their side, so that nobody waits for their goodbye.
    pub(crate) async fn stop(self) {
        self.ask_to_stop();
        for socket in self
            .sockets
            .lock()
            .unwrap()
            .drain(..)
            .filter_map(|socket| socket.upgrade())
        {
            // many have ended before
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        self.stopped().await;
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = soon("an answer", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = soon("a body", response.text()).await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts an RFC 9457 problem with this status and words in its detail.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, instance: &str, words: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert_eq!(self.body["instance"], instance, "{self:?}");
        assert!(
            self.body["type"].as_str().unwrap().starts_with("urn:venom:problem:"),
            "{self:?}"
        );
        assert!(!self.body["title"].as_str().unwrap().is_empty(), "{self:?}");
        let detail = self.body["detail"].as_str().unwrap();
        assert!(detail.contains(words), "`{words}` is not in `{detail}`");
    }
}

/// The other end of a link, frame by frame.
pub(crate) struct FakeSpore {
    pub(crate) node_id: String,
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The socket, for [`TestNexus::stop`], as long as the spore lives.
    _same: Arc<std::net::TcpStream>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Json(Value),
    Close(u16, String),
    Gone,
}

pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl FakeSpore {
    pub(crate) async fn connect(nexus: &TestNexus) -> Self {
        let url = format!("ws://{}/ws/nodes", nexus.address);
        let (socket, _) = soon("a WebSocket", connect_async(url)).await.unwrap();
        let MaybeTlsStream::Plain(stream) = socket.get_ref() else {
            panic!("no plain stream")
        };
        let same = Arc::new(stream.as_fd().try_clone_to_owned().unwrap().into());
        nexus.sockets.lock().unwrap().push(Arc::downgrade(&same));
        Self {
            node_id: new_id(),
            socket,
            _same: same,
        }
    }

    /// A registered Python-style spore.
    pub(crate) async fn v1(nexus: &TestNexus, skills: &[&str]) -> Self {
        Self::v1_as(nexus, new_id(), skills, &[]).await
    }

    pub(crate) async fn v1_as(nexus: &TestNexus, node_id: String, skills: &[&str], tags: &[&str]) -> Self {
        let mut spore = Self::connect(nexus).await;
        spore.node_id = node_id;
        let handshake = spore.handshake(skills, tags);
        spore.say("HANDSHAKE", handshake).await;
        spore.registered(nexus).await;
        spore
    }

    /// A registered spore of ours.
    pub(crate) async fn v2(nexus: &TestNexus, skills: &[&str]) -> Self {
        let mut spore = Self::connect(nexus).await;
        spore.introduce_v2(skills, &[], "boot-1").await;
        spore
    }

    pub(crate) async fn introduce_v2(&mut self, skills: &[&str], tags: &[&str], boot_id: &str) {
        let mut handshake = self.handshake(skills, tags);
        handshake["protocol"] = json!(2);
        handshake["concurrency"] = json!(4);
        handshake["boot_id"] = json!(boot_id);
        self.say("HANDSHAKE", handshake).await;
        let welcome = self.expect("WELCOME").await;
        assert_eq!(welcome["protocol"], 2);
    }

    /// As the Python spore builds it: type and zoneless timestamp repeated inside.
    pub(crate) fn handshake(&self, skills: &[&str], tags: &[&str]) -> Value {
        json!({
            "node_name": "fake",
            "capabilities": { "skills": skills, "tags": tags, "cpu_cores": 4, "memory_mb": 8192,
                "has_gpu": false, "has_docker": false, "platform": "linux" },
            "token": SPORE_TOKEN,
        })
    }

    pub(crate) async fn registered(&self, nexus: &TestNexus) {
        let path = format!("/api/v1/nodes/{}", self.node_id);
        until("the node to be online", async || {
            let answer = nexus.get(&path).await;
            (answer.status == 200 && answer.body["node"]["is_online"] == true).then_some(())
        })
        .await;
    }

    pub(crate) async fn say(&mut self, kind: &str, mut payload: Value) {
        let stamp = "2025-06-01T12:00:00.123456";
        payload["message_type"] = json!(kind);
        payload["timestamp"] = json!(stamp);
        payload["node_id"] = json!(self.node_id);
        self.send_text(json!({ "message_type": kind, "payload": payload, "timestamp": stamp }).to_string())
            .await;
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        soon("a frame to be written", self.socket.send(Message::text(text)))
            .await
            .unwrap();
    }

    pub(crate) async fn heartbeat(&mut self) {
        self.say(
            "HEARTBEAT",
            json!({ "cpu_usage": 0.25, "memory_usage": 0.5, "active_tasks": 0 }),
        )
        .await;
    }

    pub(crate) async fn respond(&mut self, request: &Value, result: Value) {
        let answer = json!({ "request_id": request["request_id"], "success": true, "result": result,
            "error": null, "execution_time": 0.01 });
        self.say("RESPONSE", answer).await;
    }

    pub(crate) async fn fail(&mut self, request: &Value, code: &str, error: &str) {
        let answer = json!({ "request_id": request["request_id"], "success": false, "result": null,
            "error": error, "error_code": code, "execution_time": 0.01 });
        self.say("RESPONSE", answer).await;
    }

    pub(crate) async fn next(&mut self) -> Frame {
        loop {
            match soon("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Frame::Json(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Frame::Close(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None))) => return Frame::Close(CloseCode::Status.into(), String::new()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Frame::Gone,
            }
        }
    }

    /// The next message, which must be of this type; its payload.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        match self.next().await {
            Frame::Json(message) => {
                assert_eq!(message["message_type"], kind, "{message}");
                message["payload"].clone()
            }
            other => panic!("expected {kind}, got {other:?}"),
        }
    }

    pub(crate) async fn expect_close(&mut self, code: u16, words: &str) {
        match self.next().await {
            Frame::Close(got, reason) => {
                assert_eq!(got, code, "{reason}");
                assert!(reason.contains(words), "`{words}` is not in `{reason}`");
            }
            other => panic!("expected close {code}, got {other:?}"),
        }
    }
}

/// A task for `EchoSkill`.
pub(crate) fn echo_task(text: &str) -> Value {
    json!({ "skill_name": "EchoSkill", "method_name": "echo", "parameters": { "text": text } })
}

pub(crate) fn echo(timeout: f64) -> Value {
    json!({ "skill_name": "EchoSkill", "method_name": "echo", "parameters": { "text": "hi" }, "timeout": timeout })
}
