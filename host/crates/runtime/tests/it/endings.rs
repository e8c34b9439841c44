//! The ways a call can end other than well: each is a clear error, and the skill is as good as new afterwards.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use venom_bundle::capability::Grants;
use venom_protocol::ErrorCode;
use venom_runtime::SkillSet;

use crate::stage::{answer, call, error, hostile, run, with_budgets};

#[tokio::test]
async fn deep_recursion_is_a_trap_that_names_the_call() {
    let skill = hostile(Grants::default());
    let error = error(&skill, "recurse", json!({})).await;
    assert_eq!(error.code, ErrorCode::Trapped);
    assert!(error.message.starts_with("HostileSkill.recurse: trapped: "), "{error}");
    assert!(error.message.contains("recursion"), "{error}");
    assert_eq!(answer(&skill, "sleep", json!({"milliseconds": 0})).await, json!(0));
}

#[tokio::test]
async fn the_callers_timeout_ends_a_call_in_the_guest_and_in_the_host() {
    let skill = hostile(Grants::default());
    for method in ["spin", "spin_on_host", "nap_forever"] {
        let mut endless = call(method, json!({}));
        endless.timeout = Duration::from_millis(200);
        let begun = Instant::now();
        let error = skill.invoke(endless).await.result.unwrap_err();
        assert_eq!(error.code, ErrorCode::TimedOut, "{error}");
        assert!(error.message.contains("200ms (the caller's timeout)"), "{error}");
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{method}: {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn cancelling_ends_a_call_wherever_it_is() {
    let skill = hostile(Grants::default());
    for method in ["spin", "nap_forever"] {
        let endless = call(method, json!({}));
        let cancel = endless.cancel.clone();
        let running = {
            let skill = skill.clone();
            tokio::spawn(async move { skill.invoke(endless).await })
        };
        tokio::task::yield_now().await;
        cancel.cancel();
        let outcome = tokio::time::timeout(Duration::from_secs(2), running)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(outcome.result.unwrap_err().code, ErrorCode::Cancelled, "{method}");
    }
}

#[tokio::test]
async fn unknown_methods_and_wrong_parameters_are_told_apart() {
    let skill = hostile(Grants::default());
    let unknown = error(&skill, "nonsense", json!({})).await;
    assert_eq!(unknown.code, ErrorCode::UnknownMethod);
    assert!(
        unknown.message.contains("`nonsense`") && unknown.message.contains("spin_on_host"),
        "{unknown}"
    );
    let wrong = error(&skill, "sleep", json!({"milliseconds": "long"})).await;
    assert_eq!(wrong.code, ErrorCode::InvalidParams, "{wrong}");
    let no_object = error(&skill, "sleep", json!([1])).await;
    assert_eq!(no_object.code, ErrorCode::InvalidParams);
    assert!(no_object.message.contains("must be a JSON object"), "{no_object}");
}

#[tokio::test]
async fn nothing_is_inherited_from_the_host() {
    let skill = hostile(Grants::default());
    assert_eq!(answer(&skill, "environment", json!({})).await["escaped"], json!(false));
    let granted = Grants {
        env: [("GREETING".to_owned(), "hello".to_owned())].into(),
        ..Grants::default()
    };
    let seen = answer(&hostile(granted), "environment", json!({})).await.to_string();
    assert!(seen.contains("GREETING") && !seen.contains("PATH"), "{seen}");
}

#[tokio::test]
async fn what_is_not_granted_is_refused_with_the_grant_to_write() {
    let skill = hostile(Grants::default());
    let refused = [
        ("config", json!({"key": "colour"}), "colour"),
        ("secret", json!({"name": "token"}), "token"),
        ("cache_flood", json!({"count": 1}), "no cache is granted"),
        (
            "hive_flood",
            json!({"skill": "EchoSkill", "method": "say", "count": 1}),
            "EchoSkill.say",
        ),
        ("tcp", json!({"address": "192.0.2.1:80"}), "ermission"),
        ("listen", json!({"address": "0.0.0.0:0"}), ""),
        ("lookup", json!({"name": "example.com"}), ""),
    ];
    for (method, params, expected) in refused {
        let outcome = answer(&skill, method, params).await;
        assert_eq!(outcome["escaped"], json!(false), "{method}: {outcome}");
        assert!(outcome["detail"].to_string().contains(expected), "{method}: {outcome}");
    }
}

/// Lines of log output, as an operator would see them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_a_guest_says_is_logged_with_its_task_and_bounded() {
    let skill = with_budgets(|budgets| budgets.log_lines = 10);
    for (method, params) in [
        ("log_flood", json!({"lines": 30})),
        ("print_flood", json!({"bytes": 3_000})),
    ] {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let mut talking = call(method, params);
        talking.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        skill.invoke(talking).await.result.unwrap();
        drop(guard);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let said: Vec<&str> = text.lines().filter(|line| line.contains(" skill: ")).collect();
        assert_eq!(
            said.len(),
            11,
            "ten lines and one that says how many were dropped: {text}"
        );
        assert!(
            said[10].contains("dropped 20 lines over the budget `log_lines`"),
            "{text}"
        );
        for line in said {
            assert!(
                line.contains("task-1") && line.contains("0af7651916cd43dd8448eb211c80319c"),
                "{line}"
            );
            assert!(line.contains("HostileSkill"), "{line}");
        }
    }
}

#[tokio::test]
async fn an_unknown_skill_is_told_with_the_known_ones() {
    let skills = SkillSet::empty();
    skills.insert(hostile(Grants::default()));
    let error = skills.call("NoSkill", call("x", json!({}))).await.result.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownSkill);
    assert_eq!(error.message, "no skill `NoSkill` here (known: HostileSkill)");
}

#[tokio::test]
async fn a_replaced_skill_finishes_its_calls() {
    let skills = SkillSet::empty();
    skills.insert(hostile(Grants::default()));
    let running = {
        let skills = skills.clone();
        tokio::spawn(async move {
            skills
                .call("HostileSkill", call("sleep", json!({"milliseconds": 200})))
                .await
        })
    };
    tokio::task::yield_now().await;
    assert!(skills.insert(hostile(Grants::default())).is_some());
    assert!(running.await.unwrap().result.is_ok());
    assert!(
        run(
            &skills.get("HostileSkill").unwrap(),
            "sleep",
            json!({"milliseconds": 0})
        )
        .await
        .result
        .is_ok()
    );
}
