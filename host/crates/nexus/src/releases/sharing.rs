//! Bundles in a broker that several nexuses share: cut into records, so that a nexus that lacks one finds it. What is
//! fetched is believed by its digest alone.

use tokio::io::AsyncReadExt;
use venom_broker::MAX_RECORD_BYTES;
use venom_bundle::Digest;

use super::{MAX_BUNDLE_BYTES, ReleaseError, Releases, records};

impl Releases {
    /// Whether others read what is put into the broker.
    pub(super) fn is_shared(&self) -> bool {
        self.broker.kind() == "redis"
    }

    /// Puts a file that is here into the broker.
    pub(super) async fn share(&self, file: &Digest) -> Result<(), ReleaseError> {
        let path = self.blobs.path(file);
        let failed = |error: std::io::Error| ReleaseError::disk("read", &path, &error);
        let mut source = tokio::fs::File::open(&path).await.map_err(failed)?;
        let name = file.to_string();
        for number in 0.. {
            let mut part = Vec::new();
            let most = MAX_RECORD_BYTES as u64;
            (&mut source).take(most).read_to_end(&mut part).await.map_err(failed)?;
            if part.is_empty() {
                break;
            }
            self.share_part(&records::chunk(&name, number), part).await?;
        }
        Ok(())
    }

    /// Content never changes: what is there already is the same, or damaged and written anew.
    async fn share_part(&self, name: &str, part: Vec<u8>) -> Result<(), ReleaseError> {
        if records::put(&*self.broker, name, part.clone(), 0).await? {
            return Ok(());
        }
        if let Some(damaged) = self.broker.record(name).await?.filter(|record| record.bytes != part) {
            tracing::warn!(name, "a part of a bundle in the broker was damaged and is written anew");
            records::put(&*self.broker, name, part, damaged.version).await?;
        }
        Ok(())
    }

    /// Fetches a file from the broker. False: it is not there, or not what it should be.
    pub(super) async fn fetch(&self, file: &Digest) -> Result<bool, ReleaseError> {
        let name = file.to_string();
        let mut incoming = self.blobs.incoming(MAX_BUNDLE_BYTES).await?;
        let mut is_there = false;
        for number in 0.. {
            let Some(part) = self.broker.record(&records::chunk(&name, number)).await? else {
                break;
            };
            is_there = true;
            incoming.write(&part.bytes).await?;
            if part.bytes.len() < MAX_RECORD_BYTES {
                break;
            }
        }
        if !is_there {
            return Ok(false);
        }
        let (found, _) = incoming.complete().await?;
        if found != *file {
            tracing::error!(%file, "a bundle in the broker is damaged or incomplete; upload it again");
            return Ok(false);
        }
        self.blobs.keep(incoming, file).await?;
        Ok(true)
    }
}
