//! Reads what somebody wants done into tasks the broker takes, or says what is wrong with it. Pure but for making ids.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use venom_broker::{Idempotency, NewTask};
use venom_protocol::{Backoff, Lane, Placement, Requirements, TaskId, TaskRequest, TaskSpec, Timestamp};

use super::{HiveSettings, graph, params};
use crate::given::{name, object};

/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 256;
/// Most tags and skills a task may ask for together, so that names of lanes stay short.
const MAX_LABELS: usize = 16;
/// Tasks one task may depend on.
const MAX_DEPENDENCIES: usize = 1_000;
/// Runs after the first that may be asked for.
const MAX_RETRIES: u32 = 1_000;
/// Longest delay.
const MAX_DELAY: Duration = Duration::from_secs(366 * 86_400);

/// Who submits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Submitter {
    /// A skill, from its sandbox.
    pub(crate) owner: Option<String>,
    /// Depth of what it submits.
    pub(crate) depth: u32,
    pub(crate) traceparent: Option<String>,
}

/// Tasks read from one request.
pub(crate) struct Intake {
    /// In an order the broker takes: each after those it depends on.
    pub(crate) tasks: Vec<NewTask>,
    /// Place in `tasks` of each task of the request.
    pub(crate) places: Vec<usize>,
}

/// Reads a request.
///
/// # Errors
/// What is wrong with it, for people, naming the task when there are several.
pub(crate) fn read(requests: Vec<TaskRequest>, from: &Submitter, settings: &HiveSettings) -> Result<Intake, String> {
    if requests.len() > settings.max_batch {
        let (given, most) = (requests.len(), settings.max_batch);
        return Err(format!(
            "{given} tasks in one request, and at most {most} are taken; send several requests"
        ));
    }
    let several = requests.len() > 1;
    let names = Names::of(&requests)?;
    let is_plain = requests.iter().all(|request| request.depends_on.is_empty());
    let order = if is_plain {
        None
    } else {
        Some(order(&requests, &names)?)
    };
    let mut tasks = Vec::with_capacity(requests.len());
    for (index, request) in requests.into_iter().enumerate() {
        let told = |why: String| if several { format!("task {index}: {why}") } else { why };
        tasks.push(task(request, index, &names, from, settings).map_err(told)?);
    }
    let Some(order) = order else {
        let places = (0..tasks.len()).collect();
        return Ok(Intake { tasks, places });
    };
    let mut places = vec![0; tasks.len()];
    let mut unordered: Vec<Option<NewTask>> = tasks.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(unordered.len());
    for index in order {
        if let (Some(task), Some(place)) = (unordered.get_mut(index).and_then(Option::take), places.get_mut(index)) {
            *place = sorted.len();
            sorted.push(task);
        }
    }
    Ok(Intake { tasks: sorted, places })
}

/// Ids of the tasks of a request, and their `ref`s.
struct Names {
    ids: Vec<TaskId>,
    by_ref: HashMap<String, usize>,
}

impl Names {
    fn of(requests: &[TaskRequest]) -> Result<Self, String> {
        let mut by_ref = HashMap::new();
        for (index, request) in requests.iter().enumerate() {
            let Some(reference) = &request.reference else { continue };
            name("ref", reference)?;
            if by_ref.insert(reference.clone(), index).is_some() {
                return Err(format!("task {index}: ref `{reference}` is used twice"));
            }
        }
        let ids = requests.iter().map(|_| TaskId::next()).collect();
        Ok(Self { ids, by_ref })
    }

    /// A task of the same request, or one known before.
    fn resolve(&self, text: &str) -> Result<TaskId, String> {
        if let Some(id) = self.by_ref.get(text).and_then(|index| self.ids.get(*index)) {
            return Ok(*id);
        }
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            format!("`{shown}` is neither a ref of this request nor a task id")
        })
    }
}

fn order(requests: &[TaskRequest], names: &Names) -> Result<Vec<usize>, String> {
    let needs: Vec<Vec<usize>> = requests
        .iter()
        .map(|request| {
            request
                .depends_on
                .iter()
                .filter_map(|name| names.by_ref.get(name).copied())
                .collect()
        })
        .collect();
    graph::sorted(&needs).map_err(|circle| {
        let label = |index: &usize| {
            let reference = requests.get(*index).and_then(|request| request.reference.as_deref());
            reference.map_or_else(|| format!("task {index}"), |name| format!("`{name}`"))
        };
        let shown: Vec<String> = circle.iter().take(10).map(label).collect();
        format!("tasks depend on each other in a circle: {}", shown.join(", "))
    })
}

fn task(
    request: TaskRequest,
    index: usize,
    names: &Names,
    from: &Submitter,
    settings: &HiveSettings,
) -> Result<NewTask, String> {
    let idempotency = idempotency(&request)?;
    name("skill_name", &request.skill_name)?;
    name("method_name", &request.method_name)?;
    let requirements = request.requirements.unwrap_or_default();
    labels(&requirements)?;
    if let Some(group) = &request.group {
        name("group", group)?;
    }
    let placement = placement(request.placement.unwrap_or_default(), request.group.is_some())?;
    if let Some(kind) = &request.task_type {
        name("task_type", kind)?;
    }
    let delay = delay(request.delay, request.eta)?;
    let depends_on = dependencies(&request.depends_on, names)?;
    let parameters = parameters(request.parameters, &depends_on, names, settings)?;
    let spec = TaskSpec {
        skill_name: request.skill_name,
        method_name: request.method_name,
        parameters,
        timeout: timeout(request.timeout, settings)?.as_secs_f64(),
        max_retries: retries(request.max_retries, settings)?,
        requirements,
        placement,
        backoff: backoff(request.backoff.unwrap_or_default())?,
        group: request.group,
        depends_on: depends_on.clone(),
        task_type: request.task_type,
        owner: from.owner.clone(),
        depth: from.depth,
        traceparent: from.traceparent.clone(),
    };
    Ok(NewTask {
        id: names.ids.get(index).copied().unwrap_or_else(TaskId::next),
        lane: Lane::of(&spec.skill_name, &spec.requirements, spec.group.as_deref()),
        priority: request.priority.unwrap_or_default(),
        delay,
        idempotency,
        depends_on,
        body: serde_json::to_string(&spec).map_err(|error| error.to_string())?,
    })
}

/// The fingerprint is of what was asked, so that the same request again is the same whatever ids it would get.
fn idempotency(request: &TaskRequest) -> Result<Option<Idempotency>, String> {
    let Some(key) = &request.idempotency_key else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(format!(
            "idempotency_key has {} bytes, give 1 to {MAX_KEY_BYTES}",
            key.len()
        ));
    }
    let asked = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    let digest = Sha256::digest(&asked);
    let fingerprint = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let key = key.clone();
    Ok(Some(Idempotency { key, fingerprint }))
}

fn labels(requirements: &Requirements) -> Result<(), String> {
    let lists = [
        ("requirements.capabilities", &requirements.capabilities),
        ("requirements.tags", &requirements.tags),
        ("requirements.exclude_tags", &requirements.exclude_tags),
    ];
    let count: usize = lists.iter().map(|(_, list)| list.len()).sum();
    if count > MAX_LABELS {
        return Err(format!(
            "requirements name {count} tags and skills, and at most {MAX_LABELS} are taken"
        ));
    }
    for (field, list) in lists {
        list.iter().try_for_each(|text| name(field, text))?;
    }
    Ok(())
}

fn placement(placement: Placement, has_group: bool) -> Result<Placement, String> {
    if placement.with_group.is_some() && !has_group {
        return Err("placement.with_group needs a group".to_owned());
    }
    if placement.prefer_tags.len() > MAX_LABELS {
        return Err(format!("placement.prefer_tags names more than {MAX_LABELS} tags"));
    }
    placement
        .prefer_tags
        .iter()
        .try_for_each(|tag| name("placement.prefer_tags", tag))?;
    Ok(placement)
}

fn dependencies(asked: &[String], names: &Names) -> Result<Vec<TaskId>, String> {
    if asked.len() > MAX_DEPENDENCIES {
        return Err(format!(
            "depends_on names {} tasks, and at most {MAX_DEPENDENCIES} are taken",
            asked.len()
        ));
    }
    let mut ids = Vec::with_capacity(asked.len());
    for name in asked {
        let id = names.resolve(name).map_err(|why| format!("depends_on: {why}"))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn parameters(
    given: Option<Box<RawValue>>,
    depends_on: &[TaskId],
    names: &Names,
    settings: &HiveSettings,
) -> Result<Box<RawValue>, String> {
    let given = object(given)?;
    let (size, most) = (given.get().len() as u64, settings.max_parameters);
    if size > most.0 {
        return Err(format!(
            "parameters take {size} bytes, and at most {most} are taken; pass a place to read them from"
        ));
    }
    if depends_on.is_empty() || !params::mentions_results(given.get()) {
        return Ok(given);
    }
    params::rename(&given, |name| {
        let id = names.resolve(name)?;
        if depends_on.contains(&id) {
            return Ok(id);
        }
        Err(format!("refers to the result of `{name}`, which is not in depends_on"))
    })
    .map_err(|why| format!("parameters: {why}"))
}

fn timeout(seconds: Option<f64>, settings: &HiveSettings) -> Result<Duration, String> {
    let Some(seconds) = seconds else {
        return Ok(settings.task_timeout.min(settings.zombie_task_timeout));
    };
    let most = settings.zombie_task_timeout;
    let given = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|given| !given.is_zero());
    given.filter(|given| *given <= most).ok_or_else(|| {
        format!(
            "timeout is {seconds}, give seconds over 0 and at most {} (HIVE_ZOMBIE_TASK_TIMEOUT)",
            most.as_secs_f64()
        )
    })
}

fn retries(given: Option<u32>, settings: &HiveSettings) -> Result<u32, String> {
    let retries = given.unwrap_or(settings.max_retries);
    if retries <= MAX_RETRIES {
        Ok(retries)
    } else {
        Err(format!("max_retries is {retries}, give at most {MAX_RETRIES}"))
    }
}

fn backoff(backoff: Backoff) -> Result<Backoff, String> {
    let seconds = 0.0..=86_400.0;
    if !seconds.contains(&backoff.base) || !seconds.contains(&backoff.max) {
        return Err("backoff.base and backoff.max are seconds of 0 to 86400".to_owned());
    }
    if !(1.0..=10.0).contains(&backoff.factor) {
        return Err("backoff.factor is 1 to 10".to_owned());
    }
    Ok(backoff)
}

fn delay(delay: Option<f64>, eta: Option<Timestamp>) -> Result<Duration, String> {
    let given = match (delay, eta) {
        (Some(_), Some(_)) => return Err("delay and eta exclude each other".to_owned()),
        (None, None) => return Ok(Duration::ZERO),
        (Some(seconds), None) => Duration::try_from_secs_f64(seconds).ok(),
        (None, Some(at)) => {
            let left = at.0.duration_since(Timestamp::now().0);
            Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
        }
    };
    given
        .filter(|given| *given <= MAX_DELAY)
        .ok_or_else(|| format!("delay is seconds of 0 to {}", MAX_DELAY.as_secs()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn requests(tasks: serde_json::Value) -> Vec<TaskRequest> {
        let with_names = |mut task: serde_json::Value| {
            let fields = task.as_object_mut().unwrap();
            fields.entry("skill_name").or_insert("EchoSkill".into());
            fields.entry("method_name").or_insert("echo".into());
            task
        };
        let tasks = tasks.as_array().unwrap().iter().cloned().map(with_names);
        tasks.map(|task| serde_json::from_value(task).unwrap()).collect()
    }

    fn read_all(tasks: serde_json::Value) -> Result<Intake, String> {
        read(requests(tasks), &Submitter::default(), &HiveSettings::default())
    }

    fn why(tasks: serde_json::Value) -> String {
        read_all(tasks).map(|_| ()).unwrap_err()
    }

    #[test]
    fn dependencies_come_before_what_needs_them_and_places_are_kept() {
        let intake = read_all(json!([
            {"ref": "last", "depends_on": ["first", "second"],
             "parameters": {"x": {"$result": "first", "path": "/n"}}},
            {"ref": "second", "depends_on": ["first"]},
            {"ref": "first"},
        ]))
        .unwrap();
        assert_eq!(intake.places, [2, 1, 0]);
        let (first, last) = (&intake.tasks[0], &intake.tasks[2]);
        assert_eq!(last.depends_on, [first.id, intake.tasks[1].id]);
        assert!(
            last.body.contains(&format!(r#""$result":"{}""#, first.id)),
            "{}",
            last.body
        );
    }

    #[test]
    fn circles_and_missing_names_are_told() {
        let circle = why(json!([{"ref": "a", "depends_on": ["b"]}, {"ref": "b", "depends_on": ["a"]}]));
        assert!(circle.contains("circle: `a`, `b`"), "{circle}");
        let missing = why(json!([{"depends_on": ["nobody"]}]));
        assert!(missing.contains("`nobody` is neither a ref"), "{missing}");
        let twice = why(json!([{"ref": "a"}, {"ref": "a"}]));
        assert!(twice.contains("ref `a` is used twice"), "{twice}");
        let undeclared = why(json!([{"ref": "a"}, {"ref": "b"},
            {"depends_on": ["a"], "parameters": {"x": {"$result": "b"}}}]));
        assert!(
            undeclared.contains("task 2") && undeclared.contains("not in depends_on"),
            "{undeclared}"
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_told() {
        for (task, expected) in [
            (json!({"timeout": 0}), "timeout"),
            (json!({"timeout": 601}), "HIVE_ZOMBIE_TASK_TIMEOUT"),
            (json!({"max_retries": 1001}), "max_retries"),
            (json!({"delay": -1}), "delay"),
            (json!({"delay": 1e12}), "delay"),
            (json!({"delay": 1, "eta": "2026-01-01T00:00:00Z"}), "exclude"),
            (json!({"skill_name": ""}), "skill_name is empty"),
            (json!({"method_name": "a\nb"}), "control"),
            (json!({"parameters": [1]}), "no JSON object"),
            (json!({"idempotency_key": ""}), "idempotency_key"),
            (json!({"backoff": {"factor": 0.5}}), "factor"),
            (json!({"backoff": {"base": -1.0}}), "base"),
            (json!({"placement": {"with_group": true}}), "needs a group"),
            (json!({"requirements": {"tags": vec!["x"; 17]}}), "at most 16"),
        ] {
            let why = why(json!([task]));
            assert!(why.contains(expected), "{task}: {why}");
        }
        let settings = HiveSettings {
            max_parameters: bytesize::ByteSize(10),
            max_batch: 1,
            ..HiveSettings::default()
        };
        let big = requests(json!([{"parameters": {"text": "0123456789"}}]));
        let why = read(big, &Submitter::default(), &settings).map(|_| ()).unwrap_err();
        assert!(why.contains("at most 10 B"), "{why}");
        let many = requests(json!([{}, {}]));
        assert!(read(many, &Submitter::default(), &settings).is_err());
    }

    #[test]
    fn the_same_request_has_the_same_fingerprint() {
        let print = |task: serde_json::Value| {
            let intake = read_all(json!([task])).unwrap();
            intake
                .tasks
                .into_iter()
                .next()
                .unwrap()
                .idempotency
                .unwrap()
                .fingerprint
        };
        let task = json!({"idempotency_key": "k", "parameters": {"n": 1}});
        assert_eq!(print(task.clone()), print(task));
        assert_ne!(
            print(json!({"idempotency_key": "k", "parameters": {"n": 1}})),
            print(json!({"idempotency_key": "k", "parameters": {"n": 2}}))
        );
    }

    #[test]
    fn a_time_in_the_past_means_now() {
        let intake = read_all(json!([{"eta": "2020-01-01T00:00:00Z"}, {"delay": 1.5}])).unwrap();
        assert_eq!(intake.tasks[0].delay, Duration::ZERO);
        assert_eq!(intake.tasks[1].delay, Duration::from_millis(1_500));
    }
}
