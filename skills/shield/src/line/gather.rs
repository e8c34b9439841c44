//! Runs many conversations on one thread. It waits only when all of them do.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::socket;

/// Longest wait between two questions whether to go on.
const GLANCE: Duration = Duration::from_millis(250);

/// Why it did not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop;

/// Runs the jobs, at most `at_once` of them at one time, begun in order; answers in order. Asked now and then, `stop`
/// ends it: what has not ended by then answers `None`.
pub(crate) fn gather<F: Future>(
    jobs: impl IntoIterator<Item = F>,
    at_once: usize,
    mut stop: impl FnMut() -> Option<Stop>,
) -> Vec<Option<F::Output>> {
    let mut waiting = jobs.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut answers: Vec<Option<F::Output>> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        while running.len() < at_once.max(1) {
            let Some((index, job)) = waiting.next() else { break };
            answers.push(None);
            running.push((index, Box::pin(job)));
        }
        if running.is_empty() {
            return answers;
        }
        if stop().is_some() {
            answers.extend(waiting.map(|_| None));
            return answers;
        }
        socket::forget_wakes();
        let before = running.len();
        running.retain_mut(|(index, job)| match pin!(job).poll(&mut context) {
            Poll::Ready(answer) => {
                if let Some(place) = answers.get_mut(*index) {
                    *place = Some(answer);
                }
                false
            }
            Poll::Pending => true,
        });
        if running.len() == before {
            socket::wait(Instant::now() + GLANCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;

    use super::*;

    /// Ends at its nth poll.
    async fn polls(mut count: u32) -> u32 {
        let asked = count;
        poll_fn(move |_| {
            count = count.saturating_sub(1);
            if count == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        asked
    }

    #[test]
    fn answers_are_in_order_and_no_more_run_than_may() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let jobs = [3, 1, 2, 1].map(|count| {
            let (now, most) = (&now, &most);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                let answer = polls(count).await;
                now.set(now.get() - 1);
                answer
            }
        });
        assert_eq!(gather(jobs, 2, || None), [3, 1, 2, 1].map(Some));
        assert_eq!(most.get(), 2);
        assert!(gather(Vec::<std::future::Ready<u8>>::new(), 2, || None).is_empty());
    }

    #[test]
    fn what_has_not_ended_when_it_is_stopped_is_none() {
        let begun = RefCell::new(Vec::new());
        let jobs = (0_u32..4).map(|index| {
            let begun = &begun;
            async move {
                begun.borrow_mut().push(index);
                polls(if index == 1 { u32::MAX } else { 1 }).await
            }
        });
        let left = Cell::new(3);
        let stop = || {
            left.set(left.get() - 1);
            (left.get() == 0).then_some(Stop)
        };
        assert_eq!(gather(jobs, 2, stop), [Some(1), None, Some(1), None]);
        assert_eq!(*begun.borrow(), [0, 1, 2]);
    }
}
