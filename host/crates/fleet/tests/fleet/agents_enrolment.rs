//! Enrolment tokens: how often, how long, for where.

use venom_fleet::{Admission, Fleet, FleetError};
use venom_protocol::{AgentStatus, CreateEnrolment, EnrolmentView, RegisterAgent, Registered};

use crate::admitted::{agent, beat, enrolment, is_good, kinds, legacy, pass, register};
use crate::base::{Base, at};

on_both!(
    a_one_time_token_lets_in_one,
    a_counted_token_lets_in_so_many,
    an_expired_or_withdrawn_token_lets_nobody_in,
    site_and_tags_are_the_enrolments,
    who_must_be_approved_waits,
    an_approval_is_for_one_enrolment,
    a_lost_reply_is_not_counted,
    a_lost_reply_is_not_counted_when_it_is_asked_for_ten_times_at_once,
    the_first_use_and_a_retry_at_once_are_one_or_the_other,
    a_lost_reply_of_an_agent_without_an_id,
    nobody_enrols_as_an_agent_that_is_there,
    the_shared_token_does_not_open_for_who_enrolled,
    a_deregistered_agent_enrols_again,
    enrolments_are_listed,
    what_makes_no_sense_is_refused,
);

async fn token(fleet: &Fleet, ask: CreateEnrolment) -> (String, EnrolmentView) {
    fleet.create_enrolment(ask, "ops", at(0)).await.unwrap().answer
}

async fn enrol(fleet: &Fleet, token: &str, ask: RegisterAgent, seconds: i64) -> Result<Registered, FleetError> {
    let outcome = fleet.register(ask, Admission::Enrolment(token), at(seconds)).await;
    outcome.map(|outcome| outcome.answer)
}

async fn used(fleet: &Fleet) -> u32 {
    fleet.enrolments(at(0)).await.unwrap()[0].used
}

fn is_denied<T: std::fmt::Debug>(answer: Result<T, FleetError>, says: &str) {
    match answer {
        Err(FleetError::Denied(text)) => assert!(text.contains(says), "{text}"),
        other => panic!("{other:?} is not denied"),
    }
}

async fn a_one_time_token_lets_in_one(base: &Base) {
    let fleet = base.open().await;
    let (token, made) = token(&fleet, enrolment()).await;
    assert_eq!((made.uses, made.used, made.expires_at), (1, 0, at(86_400)));
    let first = enrol(&fleet, &token, agent("a"), 1).await.unwrap();
    assert_eq!((first.status.as_str(), first.approved), ("registered", true));
    assert!(is_good(&fleet, &first.token, 2).await);
    is_denied(enrol(&fleet, &token, agent("b"), 3).await, "used up");
    is_denied(
        enrol(&fleet, "no such token", agent("b"), 3).await,
        "no enrolment token",
    );
    assert_eq!(used(&fleet).await, 1);
    assert!(is_good(&fleet, &first.token, 4).await);
}

async fn a_counted_token_lets_in_so_many(base: &Base) {
    let fleet = base.open().await;
    let (token, _) = token(&fleet, CreateEnrolment { uses: 3, ..enrolment() }).await;
    let asks = (0..8).map(|id| enrol_in_task(fleet.clone(), token.clone(), format!("a{id}")));
    let mut let_in = 0;
    for ask in asks.collect::<Vec<_>>() {
        match ask.await.unwrap() {
            Ok(_) => let_in += 1,
            Err(error) => assert!(matches!(error, FleetError::Denied(_)), "{error:?}"),
        }
    }
    assert_eq!((let_in, used(&fleet).await), (3, 3));
    assert_eq!(base.number("SELECT COUNT(*) FROM agents").await, 3);
}

fn enrol_in_task(fleet: Fleet, token: String, id: String) -> tokio::task::JoinHandle<Result<Registered, FleetError>> {
    tokio::spawn(async move { enrol(&fleet, &token, agent(&id), 1).await })
}

async fn an_expired_or_withdrawn_token_lets_nobody_in(base: &Base) {
    let fleet = base.open().await;
    let ask = CreateEnrolment {
        uses: 9,
        expires_in: 60,
        ..enrolment()
    };
    let (expiring, _) = token(&fleet, ask.clone()).await;
    enrol(&fleet, &expiring, agent("in-time"), 59).await.unwrap();
    is_denied(enrol(&fleet, &expiring, agent("late"), 60).await, "ended at");
    is_denied(enrol(&fleet, &expiring, agent("in-time"), 60).await, "ended at");

    let (withdrawn, made) = token(&fleet, ask).await;
    let inside = enrol(&fleet, &withdrawn, agent("inside"), 1).await.unwrap();
    let told = fleet.revoke_enrolment(&made.id, "eve", at(2)).await.unwrap();
    assert_eq!(told.answer.revoked_at, Some(at(2)));
    assert_eq!(kinds(&told.events), ["ENROLMENT_REVOKED"]);
    assert_eq!(
        (&told.events[0].data["by"], &told.events[0].data["site_name"]),
        (&"eve".into(), &"Berlin".into())
    );
    is_denied(enrol(&fleet, &withdrawn, agent("outside"), 3).await, "withdrawn");
    assert!(is_good(&fleet, &inside.token, 4).await, "who is in stays in");
    let again = fleet.revoke_enrolment(&made.id, "eve", at(5)).await.unwrap();
    assert_eq!((again.answer.revoked_at, again.events.len()), (Some(at(2)), 0));
    let unknown = fleet.revoke_enrolment("none", "eve", at(5)).await;
    assert!(matches!(unknown, Err(FleetError::Unknown(_))));
}

async fn site_and_tags_are_the_enrolments(base: &Base) {
    let fleet = base.open().await;
    let tags = vec!["location:cellar".to_owned(), "gpu".to_owned()];
    let location = Some("cellar".to_owned());
    let (token, _) = token(
        &fleet,
        CreateEnrolment {
            tags: tags.clone(),
            location,
            uses: 2,
            ..enrolment()
        },
    )
    .await;
    let mut ask = agent("a");
    ask.site_name = Some("Paris".to_owned());
    let registered = enrol(&fleet, &token, ask.clone(), 1).await.unwrap();
    assert_eq!(registered.site_name, "Berlin");
    let pass = pass(&fleet, &registered.token, 1).await;
    assert_eq!((pass.site_name.as_str(), &pass.tags), ("Berlin", &tags));
    // nor later, with its own token
    let outcome = fleet.register(ask, Admission::Agent(&pass), at(2)).await.unwrap();
    assert_eq!(outcome.answer.site_name, "Berlin");
    let view = fleet.agent(&pass.agent_id).await.unwrap();
    assert_eq!(
        (view.site_name.as_str(), &view.tags, view.location.as_deref()),
        ("Berlin", &tags, Some("cellar"))
    );
    let mut ask = agent("b");
    ask.location = Some("roof".to_owned());
    enrol(&fleet, &token, ask, 3).await.unwrap();
    let view = fleet.agent(&"b".parse().unwrap()).await.unwrap();
    assert_eq!(view.location.as_deref(), Some("roof"));
}

async fn who_must_be_approved_waits(base: &Base) {
    let fleet = base.open().await;
    let (token, _) = token(
        &fleet,
        CreateEnrolment {
            approval: true,
            ..enrolment()
        },
    )
    .await;
    let registered = enrol(&fleet, &token, agent("a"), 1).await.unwrap();
    assert!(
        !registered.approved && registered.message.contains("approve"),
        "{registered:?}"
    );
    assert!(!pass(&fleet, &registered.token, 1).await.approved);
    assert_eq!(
        kinds(&beat(&fleet, &registered.token, Default::default(), 2).await),
        [""; 0]
    );
    let id = registered.agent_id.clone();
    assert_eq!(fleet.agent(&id).await.unwrap().status, AgentStatus::Pending);
    let outcome = fleet.approve(&id, "ops", at(3)).await.unwrap();
    assert!(outcome.answer.approved && kinds(&outcome.events) == ["AGENT_APPROVED"]);
    assert!(fleet.approve(&id, "ops", at(3)).await.unwrap().events.is_empty());
    assert!(pass(&fleet, &registered.token, 4).await.approved);
    assert_eq!(
        kinds(&beat(&fleet, &registered.token, Default::default(), 4).await),
        ["AGENT_ONLINE"]
    );
    let unknown = fleet.approve(&"b".parse().unwrap(), "ops", at(5)).await;
    assert!(matches!(unknown, Err(FleetError::Unknown(_))));
}

async fn an_approval_is_for_one_enrolment(base: &Base) {
    let fleet = base.open().await;
    let (token, _) = token(
        &fleet,
        CreateEnrolment {
            approval: true,
            uses: 2,
            ..enrolment()
        },
    )
    .await;
    enrol(&fleet, &token, agent("a"), 1).await.unwrap();
    let id = "a".parse().unwrap();
    fleet.approve(&id, "ops", at(2)).await.unwrap();
    let retried = enrol(&fleet, &token, agent("a"), 3).await.unwrap();
    assert!(retried.approved, "approved while the reply was lost");
    fleet.deregister(&id, "ops", at(4)).await.unwrap();
    let deregistered = fleet.approve(&id, "ops", at(5)).await;
    assert!(matches!(deregistered, Err(FleetError::Conflict(_))), "{deregistered:?}");
    let again = enrol(&fleet, &token, agent("a"), 6).await.unwrap();
    assert!(!again.approved, "who was put out must be approved again");
}

async fn a_lost_reply_is_not_counted(base: &Base) {
    let fleet = base.open().await;
    let (token, _) = token(&fleet, enrolment()).await;
    let lost = enrol(&fleet, &token, agent("a"), 1).await.unwrap();
    let got = enrol(&fleet, &token, agent("a"), 2).await.unwrap();
    assert_eq!((got.agent_id.as_str(), used(&fleet).await), ("a", 1));
    assert!(!is_good(&fleet, &lost.token, 3).await, "the one before ends");
    is_denied(enrol(&fleet, &token, agent("b"), 3).await, "used up");
    assert!(is_good(&fleet, &got.token, 4).await);
    // it has used its token: whoever comes now is somebody else
    is_denied(enrol(&fleet, &token, agent("a"), 5).await, "already");
    assert!(is_good(&fleet, &got.token, 6).await);
    assert_eq!(used(&fleet).await, 1);
}

async fn a_lost_reply_is_not_counted_when_it_is_asked_for_ten_times_at_once(base: &Base) {
    let (fleet, other) = tokio::join!(base.open(), base.open());
    let (token, _) = token(&fleet, CreateEnrolment { uses: 2, ..enrolment() }).await;
    let fleets = [fleet.clone(), other];
    let asks = (0..10).map(|ask| enrol_in_task(fleets[ask % 2].clone(), token.clone(), "a".to_owned()));
    let mut tokens = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        tokens.push(ask.await.unwrap().unwrap().token);
    }
    let mut good = 0;
    for token in tokens {
        // not shown to `admit`, which would be a use
        let count = format!("SELECT COUNT(*) FROM agent_tokens WHERE hash = '{}'", sha256(&token));
        good += base.number(&count).await;
    }
    assert_eq!((good, used(&fleet).await), (1, 1), "one token, one use");
}

fn sha256(token: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(token.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn the_first_use_and_a_retry_at_once_are_one_or_the_other(base: &Base) {
    let (fleet, other) = tokio::join!(base.open(), base.open());
    let (token, _) = token(
        &fleet,
        CreateEnrolment {
            uses: 40,
            ..enrolment()
        },
    )
    .await;
    for round in 0..40 {
        let id = format!("a{round}");
        let first = enrol(&fleet, &token, agent(&id), 1).await.unwrap();
        let (used, retried) = tokio::join!(
            tokio::spawn({
                let fleet = fleet.clone();
                async move { is_good(&fleet, &first.token, 2).await }
            }),
            enrol_in_task(other.clone(), token.clone(), id),
        );
        let (used, retried) = (used.unwrap(), retried.unwrap());
        assert_ne!(used, retried.is_ok(), "used: {used}, retried: {retried:?}");
    }
}

async fn a_lost_reply_of_an_agent_without_an_id(base: &Base) {
    let fleet = base.open().await;
    let (token, _) = token(&fleet, enrolment()).await;
    // its site is the enrolment's, whatever it says
    let lost = enrol(&fleet, &token, legacy("pi", "Paris"), 0).await.unwrap();
    let got = enrol(&fleet, &token, legacy("pi", "Rome"), 600).await.unwrap();
    assert_eq!((&got.agent_id, used(&fleet).await), (&lost.agent_id, 1));
    is_denied(enrol(&fleet, &token, legacy("other", "Paris"), 601).await, "used up");
    is_denied(enrol(&fleet, &token, legacy("pi", "Paris"), 1_201).await, "used up");
    assert!(is_good(&fleet, &got.token, 1_202).await);
}

async fn nobody_enrols_as_an_agent_that_is_there(base: &Base) {
    let fleet = base.open().await;
    let (first, _) = token(&fleet, enrolment()).await;
    let (second, _) = token(&fleet, CreateEnrolment { uses: 5, ..enrolment() }).await;
    let owner = enrol(&fleet, &first, agent("a"), 1).await.unwrap();
    let shared = register(&fleet, agent("s"), 1).await;
    is_denied(enrol(&fleet, &second, agent("a"), 2).await, "already");
    is_denied(enrol(&fleet, &second, agent("s"), 2).await, "already");
    assert!(is_good(&fleet, &owner.token, 3).await && is_good(&fleet, &shared.token, 3).await);
    assert_eq!(used(&fleet).await, 0);
}

async fn the_shared_token_does_not_open_for_who_enrolled(base: &Base) {
    let fleet = base.open().await;
    let (token, _) = token(&fleet, enrolment()).await;
    let owner = enrol(&fleet, &token, agent("a"), 1).await.unwrap();
    let by_shared = || fleet.register(agent("a"), Admission::Shared, at(2));
    is_denied(by_shared().await, "enrolled");
    assert!(is_good(&fleet, &owner.token, 3).await);
    fleet.deregister(&owner.agent_id, "ops", at(4)).await.unwrap();
    is_denied(by_shared().await, "enrolled");
}

async fn a_deregistered_agent_enrols_again(base: &Base) {
    let fleet = base.open().await;
    let (token, _) = token(&fleet, CreateEnrolment { uses: 2, ..enrolment() }).await;
    let before = enrol(&fleet, &token, agent("a"), 1).await.unwrap();
    assert!(is_good(&fleet, &before.token, 1).await);
    fleet.deregister(&before.agent_id, "ops", at(2)).await.unwrap();
    assert!(!is_good(&fleet, &before.token, 2).await);
    let after = enrol(&fleet, &token, agent("a"), 3).await.unwrap();
    assert_eq!(used(&fleet).await, 2, "that is another use");
    assert!(is_good(&fleet, &after.token, 4).await && !is_good(&fleet, &before.token, 4).await);
    let view = fleet.agent(&after.agent_id).await.unwrap();
    assert_eq!(
        (view.is_active, view.registered_at, view.status),
        (true, at(1), AgentStatus::Pending)
    );
}

async fn enrolments_are_listed(base: &Base) {
    let fleet = base.open().await;
    let ask = CreateEnrolment {
        name: "cellar\u{7}s".to_owned(),
        ..enrolment()
    };
    let outcome = fleet.create_enrolment(ask, "ops", at(0)).await.unwrap();
    assert_eq!(kinds(&outcome.events), ["ENROLMENT_CREATED"]);
    let (_, first) = outcome.answer;
    assert_eq!((first.name.as_str(), first.created_by.as_str()), ("cellars", "ops"));
    let ask = CreateEnrolment {
        approval: true,
        tags: vec!["x".to_owned()],
        ..enrolment()
    };
    let (_, second) = fleet.create_enrolment(ask, "ops", at(1)).await.unwrap().answer;
    fleet.revoke_enrolment(&first.id, "ops", at(2)).await.unwrap();
    let listed = fleet.enrolments(at(0)).await.unwrap();
    assert_eq!(listed[0], second);
    assert_eq!((&listed[1].id, listed[1].revoked_at), (&first.id, Some(at(2))));
    let short = CreateEnrolment {
        expires_in: 10,
        ..enrolment()
    };
    let (_, third) = fleet.create_enrolment(short, "ops", at(3)).await.unwrap().answer;
    let order = async |second: i64| -> Vec<String> {
        let listed = fleet.enrolments(at(second)).await.unwrap();
        listed.into_iter().map(|enrolment| enrolment.id).collect()
    };
    assert_eq!(order(4).await, [&third.id, &second.id, &first.id].map(String::clone));
    assert_eq!(
        order(13).await,
        [&second.id, &third.id, &first.id].map(String::clone),
        "it has ended"
    );
}

async fn what_makes_no_sense_is_refused(base: &Base) {
    let fleet = base.open().await;
    let wrong = [
        (
            "site_name",
            CreateEnrolment {
                site_name: " \n".to_owned(),
                ..enrolment()
            },
        ),
        ("uses", CreateEnrolment { uses: 0, ..enrolment() }),
        (
            "uses",
            CreateEnrolment {
                uses: 100_001,
                ..enrolment()
            },
        ),
        (
            "expires_in",
            CreateEnrolment {
                expires_in: 0,
                ..enrolment()
            },
        ),
        (
            "expires_in",
            CreateEnrolment {
                expires_in: u64::MAX,
                ..enrolment()
            },
        ),
        (
            "tags",
            CreateEnrolment {
                tags: vec!["t".to_owned(); 65],
                ..enrolment()
            },
        ),
    ];
    for (field, ask) in wrong {
        match fleet.create_enrolment(ask, "ops", at(0)).await {
            Err(FleetError::Invalid(text)) => assert!(text.contains(field), "{text}"),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(fleet.enrolments(at(0)).await.unwrap().is_empty());
}
