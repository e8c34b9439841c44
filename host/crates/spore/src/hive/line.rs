//! Questions on their way to the nexus and back: numbered, bounded, forgotten when nobody waits any more. Knows frames
//! and answers, but no socket: the link takes the frames from here and brings the answers.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use venom_protocol::{HiveAnswer, HiveAsk, HiveQuestion, HiveRefusal, HiveReply, MAX_FRAME_BYTES, Timestamp, encode};
use venom_runtime::{BackendError, HiveCaller};

use crate::slots::Slots;

/// How long the nexus may take to answer; waiting for tasks has its own time on top.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Questions asked and not answered, those that wait for tasks aside: these are bounded by the slots they lend. More wait
/// their turn within their patience. Four times what the default concurrency can ask at one time.
const MAX_OPEN: usize = 1_024;

/// Bytes of questions that the link has not taken yet: two frames of the largest size.
const MAX_UNSENT_BYTES: usize = 2 * MAX_FRAME_BYTES;

/// The other end of the link, as far as questions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Nexus {
    /// No link.
    #[default]
    Away,
    /// A link in protocol 1, which has no questions.
    TooOld,
    /// Answers questions.
    There,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Line {
    /// Of the calls that ask.
    pub(crate) slots: Arc<Slots>,
    books: Mutex<Books>,
    last_id: AtomicU64,
    places: Arc<Semaphore>,
    unsent: Arc<Semaphore>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Books {
    nexus: Nexus,
    open: HashMap<u64, oneshot::Sender<HiveReply>>,
    unsent: VecDeque<Unsent>,
}

/// A question the link has not taken yet.
#[derive(Debug)]
struct Unsent {
    ask_id: u64,
    frame: String,
    _bytes: OwnedSemaphorePermit,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            slots: Arc::new(Slots::new()),
            books: Mutex::default(),
            last_id: AtomicU64::new(0),
            places: Arc::new(Semaphore::new(MAX_OPEN)),
            unsent: Arc::new(Semaphore::new(MAX_UNSENT_BYTES)),
            bell: Notify::new(),
        }
    }

    /// Asks, and waits for the answer up to [`PATIENCE`].
    pub(super) async fn ask(&self, caller: &HiveCaller, question: HiveQuestion) -> Result<HiveReply, BackendError> {
        let asking = async {
            let _place = self.places.acquire().await;
            self.exchange(caller, question).await
        };
        answered_within(PATIENCE, asking).await
    }

    /// Asks for the end of tasks, which the nexus answers within `wait`. Lends the slot of the asking call meanwhile.
    pub(super) async fn wait(
        &self,
        caller: &HiveCaller,
        question: HiveQuestion,
        wait: Duration,
    ) -> Result<HiveReply, BackendError> {
        let Some(_lent) = self.slots.lend(caller.request_id) else {
            let most = crate::MAX_AWAITING;
            let text = format!("{most} calls on this spore wait for tasks, which is all it takes; try again later");
            return Err(BackendError::Unavailable(text));
        };
        answered_within(wait.saturating_add(PATIENCE), self.exchange(caller, question)).await
    }

    async fn exchange(&self, caller: &HiveCaller, question: HiveQuestion) -> Result<HiveReply, BackendError> {
        self.books().nexus.check()?;
        let ask_id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let frame = frame(ask_id, caller, question)?;
        let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        // never closed
        let _bytes = Arc::clone(&self.unsent).acquire_many_owned(bytes).await;
        let _bytes = _bytes.map_err(|_| lost())?;
        let (sender, answer) = oneshot::channel();
        let _open = {
            let mut books = self.books();
            books.nexus.check()?;
            books.open.insert(ask_id, sender);
            books.unsent.push_back(Unsent { ask_id, frame, _bytes });
            Open { line: self, ask_id }
        };
        self.bell.notify_one();
        accepted(answer.await.map_err(|_| lost())?)
    }

    /// The next frame for the link; waits for ever when there is none. Loses nothing when dropped.
    pub(crate) async fn next(&self) -> String {
        loop {
            if let Some(frame) = self.try_next() {
                return frame;
            }
            self.bell.notified().await;
        }
    }

    /// As [`Self::next`], for what is there already.
    pub(crate) fn try_next(&self) -> Option<String> {
        let mut books = self.books();
        loop {
            let unsent = books.unsent.pop_front()?;
            if books.open.contains_key(&unsent.ask_id) {
                return Some(unsent.frame);
            }
        }
    }

    /// An answer came. False: nobody waits for it (any more).
    pub(crate) fn answer(&self, answer: HiveAnswer) -> bool {
        let sender = self.books().open.remove(&answer.ask_id);
        sender.is_some_and(|sender| sender.send(answer.reply).is_ok())
    }

    /// The link came up, changed its protocol, or broke. When it broke, no answer comes any more.
    pub(crate) fn set(&self, nexus: Nexus) {
        let mut books = self.books();
        books.nexus = nexus;
        if nexus == Nexus::Away {
            books.open.clear();
            books.unsent.clear();
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question somebody waits for; forgotten when dropped.
struct Open<'a> {
    line: &'a Line,
    ask_id: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.line.books().open.remove(&self.ask_id);
    }
}

impl Nexus {
    fn check(self) -> Result<(), BackendError> {
        let text = match self {
            Self::There => return Ok(()),
            Self::Away => "this spore has no link to its nexus now, so it reaches no hive; try again later",
            Self::TooOld => "the nexus of this spore speaks protocol 1, which has no hive for skills; update the nexus",
        };
        Err(BackendError::Unavailable(text.to_owned()))
    }
}

fn frame(ask_id: u64, caller: &HiveCaller, question: HiveQuestion) -> Result<String, BackendError> {
    let ask = HiveAsk {
        ask_id,
        request_id: caller.request_id,
        skill: caller.skill.clone(),
        question,
    };
    let frame = encode(&ask, Timestamp::now())
        .map_err(|error| BackendError::Invalid(format!("question cannot be written as json: {error}")))?;
    if frame.len() > MAX_FRAME_BYTES {
        let text = format!(
            "question takes {} bytes, but a frame takes {MAX_FRAME_BYTES}; ask for less at one time",
            frame.len()
        );
        return Err(BackendError::Limit(text));
    }
    Ok(frame)
}

async fn answered_within(
    patience: Duration,
    asking: impl Future<Output = Result<HiveReply, BackendError>>,
) -> Result<HiveReply, BackendError> {
    timeout(patience, asking).await.unwrap_or_else(|_| {
        let text = format!("the nexus did not answer within {patience:?}; what was asked may have been done");
        Err(BackendError::Unavailable(text))
    })
}

fn lost() -> BackendError {
    let text = "the link to the nexus broke before it answered; what was asked may have been done";
    BackendError::Unavailable(text.to_owned())
}

fn accepted(reply: HiveReply) -> Result<HiveReply, BackendError> {
    match reply {
        HiveReply::Refused { refusal, reason } => Err(match refusal {
            HiveRefusal::Unavailable => BackendError::Unavailable(reason),
            HiveRefusal::NotFound => BackendError::NotFound(reason),
            HiveRefusal::Limit => BackendError::Limit(reason),
            HiveRefusal::Invalid => BackendError::Invalid(reason),
        }),
        reply => Ok(reply),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use venom_protocol::RequestId;

    use super::*;

    fn line() -> Line {
        let line = Line::new();
        line.set(Nexus::There);
        line
    }

    fn caller() -> HiveCaller {
        HiveCaller {
            skill: "S".to_owned(),
            request_id: RequestId::random(),
            task_id: "t".to_owned(),
            depth: 1,
            traceparent: None,
        }
    }

    fn question() -> HiveQuestion {
        let task_id = "t".to_owned();
        HiveQuestion::Status { task_id }
    }

    fn is_idle(line: &Line) -> bool {
        let books = line.books();
        books.open.is_empty() && line.places.available_permits() == MAX_OPEN && line.slots.lent() == 0
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_nexus_is_waited_for_so_long_and_no_longer() {
        let (line, began) = (line(), Instant::now());
        let error = line.ask(&caller(), question()).await.expect_err("nobody answers");
        assert!(
            matches!(&error, BackendError::Unavailable(text) if text.contains("10s")),
            "{error}"
        );
        assert_eq!(began.elapsed(), PATIENCE);
        let minute = Duration::from_secs(60);
        line.wait(&caller(), question(), minute)
            .await
            .expect_err("nobody answers");
        assert_eq!(began.elapsed(), PATIENCE * 2 + minute);
        assert!(is_idle(&line));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_nobody_waits_for_any_more_is_forgotten_and_not_sent() {
        let line = line();
        {
            let caller = caller();
            let asking = line.ask(&caller, question());
            tokio::pin!(asking);
            assert!(timeout(Duration::from_secs(1), &mut asking).await.is_err());
            assert_eq!(line.books().unsent.len(), 1);
        }
        assert!(is_idle(&line));
        assert_eq!(line.try_next(), None);
        assert_eq!(line.unsent.available_permits(), MAX_UNSENT_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn questions_in_flight_are_bounded() {
        let (line, caller) = (line(), caller());
        let all = (0..MAX_OPEN + 5).map(|_| line.ask(&caller, question()));
        let all = futures_util::future::join_all(all);
        tokio::pin!(all);
        assert!(timeout(Duration::from_secs(1), &mut all).await.is_err());
        assert_eq!(line.books().open.len(), MAX_OPEN);
        let answers = all.await;
        assert!(answers.iter().all(Result::is_err));
        assert!(is_idle(&line));
    }

    #[tokio::test(start_paused = true)]
    async fn more_waits_than_may_lend_their_slot_are_refused() {
        let line = line();
        let all = (0..=crate::MAX_AWAITING).map(|_| async { line.wait(&caller(), question(), PATIENCE).await });
        let answers = futures_util::future::join_all(all).await;
        let refused = |answer: &&Result<_, BackendError>| matches!(answer, Err(BackendError::Unavailable(text)) if text.contains("wait for tasks"));
        assert_eq!(answers.iter().filter(refused).count(), 1);
        assert!(is_idle(&line));
    }
}
