//! Between the updater and the link: what one has for the other, the newest of each kind only. Nothing piles up here,
//! however long there is no link and however often the hive hints.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use venom_protocol::{ReleaseAnswer, ReleaseAsk, Timestamp, UpdateReport, encode};

/// See the module. One for each spore, over all its links.
#[derive(Debug, Default)]
pub(crate) struct UpdateLine {
    inner: Mutex<Inner>,
    for_link: Notify,
    for_updater: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// A link in protocol 2 is there.
    linked: bool,
    ask: Option<ReleaseAsk>,
    report: Option<UpdateReport>,
    skills_changed: bool,
    mail: Mail,
}

/// What came for the updater since it last looked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mail {
    /// A link began.
    pub(super) linked: bool,
    /// Something was announced.
    pub(super) hinted: bool,
    /// The nexus answered.
    pub(super) answer: Option<ReleaseAnswer>,
}

/// What the link is to send.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A frame.
    Frame(String),
    /// The skills of this spore changed: its status.
    Status,
}

impl UpdateLine {
    /// A link that takes our messages began or ended.
    pub(crate) fn set_linked(&self, linked: bool) {
        let mut inner = self.lock();
        inner.linked = linked;
        inner.mail.linked = linked;
        (inner.ask, inner.report, inner.skills_changed) = (None, None, false);
        drop(inner);
        self.for_updater.notify_one();
    }

    /// Something may be new: look.
    pub(crate) fn hint(&self) {
        self.lock().mail.hinted = true;
        self.for_updater.notify_one();
    }

    /// What the nexus has. A second answer before the first was read replaces it: the updater asks again for what it
    /// lacks.
    pub(crate) fn answer(&self, answer: ReleaseAnswer) {
        self.lock().mail.answer = Some(answer);
        self.for_updater.notify_one();
    }

    /// The next message for the nexus; waits for one. Loses nothing when dropped.
    pub(crate) async fn next(&self) -> Outgoing {
        loop {
            if let Some(outgoing) = self.try_next() {
                return outgoing;
            }
            self.for_link.notified().await;
        }
    }

    fn try_next(&self) -> Option<Outgoing> {
        let mut inner = self.lock();
        if !inner.linked {
            return None;
        }
        let now = Timestamp::now();
        if std::mem::take(&mut inner.skills_changed) {
            return Some(Outgoing::Status);
        }
        if let Some(report) = inner.report.take() {
            return encode(&report, now).ok().map(Outgoing::Frame);
        }
        let ask = inner.ask.take()?;
        encode(&ask, now).ok().map(Outgoing::Frame)
    }

    /// Asks the nexus, when there is one.
    pub(super) fn ask(&self, ask: ReleaseAsk) {
        self.lock().ask = Some(ask);
        self.for_link.notify_one();
    }

    /// Tells the nexus, when there is one.
    pub(super) fn report(&self, report: UpdateReport) {
        self.lock().report = Some(report);
        self.for_link.notify_one();
    }

    /// Lets the link tell the nexus which skills there are now.
    pub(super) fn skills_changed(&self) {
        self.lock().skills_changed = true;
        self.for_link.notify_one();
    }

    /// What came; waits for something.
    pub(super) async fn mail(&self) -> Mail {
        loop {
            let mail = std::mem::take(&mut self.lock().mail);
            if mail != Mail::default() {
                return mail;
            }
            self.for_updater.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
