//! Files to and from a nexus: sent as they are read, received no further than they may be long.

use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::{Body, Method};
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt as _;

use super::{ANSWER_TIMEOUT, NexusClient, Trouble};
use crate::failure::{Explain as _, Failure};

/// Bytes read from a file at one time.
const CHUNK: usize = 64 * 1024;
/// The slowest line a transfer is given time for.
const BYTES_A_SECOND: u64 = 64 * 1024;

impl NexusClient {
    /// `POST path` with the bytes of a file; `bar` is moved by each that was sent.
    pub(crate) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        file: &Path,
        bar: ProgressBar,
    ) -> Result<T, Trouble> {
        let what = format!("cannot read {}", file.display());
        let opened = tokio::fs::File::open(file).await.or_fail(&what)?;
        let size = opened.metadata().await.or_fail(&what)?.len();
        let url = format!("{}{path}", self.base);
        let request = self
            .request(Method::POST, &url)
            .timeout(ANSWER_TIMEOUT + Duration::from_secs(size / BYTES_A_SECOND))
            .header("content-type", "application/octet-stream")
            .header("content-length", size)
            .body(body(opened, bar));
        self.answered(&url, request).await
    }

    /// `GET path`, which must have exactly `size` bytes; nothing beyond is kept.
    pub(crate) async fn download(&self, path: &str, size: u64) -> Result<Vec<u8>, Trouble> {
        let url = format!("{}{path}", self.base);
        let request = self
            .request(Method::GET, &url)
            .timeout(ANSWER_TIMEOUT + Duration::from_secs(size / BYTES_A_SECOND));
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let mut response = self.accepted(response).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > size {
                break;
            }
        }
        if bytes.len() as u64 == size {
            return Ok(bytes);
        }
        Err(Failure::new(format!("{url} does not have the {size} bytes it should")).into())
    }
}

/// The file as it is read; an error ends the request.
fn body(file: tokio::fs::File, bar: ProgressBar) -> Body {
    let chunks = futures_util::stream::try_unfold((file, bar), |(mut file, bar)| async move {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        bar.inc(read as u64);
        Ok::<_, std::io::Error>((read > 0).then_some((chunk, (file, bar))))
    });
    Body::wrap_stream(chunks)
}
