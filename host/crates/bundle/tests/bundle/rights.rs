//! `manifest ∩ ceiling ∩ policy`: what is in force, and the reason given for each part.

use venom_bundle::capability::{Access, BudgetLimits, Decision, Grants, Policy, Request, Verdict, resolve};

fn request(text: &str) -> Request {
    let request: Request = toml::from_str(text).unwrap();
    request.check("request").unwrap();
    request
}

fn settle(asked: &str, ceiling: Option<&str>, policy: &str) -> (Grants, Vec<Decision>) {
    let ceiling = ceiling.map_or_else(Request::anything, request);
    let none = BudgetLimits::default();
    let policy = Policy::parse(policy).unwrap();
    resolve("EchoSkill", &request(asked), &none, &ceiling, &none, &policy)
}

fn verdicts(decisions: &[Decision]) -> Vec<(&str, &str, Verdict)> {
    decisions
        .iter()
        .map(|it| (it.capability, it.target.as_str(), it.verdict))
        .collect()
}

use Verdict::{Granted, Reduced, Refused};

const EVERYTHING: &str = r#"
    [skills.EchoSkill]
    fs = [{ host = "/srv/work", guest = "/work", access = "rw" }]
    commands = [{ name = "ls", directory = "/work" }]
    net = [{ to = "10.0.0.0/8", ports = ["22"] }]
    dns = ["db.example.com"]
    http = [{ host = "api.example.com" }]
    env = { LANG = "C" }
    config = { colour = "red" }
    secrets = { token = { env = "TOKEN", audience = ["api.example.com"] } }
    cache = { quota = "1 MiB" }
    hive = ["OtherSkill.run"]
    lan = ["mdns"]
"#;

const ASK_EVERYTHING: &str = r#"
    fs = [{ guest = "/work", access = "rw" }]
    commands = ["ls"]
    dns = ["db.example.com"]
    http = ["api.example.com"]
    env = ["LANG"]
    config = ["colour"]
    secrets = ["token"]
    cache = true
    hive = ["OtherSkill.run"]
    lan = ["mdns"]
    net = [{ to = "10.0.0.0/8", ports = ["22"] }]
"#;

const CAPABILITIES: [&str; 11] = [
    "fs", "command", "net", "dns", "http", "env", "config", "secret", "cache", "hive", "lan",
];

#[test]
fn nothing_is_granted_by_default() {
    let (grants, decisions) = settle("", None, "");
    assert_eq!((grants, decisions), (Grants::default(), vec![]));
}

#[test]
fn what_all_three_agree_on_is_granted() {
    let (grants, decisions) = settle(ASK_EVERYTHING, Some(ASK_EVERYTHING), EVERYTHING);
    let expected = Policy::parse(EVERYTHING).unwrap().skills["EchoSkill"].clone();
    assert_eq!(
        (&grants.fs, &grants.commands, &grants.net),
        (&expected.fs, &expected.commands, &expected.net)
    );
    assert_eq!(
        (&grants.dns, &grants.http, &grants.env),
        (&expected.dns, &expected.http, &expected.env)
    );
    assert_eq!((&grants.config, &grants.secrets), (&expected.config, &expected.secrets));
    assert_eq!((&grants.cache, &grants.hive), (&expected.cache, &expected.hive));
    assert_eq!(grants.lan, expected.lan);
    let kinds: Vec<_> = decisions.iter().map(|it| (it.capability, it.verdict)).collect();
    assert_eq!(kinds, CAPABILITIES.map(|it| (it, Granted)));
}

/// Each capability, with each of the three documents missing: never granted, and the missing one is named.
#[test]
fn each_document_can_refuse_each_capability_and_is_named() {
    for (asked, ceiling, policy, word) in [
        ("", None, EVERYTHING, "not asked for by the manifest"),
        (ASK_EVERYTHING, Some(""), EVERYTHING, "ceiling"),
        (ASK_EVERYTHING, None, "", "the policy grants EchoSkill no such"),
        (
            ASK_EVERYTHING,
            None,
            "[skills.OtherSkill]\ncache={quota=1}",
            "the policy grants EchoSkill no such",
        ),
    ] {
        let (grants, decisions) = settle(asked, ceiling, policy);
        assert_eq!(grants, Grants::default());
        let kinds: Vec<_> = decisions.iter().map(|it| (it.capability, it.verdict)).collect();
        assert_eq!(kinds, CAPABILITIES.map(|it| (it, Refused)), "{word}");
        assert!(decisions.iter().all(|it| it.reason.contains(word)), "{decisions:?}");
    }
}

#[test]
fn directories_get_the_lesser_access_of_the_three() {
    for (asked, ceiling, offered, expected, verdict) in [
        ("rw", "rw", "rw", Access::Rw, Granted),
        ("ro", "rw", "rw", Access::Ro, Granted),
        ("rw", "ro", "rw", Access::Ro, Reduced),
        ("rw", "rw", "ro", Access::Ro, Reduced),
    ] {
        let (grants, decisions) = settle(
            &format!("fs=[{{guest='/work',access='{asked}'}}]"),
            Some(&format!("fs=[{{guest='*',access='{ceiling}'}}]")),
            &format!("[skills.EchoSkill]\nfs=[{{host='/srv',guest='/work',access='{offered}',quota=9}}]"),
        );
        assert_eq!(grants.fs.len(), 1);
        assert_eq!(
            (grants.fs[0].access, grants.fs[0].quota.unwrap().as_u64()),
            (expected, 9),
            "{asked} {ceiling} {offered}"
        );
        assert_eq!(decisions[0].verdict, verdict, "{asked} {ceiling} {offered}");
        let by = if ceiling == "ro" { "ceiling" } else { "policy" };
        assert!(decisions[0].reason.contains(by), "{}", decisions[0].reason);
    }
}

#[test]
fn a_directory_is_granted_once_with_the_most_that_was_asked() {
    let asked = "fs=[{guest='*'},{guest='/work',access='rw'}]";
    let policy = "[skills.EchoSkill]\nfs=[{host='/a',guest='/work',access='rw'},{host='/b',guest='/data',access='rw'}]";
    let (grants, _) = settle(asked, None, policy);
    let got: Vec<_> = grants.fs.iter().map(|fs| (fs.guest.as_str(), fs.access)).collect();
    assert_eq!(got, [("/work", Access::Rw), ("/data", Access::Ro)]);
}

#[test]
fn one_directory_is_not_another() {
    let policy = "[skills.EchoSkill]\nfs=[{host='/srv',guest='/work'}]";
    for asked in ["/workshop", "/", "/work/sub"] {
        let (grants, decisions) = settle(&format!("fs=[{{guest='{asked}'}}]"), None, policy);
        assert_eq!(grants.fs, []);
        assert_eq!(
            verdicts(&decisions),
            [
                ("fs", "/work ro", Refused),
                ("fs", format!("{asked} ro").as_str(), Refused)
            ]
        );
    }
}

#[test]
fn a_command_loses_its_grant_with_its_directory() {
    let policy = "[skills.EchoSkill]\nfs=[{host='/srv',guest='/work'}]\ncommands=[{name='ls',directory='/work/sub'},{name='date'}]";
    let (grants, decisions) = settle("commands=['*']", None, policy);
    let names: Vec<_> = grants.commands.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["date"]);
    let refused = decisions.iter().find(|it| it.target == "ls").unwrap();
    assert!(
        refused.verdict == Refused && refused.reason.contains("/work/sub"),
        "{}",
        refused.reason
    );
    let (grants, _) = settle("commands=['*']\nfs=[{guest='/work'}]", None, policy);
    assert_eq!(grants.commands.len(), 2);
}

#[test]
fn names_are_asked_for_by_pattern() {
    let policy =
        "[skills.EchoSkill]\ncommands=[{name='git-log'},{name='git-push'},{name='rm'}]\nenv={LC_ALL='C',HOME='/'}";
    let (grants, decisions) = settle(
        "commands=['git-*']\nenv=['LC_*']",
        Some("commands=['*-log']\nenv=['*']"),
        policy,
    );
    let names: Vec<_> = grants.commands.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["git-log"]);
    assert_eq!(grants.env.keys().collect::<Vec<_>>(), ["LC_ALL"]);
    assert_eq!(
        verdicts(&decisions),
        [
            ("command", "git-log", Granted),
            ("command", "git-push", Refused),
            ("command", "rm", Refused),
            ("env", "HOME", Refused),
            ("env", "LC_ALL", Granted)
        ]
    );
}

#[test]
fn values_and_secrets_do_not_show_in_decisions() {
    let policy =
        "[skills.EchoSkill]\nenv={A='hunter2'}\nconfig={B='hunter2'}\nsecrets={C={env='hunter2',audience=['a.com']}}";
    let (grants, decisions) = settle("env=['*']\nconfig=['*']\nsecrets=['*']", None, policy);
    assert_eq!((grants.env.len(), grants.config.len(), grants.secrets.len()), (1, 1, 1));
    assert!(!format!("{decisions:?}").contains("hunter2"));
}

/// Offered, asked, and what is in force of it; `None` for nothing.
#[test]
fn patterns_shrink_to_what_both_say() {
    for (offered, asked, expected, verdict) in [
        ("*.example.com", "api.example.com", Some("api.example.com"), Granted),
        ("api.example.com", "*.example.com", Some("api.example.com"), Reduced),
        ("api.example.com", "*", Some("api.example.com"), Reduced),
        ("*", "*", Some("*"), Granted),
        ("api.example.com", "web.example.com", None, Refused),
    ] {
        let (grants, decisions) = settle(
            &format!("dns=['{asked}']"),
            None,
            &format!("[skills.EchoSkill]\ndns=['{offered}']"),
        );
        assert_eq!(grants.dns.first().map(String::as_str), expected, "{offered} {asked}");
        assert_eq!(decisions[0].verdict, verdict, "{offered} {asked}");
    }
    let (grants, _) = settle(
        "hive=['A.x','A.*']",
        Some("hive=['*']"),
        "[skills.EchoSkill]\nhive=['*']",
    );
    assert_eq!(grants.hive, ["A.*"]);
    let (grants, _) = settle("hive=['A.*']", Some("hive=['A.x']"), "[skills.EchoSkill]\nhive=['*']");
    assert_eq!(grants.hive, ["A.x"]);
}

#[test]
fn http_hosts_keep_the_terms_of_the_policy() {
    let policy = "[skills.EchoSkill]\nhttp=[{host='*.example.com',methods=['GET'],addresses=['10.0.0.0/8']}]";
    let (grants, decisions) = settle(
        "http=['api.example.com','evil.com','api.example.com:8443']",
        None,
        policy,
    );
    assert_eq!(grants.http.len(), 1);
    let grant = &grants.http[0];
    assert_eq!((grant.host.as_str(), grant.plain), ("api.example.com", false));
    assert_eq!(
        (grant.methods.as_slice(), grant.addresses.as_slice()),
        (&["GET".to_owned()][..], &["10.0.0.0/8".to_owned()][..])
    );
    assert_eq!(
        verdicts(&decisions),
        [
            ("http", "*.example.com", Granted),
            ("http", "evil.com", Refused),
            ("http", "api.example.com:8443", Refused)
        ]
    );
}

#[test]
fn a_manifest_cannot_turn_anyone_into_this_machine() {
    let (grants, _) = settle(
        "http=['127.0.0.1','169.254.169.254']",
        None,
        "[skills.EchoSkill]\nhttp=[{host='*'}]",
    );
    assert_eq!(grants.http, []);
    let policy = "[skills.EchoSkill]\nnet=[{to='*',ports=['*']},{to='0.0.0.0/0',ports=['*']}]";
    let (grants, _) = settle("net=[{to='127.0.0.1',ports=['80']}]", None, policy);
    assert_eq!(grants.net, []);
    let (grants, _) = settle(
        "net=[{to='127.0.0.0/8',ports=['80']}]",
        None,
        "[skills.EchoSkill]\nnet=[{to='127.0.0.1',ports=['*']}]",
    );
    assert_eq!(
        (grants.net[0].to.as_str(), grants.net[0].ports.as_slice()),
        ("127.0.0.1", &["80".to_owned()][..])
    );
}

/// Offer and request of peers, and what is in force.
#[test]
fn peers_are_granted_inside_asked_ranges_with_the_ports_and_protocols_of_both() {
    for (offer, asked, ceiling, expected) in [
        (
            "to='10.1.0.0/16',ports=['22']",
            "to='10.0.0.0/8',ports=['22']",
            "to='*',ports=['*']",
            Some("10.1.0.0/16 22 [Tcp]"),
        ),
        (
            "to='10.0.0.0/8',ports=['22']",
            "to='10.1.0.0/16',ports=['22']",
            "to='*',ports=['*']",
            None,
        ),
        (
            "to='10.0.0.0/8',ports=['1-1024']",
            "to='*',ports=['20-30','80']",
            "to='*',ports=['25-2000']",
            Some("10.0.0.0/8 25-30,80 [Tcp]"),
        ),
        (
            "to='10.0.0.0/8',ports=['22']",
            "to='*',ports=['23']",
            "to='*',ports=['*']",
            None,
        ),
        (
            "to='10.0.0.0/8',ports=['22']",
            "to='*',ports=['22']",
            "to='10.0.0.0/9',ports=['*']",
            None,
        ),
        (
            "to='10.0.0.0/8',ports=['53'],protocols=['tcp','udp']",
            "to='*',ports=['53'],protocols=['udp']",
            "to='*',ports=['*'],protocols=['tcp','udp']",
            Some("10.0.0.0/8 53 [Udp]"),
        ),
        (
            "to='10.0.0.0/8',ports=['53'],protocols=['udp']",
            "to='*',ports=['53']",
            "to='*',ports=['*']",
            None,
        ),
        (
            "to='db.example.com',ports=['5432']",
            "to='*.example.com',ports=['*']",
            "to='*',ports=['*']",
            Some("db.example.com 5432 [Tcp]"),
        ),
        (
            "to='db.example.com',ports=['5432']",
            "to='0.0.0.0/0',ports=['*']",
            "to='*',ports=['*']",
            None,
        ),
    ] {
        let policy = format!("[skills.EchoSkill]\nnet=[{{{offer}}}]");
        let (grants, decisions) = settle(
            &format!("net=[{{{asked}}}]"),
            Some(&format!("net=[{{{ceiling}}}]")),
            &policy,
        );
        let got: Vec<_> = grants
            .net
            .iter()
            .map(|it| format!("{} {} {:?}", it.to, it.ports.join(","), it.protocols))
            .collect();
        assert_eq!(
            got.first().map(String::as_str),
            expected,
            "{offer} / {asked} / {ceiling}"
        );
        assert_eq!(decisions[0].verdict == Refused, expected.is_none(), "{decisions:?}");
    }
}

#[test]
fn budgets_are_decided_one_by_one() {
    let limits = |text: &str| toml::from_str::<BudgetLimits>(text).unwrap();
    let policy =
        Policy::parse("[defaults]\nhandles=50\n[skills.EchoSkill.budgets]\nconnections=10\ncommands=3").unwrap();
    let asked = limits("connections=20\ncommands=2\nlog_lines=9");
    let ceiling = limits("log_lines=8\nmemory='1 MiB'\nhandles=60");
    let (grants, decisions) = resolve(
        "EchoSkill",
        &Request::default(),
        &asked,
        &Request::anything(),
        &ceiling,
        &policy,
    );
    assert_eq!((grants.budgets.connections, grants.budgets.commands), (10, 2));
    assert_eq!((grants.budgets.log_lines, grants.budgets.handles), (8, 50));
    assert_eq!(grants.budgets.memory.as_u64(), 1024 * 1024);
    let by = |name: &str| {
        let decision = decisions.iter().find(|it| it.target == name).unwrap();
        assert_eq!(decision.capability, "budget");
        (
            decision.verdict,
            ["ceiling", "policy", "manifest"].map(|word| decision.reason.contains(word)),
        )
    };
    assert_eq!(by("connections"), (Reduced, [false, true, true]));
    assert_eq!(by("commands"), (Granted, [false, false, true]));
    assert_eq!(by("log_lines"), (Reduced, [true, false, true]));
    assert_eq!(by("memory"), (Reduced, [true, false, false]));
    assert_eq!(by("handles"), (Granted, [false, true, false]));
    assert_eq!(decisions.len(), 5);
}
