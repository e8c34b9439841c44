//! Streams of text to one listener: what the Server-Sent Events and the WebSocket routes have in common.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{Stream, StreamExt};

/// A silent stream says something this often, so that proxies keep it and a dead peer is noticed.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A listener sends nothing that matters.
pub(super) const MAX_FROM_LISTENER: usize = 4 * 1024;
/// A listener's socket that takes nothing for this long is closed.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// For the goodbye to get out.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends each text as one frame until there are no more, then closes with `goodbye`. Ends without it when the listener
/// is gone or too slow.
pub(super) async fn push(mut socket: WebSocket, texts: impl Stream<Item = Utf8Bytes>, goodbye: Option<CloseFrame>) {
    let mut texts = std::pin::pin!(texts);
    let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
    loop {
        let message = tokio::select! {
            text = texts.next() => match text {
                Some(text) => Message::Text(text),
                None => break,
            },
            said = socket.next() => match said {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            _ = keep_alive.tick() => Message::Ping(Default::default()),
        };
        match tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    // the peer may be gone already
    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, socket.send(Message::Close(goodbye))).await;
}
