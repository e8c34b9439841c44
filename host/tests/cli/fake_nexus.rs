//! The REST half of a nexus, as small as an agent needs it: an older server that knows no links. It writes down what it is told, and
//! can be told to misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

/// The token it registers agents with.
pub(crate) const REGISTRATION: &str = "registration-token";

/// What it knows, and how it misbehaves.
#[derive(Default)]
pub(crate) struct World {
    /// Bodies of registrations that were taken.
    pub(crate) registered: Vec<Value>,
    /// Bodies of heartbeats that were heard.
    pub(crate) beats: Vec<Value>,
    /// Tokens it gave and still knows.
    pub(crate) tokens: Vec<String>,
    /// Whether it is a hive that gives its clients no tokens and knows them by the one they registered with.
    pub(crate) gives_no_tokens: bool,
    /// Registrations that are taken and not answered.
    pub(crate) lose_replies: u32,
}

/// The server; it ends with the test process.
pub(crate) struct FakeNexus {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
}

/// One request.
struct Request {
    line: String,
    token: Option<String>,
    body: Value,
}

impl FakeNexus {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let world = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // who goes away in between is no failure of the server
                    let _ = serve(stream, &world);
                });
            }
        });
        Self { address, world }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// An enrol string that is good here.
    pub(crate) fn enrol(&self) -> String {
        format!("venom://{}/?token={REGISTRATION}", self.address)
    }

    /// Whether the last it heard was a goodbye.
    pub(crate) fn said_goodbye(&self) -> bool {
        let world = self.world();
        world.beats.last().is_some_and(|beat| beat["status"] == "offline")
    }
}

fn serve(mut stream: TcpStream, world: &Mutex<World>) -> std::io::Result<()> {
    let request = read(&stream)?;
    let answer = answer(&request, &mut world.lock().unwrap());
    let Some((status, body)) = answer else {
        return Ok(());
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut token, mut length) = (None, 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_owned();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request {
        line: line.trim().to_owned(),
        token,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

/// Status and body; `None`: the reply is lost.
fn answer(request: &Request, world: &mut World) -> Option<(u16, Value)> {
    let path = request.line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let by_own = request.token.as_ref().is_some_and(|token| world.tokens.contains(token));
    let knows = by_own || (world.gives_no_tokens && request.token.as_deref() == Some(REGISTRATION));
    let unknown = || Some((401, json!({ "detail": "the token is no agent's, or no longer" })));
    match path.as_str() {
        "POST /api/agents/register" => register(request, world, knows),
        "POST /api/agents/heartbeat" if knows => {
            world.beats.push(request.body.clone());
            let id = &world.registered[0]["agent_id"];
            Some((
                200,
                json!({ "status": "ok", "agent_id": id, "last_seen": "2026-01-01T00:00:00Z", "pending_commands": 0 }),
            ))
        }
        "GET /api/agents/commands" if knows => Some((200, json!({ "commands": [], "count": 0 }))),
        "POST /api/agents/heartbeat" | "GET /api/agents/commands" => unknown(),
        "GET /healthz" => Some((200, json!({ "status": "ok", "component": "venom-nexus" }))),
        _ => Some((404, json!({ "detail": "nothing is here" }))),
    }
}

fn register(request: &Request, world: &mut World, knows: bool) -> Option<(u16, Value)> {
    if !knows && request.token.as_deref() != Some(REGISTRATION) {
        return Some((403, json!({ "status": "error", "message": "Invalid token" })));
    }
    world.registered.push(request.body.clone());
    if world.gives_no_tokens {
        let id = &request.body["agent_id"];
        return Some((
            200,
            json!({ "status": "registered", "agent_id": id, "message": "welcome", "assigned_tasks": [] }),
        ));
    }
    let token = format!("token-{}", world.registered.len());
    world.tokens.push(token.clone());
    if world.lose_replies > 0 {
        world.lose_replies -= 1;
        return None;
    }
    let id = &request.body["agent_id"];
    Some((
        200,
        json!({ "status": "registered", "agent_id": id, "token": token, "message": "welcome", "assigned_tasks": [],
                "site_name": request.body["site_name"] }),
    ))
}
