//! The examples of docs/policy.md and README.md are what the parsers take, whole.

use venom_bundle::Trust;
use venom_bundle::capability::Policy;

const GUIDE: &str = include_str!("../../../../../docs/policy.md");
const README: &str = include_str!("../../../../../README.md");

/// The TOML block below a heading.
fn example(text: &'static str, heading: &str) -> &'static str {
    let section = text.split(&format!("## {heading}\n")).nth(1).expect(heading);
    let block = section.split("```toml\n").nth(1).expect("a toml block");
    block.split("```").next().expect("the block's end")
}

#[test]
fn the_policy_example_grants_what_it_says() {
    let policy = Policy::parse(example(GUIDE, "policy.toml")).unwrap();
    let ticket = &policy.skills["TicketSkill"];
    assert_eq!(ticket.http[0].host, "api.example.com");
    assert_eq!(ticket.secrets["API_TOKEN"].audience, ["api.example.com"]);
    assert!(ticket.cache.is_some() && !ticket.dns.is_empty() && !ticket.hive.is_empty());
    assert_eq!(policy.skills["ShellSkill"].commands[0].args.len(), 5);
    assert_eq!(policy.skills["ProbeSkill"].net[0].ports, ["22", "8000-9000"]);
}

#[test]
fn the_trust_example_is_a_trust_file() {
    Trust::parse(example(GUIDE, "trust.toml")).unwrap();
    Trust::parse(&example(GUIDE, "trust.toml").replace("Ops", "no such prefix!")).unwrap_err();
}

#[test]
fn the_readme_grants_what_it_says() {
    let policy = Policy::parse(example(README, "Grant it something")).unwrap();
    assert_eq!(policy.skills["FileSkill"].fs[0].guest, "/work");
    assert_eq!(policy.skills["ShellSkill"].commands[0].name, "git");
}
