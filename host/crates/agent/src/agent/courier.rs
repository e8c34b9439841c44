//! Brings what waits in the outbox to the nexus, one batch at a time, for as long as it takes. What failed is tried again with growing
//! pauses; a batch that alone fails has a pause of its own and lets the others by.

use std::time::Duration;

use tokio::time::sleep;

use super::Context;
use crate::backoff::Tries;
use crate::client::ClientError;
use crate::journal::blocking;
use crate::outbox::{Batch, BatchKind};
use crate::state::Phase;

/// Longest wait while nothing is ready: whatever was missed is found then.
const LOOK: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &Context) {
    let mut tries = Tries::new(context.settings.backoff);
    let delivering = async {
        loop {
            let wait = turn(context, &mut tries).await;
            if wait.is_zero() {
                continue;
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = context.outbox.put_since(), if tries.failures() == 0 => {}
                () = context.back.notified() => tries.reset(),
            }
        }
    };
    tokio::select! {
        () = delivering => {}
        () = context.stop.cancelled() => {}
    }
}

/// One batch; answers how long to wait for the next.
async fn turn(context: &Context, tries: &mut Tries) -> Duration {
    // nothing is taken from one who is not let in; the pulse finds out whether that is so and when it changes, and calls
    if matches!(
        context.board.phase(),
        Phase::Starting | Phase::Unapproved | Phase::Revoked
    ) {
        tries.reset();
        return LOOK;
    }
    let (outbox, now, steady) = (context.outbox.clone(), context.now(), context.steady());
    let next = blocking(move || match outbox.next(now, steady) {
        Some(batch) => Ok(batch),
        None => Err(outbox.ready_at()),
    });
    let batch = match next.await {
        Ok(Ok(batch)) => batch,
        Ok(Err(ready_at)) => {
            let wait = ready_at.map_or(LOOK, |at| at.saturating_sub(context.steady()));
            return wait.clamp(Duration::from_millis(10), LOOK);
        }
        Err(_) => return LOOK,
    };
    let body = batch.body.clone();
    let sent = match batch.kind {
        BatchKind::Discovery => context.client.ingest_discovery(&batch.key, body).await,
        BatchKind::Shield => context.client.ingest_shield(&batch.key, body).await,
    };
    let wait = match sent {
        Ok(_) => {
            tries.reset();
            delivered(context, &batch).await;
            Duration::ZERO
        }
        Err(error) if error.is_refused_for_good() => refused(context, &batch, &error).await,
        Err(error) => failed(context, &batch, &error, tries).await,
    };
    context.report_outbox();
    wait
}

async fn delivered(context: &Context, batch: &Batch) {
    let (outbox, key) = (context.outbox.clone(), batch.key);
    if let Ok(Err(error)) = blocking(move || outbox.done(&key)).await {
        tracing::warn!(error = venom_protocol::with_causes(&error), %key,
            "that a batch was delivered cannot be written down now; after a restart it may be sent again, and counts once");
    }
    let now = context.now();
    context.board.change(|state| {
        state.delivered = state.delivered.saturating_add(1);
        state.delivered_at = Some(now);
    });
}

async fn refused(context: &Context, batch: &Batch, error: &ClientError) -> Duration {
    let (outbox, key, why, now) = (context.outbox.clone(), batch.key, error.to_string(), context.now());
    tracing::error!(%error, %key, "the nexus will never take this batch; it is put aside in the outbox's directory `dead`");
    context.board.change(|state| state.last_refusal = Some(why.clone()));
    if let Ok(Err(error)) = blocking(move || outbox.refuse(&key, &why, now)).await {
        tracing::error!(error = venom_protocol::with_causes(&error), %key, "the batch cannot be put aside");
        postpone(context, batch).await;
    }
    Duration::ZERO
}

async fn failed(context: &Context, batch: &Batch, error: &ClientError, tries: &mut Tries) -> Duration {
    tracing::debug!(%error, key = %batch.key, tries = batch.tries, "a batch was not taken; it is tried again");
    if error.may_be_the_batch() {
        postpone(context, batch).await;
    } else {
        put_off(context, batch, Duration::ZERO).await;
    }
    let refused = error.status().is_some_and(|status| status.is_client_error()) && !error.is_retryable();
    if refused && !error.may_be_the_batch() {
        // 401 and 403: whether the token is good is for the pulse to find out
        context.beat_now.notify_one();
        return tries.wait_at_cap().max(error.retry_after().unwrap_or_default());
    }
    if tries.failures() == 0 {
        tracing::warn!(%error, "the nexus takes no batches now; they wait");
    }
    tries.wait().max(error.retry_after().unwrap_or_default())
}

/// A pause of its own for a batch that may be the cause.
async fn postpone(context: &Context, batch: &Batch) {
    let pause = context.settings.backoff.wait(batch.tries, &mut rand::rng());
    let pause = pause.max(context.settings.backoff.base.min(context.settings.backoff.cap));
    put_off(context, batch, context.steady().saturating_add(pause)).await;
}

/// The outbox may be busy with the disk: nobody waits for it here.
async fn put_off(context: &Context, batch: &Batch, until: Duration) {
    let (outbox, key) = (context.outbox.clone(), batch.key);
    if let Err(error) = blocking(move || outbox.postpone(&key, until)).await {
        tracing::error!(%error, %key, "the outbox cannot be reached");
    }
}
