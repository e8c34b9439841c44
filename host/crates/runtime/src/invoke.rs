//! One call: a fresh store, every budget set, the guest run to its end or its limit, and the store thrown away.
//! Nothing of a call survives it but its answer and its log lines.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venom_protocol::{CallError, ErrorCode};
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};

use crate::admission::{Admitted, NotAdmitted};
use crate::bindings::{ApiDescription, GuestError, SkillPre};
use crate::failure::{Blame, REPLACED};
use crate::journal::Journal;
use crate::meter::Meter;
use crate::record::Record;
use crate::skill::Loaded;
use crate::state::{CallState, TaskInfo};
use crate::stop::Stop;
use crate::{Call, Description, Outcome, Runtime, Usage};

/// Runs one call of a loaded skill, and notes how it went.
pub(crate) async fn invoke(skill: &Loaded, call: Call, record: &Record) -> Outcome {
    let started = Instant::now();
    let limit = TimeLimit::of(&call, skill.rights.budgets().wall, started);
    let (result, usage) = match admit(skill, &call, &limit).await {
        Ok(_place) => {
            let ended = run(skill, call, &limit, started).await;
            record.count(ended.0.as_ref().err(), limit.by_caller.then_some(limit.length));
            ended
        }
        Err(refused) => (
            Err(not_admitted(skill, &call.method, &refused, &limit)),
            Usage::default(),
        ),
    };
    Outcome {
        result,
        elapsed: started.elapsed(),
        usage,
    }
}

/// Waits for the call's turn, unless the skill is retired.
async fn admit<'a>(skill: &'a Loaded, call: &Call, limit: &TimeLimit) -> Result<Admitted<'a>, NotAdmitted> {
    if skill.record.is_retired() {
        return Err(NotAdmitted::Replaced);
    }
    let turn = skill
        .admission
        .enter(&skill.runtime.slots, limit.deadline, &call.cancel);
    tokio::select! {
        biased;
        admitted = turn => admitted,
        () = skill.record.retired() => Err(NotAdmitted::Replaced),
    }
}

/// How long a call may take, and who said so.
struct TimeLimit {
    deadline: Instant,
    length: Duration,
    by_caller: bool,
}

impl TimeLimit {
    fn of(call: &Call, budget: Duration, now: Instant) -> Self {
        let length = call.timeout.min(budget);
        Self {
            deadline: now
                .checked_add(length)
                .unwrap_or(now + Duration::from_secs(u32::MAX.into())),
            length,
            by_caller: call.timeout <= budget,
        }
    }

    fn passed(&self) -> String {
        let (length, who) = (
            self.length,
            if self.by_caller {
                "the caller's timeout"
            } else {
                "the budget `wall`"
            },
        );
        format!("timed out after {length:?} ({who})")
    }
}

fn not_admitted(skill: &Loaded, method: &str, refused: &NotAdmitted, limit: &TimeLimit) -> CallError {
    let name = &skill.rights.skill;
    let concurrency = skill.rights.budgets().concurrency;
    match refused {
        NotAdmitted::Full => CallError::new(
            ErrorCode::Busy,
            format!("{name}.{method}: too many calls are waiting (budget `concurrency` is {concurrency}); try again"),
        ),
        NotAdmitted::Late => CallError::new(
            ErrorCode::TimedOut,
            format!(
                "{name}.{method}: {} while waiting for its turn (budget `concurrency` is {concurrency})",
                limit.passed()
            ),
        ),
        NotAdmitted::Cancelled => CallError::new(
            ErrorCode::Cancelled,
            format!("{name}.{method}: cancelled by the caller"),
        ),
        NotAdmitted::Replaced => CallError::new(ErrorCode::Unavailable, format!("{name}.{method}: {REPLACED}")),
    }
}

async fn run(
    skill: &Loaded,
    call: Call,
    limit: &TimeLimit,
    started: Instant,
) -> (Result<Box<RawValue>, CallError>, Usage) {
    let blame = Blame {
        skill: &skill.rights.skill,
        method: &call.method,
        budgets: skill.rights.budgets(),
    };
    if !call.params.get().starts_with('{') {
        let error = CallError::new(
            ErrorCode::InvalidParams,
            format!("{}.{}: parameters must be a JSON object", blame.skill, blame.method),
        );
        return (Err(error), Usage::default());
    }
    let lines = skill.rights.budgets().log_lines;
    let journal = Journal::new(Arc::clone(&skill.rights.skill), call.task_id, call.traceparent, lines);
    let journal = Arc::new(journal);
    let meter = Arc::new(Meter::new(started.into_std()));
    let task = TaskInfo {
        request_id: call.request_id,
        attempt: call.attempt,
        depth: call.depth,
        deadline: limit.deadline,
        cancel: call.cancel.clone(),
        progress: call.progress,
    };
    let state = CallState::new(
        Arc::clone(&skill.rights),
        Arc::clone(&journal),
        Arc::clone(&meter),
        task,
    );
    let mut store = match new_store(&skill.runtime.engine, state) {
        Ok(store) => store,
        Err(error) => return (Err(blame.trapped(&error, None, &journal, "")), Usage::default()),
    };
    let guest = guest_invoke(&skill.pre, &mut store, &call.method, call.params.get());
    let ended = tokio::select! {
        biased;
        ended = until(guest, &meter, limit.deadline, &call.cancel) => ended,
        () = skill.record.retired() => Err(Stop::Replaced),
    };
    journal.finish();
    let state = store.data();
    let result = answer(&blame, state, ended, &skill.description, &limit.passed());
    let usage = Usage {
        memory_peak: state.limits.memory_peak(),
        cpu: meter.total(),
    };
    (result, usage)
}

/// Runs `describe` in a store of its own.
pub(crate) async fn describe(
    runtime: &Runtime,
    pre: &SkillPre<CallState>,
    state: CallState,
) -> Result<ApiDescription, CallError> {
    let (journal, meter) = (Arc::clone(&state.journal), Arc::clone(&state.meter));
    let (deadline, cancel) = (state.task.deadline, state.task.cancel.clone());
    let rights = Arc::clone(&state.rights);
    let blame = Blame {
        skill: &rights.skill,
        method: "describe",
        budgets: rights.budgets(),
    };
    let waited = "it took too long";
    let mut store =
        new_store(&runtime.inner.engine, state).map_err(|error| blame.trapped(&error, None, &journal, waited))?;
    let guest = async {
        let instance = pre.instantiate_async(&mut store).await?;
        instance.venom_skill_api().call_describe(&mut store).await
    };
    let ended = until(guest, &meter, deadline, &cancel).await;
    journal.finish();
    match ended {
        Ok(Ok(described)) => Ok(described),
        Ok(Err(error)) => Err(blame.trapped(&error, store.data().limits.denied(), &journal, waited)),
        Err(stop) => Err(blame.stopped(&stop, waited)),
    }
}

type Guest = wasmtime::Result<Result<String, GuestError>>;

async fn guest_invoke(pre: &SkillPre<CallState>, store: &mut Store<CallState>, method: &str, params: &str) -> Guest {
    let instance = pre.instantiate_async(&mut *store).await?;
    instance
        .venom_skill_api()
        .call_invoke(&mut *store, method, params)
        .await
}

/// A store with every budget that wasmtime itself looks after.
fn new_store(engine: &Engine, state: CallState) -> wasmtime::Result<Store<CallState>> {
    let budgets = state.rights.budgets();
    let host_call_bytes = usize::try_from(budgets.host_call_bytes.as_u64()).unwrap_or(usize::MAX);
    let handles = usize::try_from(budgets.handles).unwrap_or(usize::MAX);
    let mut store = Store::try_new(engine, state)?;
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(host_call_bytes);
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(on_tick);
    Ok(store)
}

/// Looks at a running guest once each tick: a guest that never calls the host is stopped here. Otherwise it lets
/// everything else on this thread go first.
fn on_tick(store: StoreContextMut<'_, CallState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data();
    if state.task.cancel.is_cancelled() {
        return Err(wasmtime::Error::new(Stop::Cancelled));
    }
    if Instant::now() >= state.task.deadline {
        return Err(wasmtime::Error::new(Stop::Deadline));
    }
    let cpu = state.rights.budgets().cpu;
    if state.meter.running_total() >= cpu {
        return Err(wasmtime::Error::new(Stop::cpu(cpu)));
    }
    // Tokio's own yield, unlike a plain wake-up, lets the I/O driver run before this task is polled again.
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
}

/// Runs the guest until it ends, is cancelled, or its time is up.
async fn until<T>(
    guest: impl Future<Output = T>,
    meter: &Meter,
    deadline: Instant,
    cancel: &CancellationToken,
) -> Result<T, Stop> {
    let mut guest = pin!(guest);
    let metered = poll_fn(|context| {
        meter.resume();
        let progress = guest.as_mut().poll(context);
        meter.pause();
        progress
    });
    tokio::select! {
        biased;
        ended = metered => Ok(ended),
        () = cancel.cancelled() => Err(Stop::Cancelled),
        () = tokio::time::sleep_until(deadline) => Err(Stop::Deadline),
    }
}

fn answer(
    blame: &Blame<'_>,
    state: &CallState,
    ended: Result<Guest, Stop>,
    about: &Description,
    waited: &str,
) -> Result<Box<RawValue>, CallError> {
    let text = match ended {
        Err(stop) => return Err(blame.stopped(&stop, waited)),
        Ok(Err(trap)) => return Err(blame.trapped(&trap, state.limits.denied(), &state.journal, waited)),
        Ok(Ok(Err(returned))) => return Err(blame.returned(returned, about, &state.refusals)),
        Ok(Ok(Ok(text))) => text,
    };
    if text.len() as u64 > state.left.output_bytes {
        return Err(blame.stopped(
            &Stop::budget("output_bytes", state.rights.budgets().output_bytes),
            waited,
        ));
    }
    RawValue::from_string(text).map_err(|error| blame.not_json(&error))
}
