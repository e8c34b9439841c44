//! Golden files of the hive: questions and answers on the link, broadcasts, and the REST bodies of tasks.

use serde_json::json;
use venom_protocol::{
    Backoff, Broadcast, CacheEntry, CacheKey, ClusterStatus, ControlBroadcast, ErrorCode, ExecuteSkill, GroupLimits,
    GroupView, HiveAnswer, HiveAsk, HiveQuestion, HiveRefusal, HiveReply, HiveTask, HiveTaskState, MapItem, MapRequest,
    MapResult, Placement, Priority, QueueStats, Reduce, Requirements, Strategy, TaskAccepted, TaskId, TaskList,
    TaskPayload, TaskRequest, TaskRun, TaskSpec, TaskStatus, TaskView, TasksAccepted, TasksRequest,
};

use crate::golden::{body, from_nexus, from_spore, node, now, raw, request, view};

fn task(last: u8) -> TaskId {
    format!("0199f3a2-7c1e-7d00-8000-0000000000{last:02x}").parse().unwrap()
}

fn ask(name: &str, question: HiveQuestion) {
    let ask = HiveAsk {
        ask_id: 7,
        request_id: request(),
        skill: "ParallelSkill".to_owned(),
        question,
    };
    from_spore(name, &ask);
}

fn answer(name: &str, reply: HiveReply) {
    from_nexus(name, &HiveAnswer { ask_id: 7, reply });
}

fn key() -> CacheKey {
    CacheKey {
        namespace: "skill:ParallelSkill".to_owned(),
        key: "last run".to_owned(),
    }
}

#[test]
fn questions_of_skills() {
    let first = HiveTask {
        skill: "EchoSkill".to_owned(),
        method: "say".to_owned(),
        params: r#"{"text":"hé"}"#.to_owned(),
        priority: "high_priority".to_owned(),
        timeout: Some(30.0),
    };
    let second = HiveTask {
        priority: String::new(),
        timeout: None,
        ..first.clone()
    };
    ask(
        "hive_ask_submit",
        HiveQuestion::Submit {
            tasks: vec![first, second],
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        },
    );
    let task_ids = vec![task(1).to_string(), task(2).to_string()];
    ask("hive_ask_await", HiveQuestion::Await { task_ids, timeout: 1.0 });
    let task_id = task(1).to_string();
    ask("hive_ask_status", HiveQuestion::Status { task_id });
    ask("hive_ask_cache_get", HiveQuestion::CacheGet { at: key() });
    ask(
        "hive_ask_cache_set",
        HiveQuestion::CacheSet {
            at: key(),
            quota: 1_048_576,
            value: "AP8H".to_owned(),
            ttl_ms: 60_000,
        },
    );
    ask("hive_ask_cache_delete", HiveQuestion::CacheDelete { at: key() });
    ask("hive_ask_cache_ttl", HiveQuestion::CacheTtl { at: key() });
}

#[test]
fn answers_to_skills() {
    let task_ids = vec![task(1), task(2)];
    answer("hive_answer_submitted", HiveReply::Submitted { task_ids });
    let state = |last, status: &str, value: Option<&str>, reason: Option<&str>| HiveTaskState {
        task_id: task(last).to_string(),
        status: status.to_owned(),
        value: value.map(str::to_owned),
        reason: reason.map(str::to_owned),
    };
    let outcomes = vec![
        state(1, "completed", Some(r#"{"n": 1.50}"#), None),
        state(2, "failed", None, Some("no such file")),
        state(3, "running", None, None),
    ];
    answer("hive_answer_outcomes", HiveReply::Outcomes { outcomes });
    let value = Some("AP8H".to_owned());
    answer("hive_answer_value", HiveReply::Value { value });
    answer("hive_answer_no_value", HiveReply::Value { value: None });
    answer("hive_answer_done", HiveReply::Done { existed: true });
    answer("hive_answer_ttl", HiveReply::Ttl { left_ms: Some(59_999) });
    for (name, refusal) in [
        ("hive_answer_refused_unavailable", HiveRefusal::Unavailable),
        ("hive_answer_refused_not_found", HiveRefusal::NotFound),
        ("hive_answer_refused_limit", HiveRefusal::Limit),
        ("hive_answer_refused_invalid", HiveRefusal::Invalid),
    ] {
        let reason = "tasks may submit tasks 8 deep".to_owned();
        answer(name, HiveReply::Refused { refusal, reason });
    }
}

#[test]
fn a_run_of_a_task_and_a_broadcast() {
    let call = ExecuteSkill {
        request_id: request(),
        node_id: node(),
        skill_name: "EchoSkill".to_owned(),
        method_name: "say".to_owned(),
        parameters: raw(r#"{"text":"hi"}"#),
        timeout: 300.0,
        traceparent: None,
        task: Some(TaskRun {
            task_id: task(1),
            attempt: 2,
            depth: 1,
        }),
    };
    from_nexus("execute_skill_task", &call);
    let shutdown = Broadcast {
        command: "SHUTDOWN".to_owned(),
        data: json!({"node_ids": [node()]}),
        sent_at: now(),
    };
    from_nexus("broadcast", &shutdown);
    let control = ControlBroadcast {
        command: "STATUS".to_owned(),
        data: json!({}),
        timestamp: now(),
    };
    body("control_broadcast", &control);
}

fn full_request() -> TaskRequest {
    TaskRequest {
        skill_name: "FileSkill".to_owned(),
        method_name: "read_file".to_owned(),
        parameters: Some(raw(r#"{"path":{"$result":"fetch","path":"/file"}}"#)),
        priority: Some(Priority::HIGH),
        timeout: Some(60.0),
        max_retries: Some(5),
        backoff: Some(Backoff::default()),
        requirements: Some(requirements()),
        placement: Some(placement()),
        group: Some("nightly".to_owned()),
        depends_on: vec!["fetch".to_owned(), task(1).to_string()],
        reference: Some("read".to_owned()),
        idempotency_key: Some("order-17".to_owned()),
        delay: Some(2.5),
        eta: None,
        task_type: Some("report".to_owned()),
    }
}

fn requirements() -> Requirements {
    Requirements {
        gpu: true,
        capabilities: vec!["ShellSkill".to_owned()],
        tags: vec!["rack:7".to_owned()],
        exclude_tags: vec!["spot".to_owned()],
        node_id: None,
    }
}

fn placement() -> Placement {
    Placement {
        strategy: Strategy::Spread,
        prefer_tags: vec!["ssd".to_owned()],
        with_group: Some(true),
    }
}

#[test]
fn bodies_of_tasks_to_submit() {
    let short = TaskRequest {
        parameters: None,
        priority: Some(Priority::HIGHEST),
        timeout: None,
        max_retries: None,
        backoff: None,
        requirements: None,
        placement: None,
        group: None,
        depends_on: Vec::new(),
        reference: None,
        idempotency_key: None,
        delay: None,
        eta: Some(now()),
        task_type: None,
        ..full_request()
    };
    body("rest_task_request", &full_request());
    let tasks = vec![short, full_request()];
    body("rest_tasks_request", &TasksRequest { tasks });
    let (task_id, existing) = (task(1), true);
    body("rest_task_accepted", &TaskAccepted { task_id, existing });
    let task_ids = vec![task(1), task(2)];
    body("rest_tasks_accepted", &TasksAccepted { task_ids, existing: 1 });
    let stored = TaskSpec {
        skill_name: "EchoSkill".to_owned(),
        method_name: "say".to_owned(),
        parameters: raw(r#"{"text":"hi"}"#),
        timeout: 300.0,
        max_retries: 3,
        requirements: requirements(),
        placement: placement(),
        backoff: Backoff {
            base: 0.5,
            ..Backoff::default()
        },
        group: Some("nightly".to_owned()),
        depends_on: vec![task(1)],
        task_type: Some("report".to_owned()),
        owner: Some("ParallelSkill".to_owned()),
        depth: 1,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
    };
    body("stored_task_spec", &stored);
    let plain = TaskSpec {
        requirements: Requirements::default(),
        placement: Placement::default(),
        backoff: Backoff::default(),
        group: None,
        depends_on: Vec::new(),
        task_type: None,
        owner: None,
        depth: 0,
        traceparent: None,
        ..stored
    };
    body("stored_task_spec_plain", &plain);
}

fn shown(status: TaskStatus) -> TaskView {
    TaskView {
        task_id: task(1),
        task_type: "EchoSkill.say".to_owned(),
        payload: TaskPayload {
            skill_name: "EchoSkill".to_owned(),
            method_name: "say".to_owned(),
            parameters: raw(r#"{"text":"hi"}"#),
        },
        priority: Priority::BACKGROUND,
        created_at: now(),
        timeout: 300.0,
        max_retries: 3,
        attempt: 0,
        assigned_node: None,
        started_at: None,
        completed_at: None,
        due_at: None,
        result: None,
        error: None,
        error_code: None,
        status,
        requirements: Requirements::default(),
        placement: Placement::default(),
        group: None,
        depends_on: Vec::new(),
        losses: 0,
    }
}

#[test]
fn bodies_of_tasks_as_they_are_shown() {
    let pending = TaskView {
        due_at: Some(now()),
        requirements: requirements(),
        placement: placement(),
        group: Some("nightly".to_owned()),
        depends_on: vec![task(2)],
        ..shown(TaskStatus::Pending)
    };
    body("rest_task_pending", &pending);
    let completed = TaskView {
        attempt: 1,
        assigned_node: Some(node()),
        started_at: Some(now()),
        completed_at: Some(now()),
        result: Some(raw(r#"{"said":"hi","n":1.50}"#)),
        ..shown(TaskStatus::Completed)
    };
    body("rest_task_completed", &completed);
    let failed = TaskView {
        attempt: 4,
        result: None,
        error: Some("node 6fa459ea was lost".to_owned()),
        error_code: Some(ErrorCode::NodeLost),
        losses: 2,
        ..completed
    };
    let failed = TaskView {
        status: TaskStatus::Failed,
        ..failed
    };
    let tasks = vec![failed, shown(TaskStatus::Blocked)];
    body("rest_tasks", &TaskList { count: 2, tasks });
    let statuses = [
        TaskStatus::Blocked,
        TaskStatus::Pending,
        TaskStatus::Running,
        TaskStatus::Completed,
        TaskStatus::Failed,
        TaskStatus::Cancelled,
    ];
    for status in statuses {
        assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{status}\""));
    }
    body("task_statuses", &statuses.to_vec());
}

#[test]
fn bodies_of_queues_and_cluster() {
    let limits = GroupLimits {
        concurrency: Some(4),
        rate: Some(0.5),
    };
    let queues = QueueStats {
        high_priority_queue: 1,
        background_queue: 20,
        tasks_pending: 30,
        tasks_delayed: 4,
        tasks_blocked: 5,
        tasks_running: 6,
        tasks_completed: 7_000,
        tasks_failed: 8,
        tasks_cancelled: 9,
        dead_letters: 3,
        limit: 2_000_000,
        groups: vec![
            GroupView {
                name: "nightly".to_owned(),
                limits,
                running: 4,
            },
            GroupView {
                name: "free".to_owned(),
                limits: GroupLimits::default(),
                running: 0,
            },
        ],
    };
    body("rest_queues", &queues);
    body("rest_group_limits", &limits);
    let cluster = ClusterStatus {
        online_nodes: 1,
        total_nodes: 2,
        avg_cpu_usage: 0.25,
        avg_memory_usage: 0.5,
        total_active_tasks: 3,
        nodes: vec![view()],
        nexuses: 2,
        broker: "redis".to_owned(),
    };
    body("rest_cluster", &cluster);
    let entry = CacheEntry {
        namespace: "skill:EchoSkill".to_owned(),
        key: "greeting".to_owned(),
        text: Some("hi".to_owned()),
        base64: "aGk=".to_owned(),
        ttl: 59,
    };
    body("rest_cache_entry", &entry);
}

#[test]
fn bodies_of_a_map() {
    let map = MapRequest {
        skill_name: "EchoSkill".to_owned(),
        method_name: "say".to_owned(),
        items: vec![raw(r#"{"text":"a"}"#), raw("\"b\""), raw("9007199254740993")],
        param: Some("text".to_owned()),
        priority: Some(Priority::new(5).unwrap()),
        wait_timeout: Some(30.0),
        timeout: Some(5.0),
        max_retries: Some(0),
        requirements: Some(requirements()),
        reduce: Some(Reduce {
            skill_name: "ReportSkill".to_owned(),
            method_name: "merge".to_owned(),
            param: Some("parts".to_owned()),
        }),
    };
    body("rest_map_request", &map);
    let item = |item_index: usize, status, result, error: Option<&str>| MapItem {
        task_id: task(item_index as u8),
        status,
        result,
        error: error.map(str::to_owned),
        item_index,
    };
    let mut result = MapResult::of(vec![
        item(0, TaskStatus::Completed, Some(json!({"n": 1})), None),
        item(1, TaskStatus::Failed, None, Some("no such file")),
        item(2, TaskStatus::Pending, None, Some("Timeout")),
    ]);
    body("rest_map_result", &result);
    result.reduced = Some(json!([1]));
    body("rest_map_result_reduced", &result);
    result.reduced = None;
    result.reduce_error = Some("no method `merge`".to_owned());
    body("rest_map_result_reduce_failed", &result);
}
