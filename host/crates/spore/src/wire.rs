//! One open WebSocket. Writing never waits: frames are gathered and go out while the link listens, so that
//! two ends with full buffers cannot wait for each other. Knows nothing of what the frames mean.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use venom_protocol::close;

/// Bytes gathered beyond which no more answers are taken from their calls. One frame may go over it.
const HIGH_WATER: usize = 1024 * 1024;

/// What came over the wire.
#[derive(Debug)]
pub(crate) enum Heard {
    Text(Utf8Bytes),
    Binary,
    Ping,
    /// With the payload of the ping it answers.
    Pong(Bytes),
    /// Nothing was heard, but there is room again after there was none.
    Room,
    Closed {
        code: u16,
        reason: String,
    },
    BrokenOff,
}

/// See the module.
pub(crate) struct Wire {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    unflushed: usize,
}

impl Wire {
    pub(crate) const fn new(stream: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self { stream, unflushed: 0 }
    }

    /// Gathers one text frame; it goes out with the next [`Self::hear`] or [`Self::flush`].
    pub(crate) fn send(&mut self, text: String) -> Result<(), Error> {
        self.unflushed += text.len();
        self.stream.start_send_unpin(Message::text(text))
    }

    /// Gathers a ping; its pong comes back with the same payload.
    pub(crate) fn ping(&mut self, payload: &'static [u8]) -> Result<(), Error> {
        self.unflushed += 1;
        self.stream.start_send_unpin(Message::Ping(Bytes::from_static(payload)))
    }

    /// Whether more may be gathered.
    pub(crate) const fn has_room(&self) -> bool {
        self.unflushed < HIGH_WATER
    }

    /// Waits for the next frame and writes what was gathered meanwhile. Loses nothing when dropped.
    pub(crate) async fn hear(&mut self) -> Result<Heard, Error> {
        let heard = poll_fn(|cx| {
            if self.unflushed > 0
                && let Poll::Ready(flushed) = self.stream.poll_flush_unpin(cx)
            {
                // whoever waits for room must be told: it does not listen to the flush
                let was_full = !self.has_room();
                self.unflushed = 0;
                match flushed {
                    Ok(()) if was_full => return Poll::Ready(Ok(Heard::Room)),
                    Ok(()) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            self.stream.poll_next_unpin(cx).map(|next| match next {
                None => Ok(Heard::BrokenOff),
                Some(message) => message.map(heard),
            })
        });
        match heard.await {
            Err(error) if is_break(&error) => Ok(Heard::BrokenOff),
            other => other,
        }
    }

    /// Writes everything gathered, waiting for it.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        self.stream.flush().await?;
        self.unflushed = 0;
        Ok(())
    }

    /// Closes in good order, but waits for the other end no longer than `patience`.
    pub(crate) async fn close(mut self, code: u16, reason: &str, patience: Duration) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        let closing = async {
            self.stream.close(Some(frame)).await?;
            while self.stream.next().await.transpose()?.is_some() {}
            Ok::<(), Error>(())
        };
        // the link is over either way: an error or a slow peer here changes nothing
        let _ = timeout(patience, closing).await;
    }
}

fn heard(message: Message) -> Heard {
    match message {
        Message::Text(text) => Heard::Text(text),
        Message::Binary(_) | Message::Frame(_) => Heard::Binary,
        Message::Ping(_) => Heard::Ping,
        Message::Pong(payload) => Heard::Pong(payload),
        Message::Close(None) => Heard::Closed {
            code: close::NORMAL,
            reason: String::new(),
        },
        Message::Close(Some(frame)) => Heard::Closed {
            code: frame.code.into(),
            reason: frame.reason.to_string(),
        },
    }
}

/// A reset or an end without a close frame: what a killed nexus leaves behind.
fn is_break(error: &Error) -> bool {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => true,
        Error::Protocol(error) => {
            matches!(
                error,
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
            )
        }
        _ => false,
    }
}
