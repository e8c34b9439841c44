//! Policy files: what a good one means, and the key that is named when it is not good.

use std::path::Path;

use venom_bundle::capability::{Access, Confinement, Policy, PolicyError};

#[test]
fn a_whole_policy_is_read() {
    let text = r#"
        [defaults]
        wall = "30s"

        [skills.ShellSkill]
        fs = [{ host = "/srv/work", guest = "/work", access = "rw", quota = "10 MiB" }]
        net = [{ to = "10.0.0.0/8", ports = ["22", "8000-9000"], protocols = ["tcp", "udp"] }]
        dns = ["*.example.com"]
        http = [{ host = "api.example.com", methods = ["GET"], plain = true, addresses = ["10.0.0.0/8"] }]
        env = { LANG = "C" }
        config = { colour = "red" }
        secrets = { token = { file = "/run/token", audience = ["api.example.com"] } }
        cache = { quota = "1 MiB", max_ttl = "1h", namespace = "shared" }
        hive = ["EchoSkill.*"]
        budgets = { memory = "32 MiB" }

        [[skills.ShellSkill.commands]]
        name = "ls"
        path = "/bin/ls"
        args = ["-*", "<path>"]
        directory = "/work"
        confinement = "best-effort"
    "#;
    let policy = Policy::parse(text).unwrap();
    let skill = &policy.skills["ShellSkill"];
    assert_eq!(
        (skill.fs[0].access, skill.fs[0].quota.unwrap().as_u64()),
        (Access::Rw, 10 << 20)
    );
    let command = &skill.commands[0];
    assert_eq!(
        (command.confinement, command.timeout.as_secs(), command.network),
        (Confinement::BestEffort, 30, false)
    );
    assert_eq!(
        (command.output.as_u64(), command.file_size.as_u64()),
        (256 << 10, 64 << 20)
    );
    assert_eq!(policy.defaults.wall.unwrap().as_secs(), 30);
    assert_eq!(
        Policy::parse(&toml::to_string(&policy).unwrap()).unwrap(),
        policy,
        "writing and reading it changes it"
    );
}

#[test]
fn the_key_at_fault_is_named() {
    for (skill, key) in [
        ("fs=[{host='srv',guest='/work'}]", "fs[0].host"),
        ("fs=[{host='/srv/../etc',guest='/work'}]", "fs[0].host"),
        ("fs=[{host='/srv',guest='work'}]", "fs[0].guest"),
        ("fs=[{host='/srv',guest='/a/./b'}]", "fs[0].guest"),
        ("fs=[{host='/srv',guest='*'}]", "fs[0].guest"),
        ("fs=[{host='/srv',guest='/a'},{host='/tmp',guest='/a'}]", "fs[1].guest"),
        ("fs=[{host='/srv',guest='/a',quota=0}]", "fs[0].quota"),
        ("commands=[{name=''}]", "commands[0].name"),
        ("commands=[{name='/bin/ls'}]", "commands[0].name"),
        ("commands=[{name='*'}]", "commands[0].name"),
        ("commands=[{name='ls'},{name='ls'}]", "commands[1]"),
        ("commands=[{name='ls',path='bin/ls'}]", "commands[0].path"),
        ("commands=[{name='ls',args=['-l','<file>']}]", "commands[0].args[1]"),
        ("commands=[{name='ls',directory='/work'}]", "commands[0].directory"),
        (
            "commands=[{name='ls',directory='/workshop'}]\nfs=[{host='/srv',guest='/work'}]",
            "commands[0].directory",
        ),
        ("commands=[{name='ls',env=['A=B']}]", "commands[0].env[0]"),
        ("commands=[{name='ls',timeout='0s'}]", "commands[0].timeout"),
        ("commands=[{name='ls',output=0}]", "commands[0].output"),
        ("commands=[{name='ls',memory=0}]", "commands[0].memory"),
        ("commands=[{name='ls',read=['/usr','etc']}]", "commands[0].read[1]"),
        ("net=[{to='10.0.0.0/40',ports=['1']}]", "net[0].to"),
        ("net=[{to='::ffff:10.0.0.1',ports=['1']}]", "net[0].to"),
        ("net=[{to='10.0.0.1',ports=['70000']}]", "net[0].ports[0]"),
        ("net=[{to='10.0.0.1',ports=[]}]", "net[0].ports"),
        ("net=[{to='10.0.0.1',ports=['1'],protocols=[]}]", "net[0].protocols"),
        ("dns=['a.com','api.*']", "dns[1]"),
        ("http=[{host='https://a.com'}]", "http[0].host"),
        ("http=[{host='a.com',methods=['get']}]", "http[0].methods[0]"),
        ("http=[{host='a.com',addresses=['a.com']}]", "http[0].addresses[0]"),
        ("env={'A=B'='c'}", "env.A=B"),
        ("env={A=\"b\\u0000\"}", "env.A"),
        ("config={''='c'}", "config."),
        ("secrets={t={audience=['a.com']}}", "secrets.t"),
        ("secrets={t={env='T',file='/t',audience=['a.com']}}", "secrets.t"),
        ("secrets={t={file='t',audience=['a.com']}}", "secrets.t.file"),
        ("secrets={t={env='T',audience=[]}}", "secrets.t.audience"),
        ("secrets={t={env='T',audience=['*']}}", "secrets.t.audience[0]"),
        ("secrets={t={env='T',audience=['a b']}}", "secrets.t.audience[0]"),
        ("cache={quota=0}", "cache.quota"),
        ("cache={quota=1,max_ttl='0s'}", "cache.max_ttl"),
        ("cache={quota=1,namespace='a/b'}", "cache.namespace"),
        ("hive=['EchoSkill']", "hive[0]"),
        ("budgets={memory=0}", "budgets.memory"),
    ] {
        let error = Policy::parse(&format!("[skills.EchoSkill]\n{skill}")).unwrap_err();
        let PolicyError::Invalid(invalid) = &error else {
            panic!("{skill}\n{error}")
        };
        assert_eq!(invalid.key, format!("skills.EchoSkill.{key}"), "{skill}");
        assert!(error.to_string().contains(&invalid.key));
    }
    let key = |text: &str| match Policy::parse(text) {
        Err(PolicyError::Invalid(invalid)) => invalid.key,
        other => panic!("{other:?}"),
    };
    assert_eq!(key("[skills.echo]"), "skills.echo");
    assert_eq!(key("[defaults]\nwall=0"), "defaults.wall");
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_with_their_line() {
    for (text, expected) in [
        ("[skills.EchoSkill]\nnett=[]", "unknown field `nett`"),
        (
            "[skills.EchoSkill]\nfs=[{host='/a',guest='/b',acces='rw'}]",
            "unknown field `acces`",
        ),
        (
            "[skills.EchoSkill]\nfs=[{host='/a',guest='/b',access='write'}]",
            "unknown variant `write`",
        ),
        ("[skill.EchoSkill]", "unknown field `skill`"),
        ("[skills.EchoSkill]\nbudgets={memory='lots'}", "line 2"),
        ("[defaults]\nwall='soon'", "no duration"),
        ("[skills", "line 1"),
    ] {
        let error = Policy::parse(text).unwrap_err();
        assert!(matches!(error, PolicyError::Syntax(_)), "{text}");
        assert!(error.to_string().contains(expected), "{text}\n{error}");
    }
}

#[test]
fn a_missing_file_is_named_and_a_present_one_is_read() {
    let error = Policy::load(Path::new("/nonexistent/policy.toml"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nonexistent/policy.toml"), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[skills.EchoSkill]\ncache={quota=5}").unwrap();
    assert_eq!(
        Policy::load(file.path()).unwrap().skills["EchoSkill"]
            .cache
            .as_ref()
            .unwrap()
            .quota
            .as_u64(),
        5
    );
}
