//! The slots in which calls run, and the lending of them: a call that waits for tasks lends its slot to others, since
//! those it waits for may need exactly that one. Knows no calls but by their ids.
//!
//! A call that comes back takes a slot at once, even when others have all of them: it goes on beside them, and the next
//! slot that is given back is kept. Waiting in line instead could outlast what it waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use venom_protocol::RequestId;

/// Calls that may wait for tasks at one time while others run in their slots. Each keeps its sandbox, so a runtime needs
/// so many instances more than a spore has slots. One below the `concurrency` a skill has by default: the call after the
/// last that may wait is refused, instead of being held up at the door of its skill with a slot in hand.
pub const MAX_AWAITING: u32 = 255;

/// See the module.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Semaphore,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Calls running beyond the number of slots.
    owed: usize,
    /// Calls that lend their slot, and how many of their waits it is lent for.
    lent: HashMap<RequestId, u32>,
}

impl Slots {
    /// None yet: how many there are is known when a spore starts.
    pub(crate) fn new() -> Self {
        Self {
            free: Semaphore::new(0),
            books: Mutex::default(),
        }
    }

    /// So many more.
    pub(crate) fn add(&self, slots: u32) {
        self.free.add_permits(slots as usize);
    }

    /// Waits for a slot.
    pub(crate) async fn take(&self) -> Slot<'_> {
        match self.free.acquire().await {
            Ok(permit) => permit.forget(),
            // it is never closed
            Err(_) => std::future::pending().await,
        }
        Slot(self)
    }

    /// Lends the slot of a running call until the answer is dropped. `None`: as many as may are lent.
    pub(crate) fn lend(self: &Arc<Self>, request_id: RequestId) -> Option<Lent> {
        let mut books = self.books();
        let room = books.lent.len() < MAX_AWAITING as usize;
        match books.lent.get_mut(&request_id) {
            Some(waits) => *waits += 1,
            None if room => {
                books.lent.insert(request_id, 1);
                self.give(&mut books);
            }
            None => return None,
        }
        let slots = Arc::clone(self);
        Some(Lent { slots, request_id })
    }

    /// Slots lent now.
    pub(crate) fn lent(&self) -> usize {
        self.books().lent.len()
    }

    fn give(&self, books: &mut Books) {
        match books.owed.checked_sub(1) {
            Some(owed) => books.owed = owed,
            None => self.free.add_permits(1),
        }
    }

    fn take_back(&self, request_id: RequestId) {
        let mut books = self.books();
        let Some(waits) = books.lent.get_mut(&request_id) else {
            return;
        };
        *waits -= 1;
        if *waits > 0 {
            return;
        }
        books.lent.remove(&request_id);
        match self.free.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(_) => books.owed += 1,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot in use; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.give(&mut self.0.books());
    }
}

/// A slot that others may use; taken back when dropped.
#[derive(Debug)]
pub(crate) struct Lent {
    slots: Arc<Slots>,
    request_id: RequestId,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.slots.take_back(self.request_id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn slots(number: u32) -> Arc<Slots> {
        let slots = Arc::new(Slots::new());
        slots.add(number);
        slots
    }

    fn taken(slots: &Slots) -> Option<Slot<'_>> {
        slots.take().now_or_never()
    }

    #[test]
    fn a_lent_slot_is_used_by_another_and_owed_when_its_owner_comes_back_first() {
        let slots = slots(1);
        let parent = taken(&slots).expect("the slot");
        assert!(taken(&slots).is_none());
        let lent = slots.lend(RequestId::random()).expect("lent");
        let child = taken(&slots).expect("the lent slot");
        drop(lent);
        drop(child);
        assert!(taken(&slots).is_none(), "the parent has it again");
        drop(parent);
        assert!(taken(&slots).is_some());
    }

    #[test]
    fn a_slot_that_nobody_used_is_simply_taken_back() {
        let slots = slots(1);
        let parent = taken(&slots).expect("the slot");
        drop(slots.lend(RequestId::random()));
        assert!(taken(&slots).is_none());
        drop(parent);
        assert!(taken(&slots).is_some());
    }

    #[test]
    fn waiting_again_and_again_neither_makes_nor_loses_slots() {
        let slots = slots(2);
        let parent = taken(&slots).expect("a slot");
        let id = RequestId::random();
        for round in 0..100 {
            let lent = slots.lend(id).expect("lent");
            let children = [taken(&slots), taken(&slots), taken(&slots)];
            assert!(children[1].is_some() && children[2].is_none(), "round {round}");
            if round % 2 == 0 {
                drop(lent);
                drop(children);
            } else {
                drop(children);
                drop(lent);
            }
        }
        drop(parent);
        let all = [taken(&slots), taken(&slots), taken(&slots)];
        assert!(all[1].is_some() && all[2].is_none());
    }

    #[test]
    fn one_call_lends_one_slot_however_many_of_its_waits_overlap() {
        let slots = slots(1);
        let _parent = taken(&slots).expect("the slot");
        let id = RequestId::random();
        let (first, second) = (slots.lend(id).expect("lent"), slots.lend(id).expect("lent"));
        assert_eq!(slots.lent(), 1);
        let child = taken(&slots).expect("the lent slot");
        assert!(taken(&slots).is_none());
        drop(first);
        drop(child);
        assert!(taken(&slots).is_some(), "still lent");
        drop(second);
        assert!(taken(&slots).is_none());
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let slots = slots(1);
        let lent: Vec<_> = (0..MAX_AWAITING).map(|_| slots.lend(RequestId::random())).collect();
        assert!(lent.iter().all(Option::is_some));
        assert!(slots.lend(RequestId::random()).is_none());
        drop(lent);
        assert_eq!(slots.lent(), 0);
    }
}
