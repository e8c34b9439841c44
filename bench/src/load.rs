//! A load generator that costs little itself: hand-written HTTP/1.1 keep-alive, the same for Venom and for
//! the floor, so that its own share cancels out of the ratio.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One keep-alive connection that sends the same request again and again.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects. `request` is the whole request, head and body; `address` is `host:port`.
    pub(crate) async fn connect(address: &str, request: &[u8]) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request: request.to_vec(),
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends the request and reads the whole answer; fails on any status but 200 and on a failed call.
    pub(crate) async fn exchange(&mut self) -> Result<()> {
        self.stream.write_all(&self.request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server hung up");
            }
            if let Some(whole) = answer_length(&self.buffer)?
                && self.buffer.len() >= whole
            {
                break;
            }
        }
        let text = String::from_utf8_lossy(&self.buffer);
        if !text.starts_with("HTTP/1.1 200") || text.contains("\"success\":false") {
            bail!("not a success: {text}");
        }
        Ok(())
    }
}

/// Head and body together, once the head is there.
fn answer_length(buffer: &[u8]) -> Result<Option<usize>> {
    let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?;
    let length = text
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")
                .map(|value| value.trim().parse())
        })
        .context("an answer without content-length")??;
    let length: usize = length;
    Ok(Some(head + 4 + length))
}

/// A GET of `/`.
pub(crate) fn get(address: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
}

/// A POST of JSON.
pub(crate) fn post(address: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Microseconds of `count` exchanges, one after another, after a tenth of warm-up.
pub(crate) async fn latencies(address: &str, request: &[u8], count: usize) -> Result<Vec<f64>> {
    let mut client = Client::connect(address, request).await?;
    for _ in 0..count / 10 {
        client.exchange().await?;
    }
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        client.exchange().await?;
        samples.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(samples)
}

/// Exchanges per second with `connections` at once, over `time`.
pub(crate) async fn throughput(address: &str, request: &[u8], connections: usize, time: Duration) -> Result<f64> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(address, request).await?;
        client.exchange().await?;
        clients.push(client);
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for mut client in clients {
        running.spawn(async move {
            let mut done = 0_u64;
            while began.elapsed() < time {
                client.exchange().await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut total = 0;
    while let Some(done) = running.join_next().await {
        total += done??;
    }
    Ok(total as f64 / began.elapsed().as_secs_f64())
}
