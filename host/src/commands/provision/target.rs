//! What somebody wrote, made sure of: names of machines and accounts, directories, options of ssh. Whatever could be taken for
//! something else by ssh, a shell or systemd is refused here, and quoted all the same later.

use std::fmt;

use crate::failure::Failure;

/// Longest name of a machine in DNS.
const LONGEST_HOST: usize = 255;
/// Longest name of an account on Linux.
const LONGEST_USER: usize = 32;
/// Longest path that is still sensible.
const LONGEST_PATH: usize = 512;

/// Options of ssh that would turn off what `provision` depends on, or what keeps it safe.
const RESERVED: [&str; 13] = [
    "stricthostkeychecking",
    "nohostauthenticationforlocalhost",
    "batchmode",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "forwardagent",
    "forwardx11",
    "clearallforwardings",
    "permitlocalcommand",
    "remotecommand",
    "requesttty",
    "sessiontype",
];

/// Where ssh goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target(String);

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!("`{}` is no machine to provision", text.escape_debug()))
                .because(why)
                .help("write USER@HOST, or a name of your ssh configuration")
        };
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        if text.starts_with('-') || host.starts_with('-') {
            return Err(wrong("it begins like an option of ssh"));
        }
        if let Some(user) = user
            && !is_account(user)
        {
            return Err(wrong("its user is no name of an account"));
        }
        let is_host = (1..=LONGEST_HOST).contains(&host.len())
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte));
        if !is_host {
            return Err(wrong("its host is neither a name nor an address"));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_account(text: &str) -> bool {
    (1..=LONGEST_USER).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The name of an account.
pub(super) fn account(text: &str) -> Result<String, Failure> {
    if is_account(text) {
        return Ok(text.to_owned());
    }
    Err(
        Failure::usage(format!("`{}` is no name of an account", text.escape_debug()))
            .help("use letters, digits, `_`, `-` and `.`, not beginning with `-`"),
    )
}

/// A directory on the other machine: it goes into a unit of systemd as well, so it may hold no more than names do.
pub(super) fn directory(flag: &str, text: &str) -> Result<String, Failure> {
    let is_plain = text.starts_with('/')
        && text.len() <= LONGEST_PATH
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._+@-".contains(&byte))
        && text.split('/').all(|part| part != ".." && part != ".");
    if !is_plain {
        return Err(
            Failure::usage(format!("{flag} `{}` cannot be used", text.escape_debug()))
                .help("give an absolute path of letters, digits and . _ + @ - without `..`"),
        );
    }
    match text.trim_end_matches('/') {
        "" => Err(Failure::usage(format!("{flag} must not be the root directory"))),
        path => Ok(path.to_owned()),
    }
}

/// An option for ssh, unless it is one that `provision` sets itself.
pub(super) fn ssh_option(text: &str) -> Result<String, Failure> {
    let name: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
    let rest = text.get(name.len()..).unwrap_or_default();
    if name.is_empty() || !rest.starts_with(['=', ' ']) || text.chars().any(char::is_control) {
        return Err(Failure::usage(format!("`{}` is no option of ssh", text.escape_debug()))
            .help("write it as in ssh_config: --ssh-option IdentityFile=~/.ssh/id_fleet"));
    }
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Failure::usage(format!("--ssh-option {name} cannot be set"))
            .because("provision sets it itself: host keys are checked, nothing is asked, nothing is forwarded")
            .help("leave it out; an unknown host key is taken in by connecting with ssh once"));
    }
    Ok(text.to_owned())
}

/// An enrol string, as far as it matters here: one word that begins as they do.
pub(super) fn enrol_string(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let is_one_word = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.starts_with("venom://") && is_one_word && text.len() <= 4_096 {
        return Ok(text.to_owned());
    }
    // Not quoted: it may hold a token all the same.
    Err(Failure::usage("that is no enrol string")
        .because("it does not look like venom://HOST:PORT/?token=...")
        .help("`venom-host enrol create` prints one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_from_options_and_shell_words() {
        for good in [
            "pi@10.0.0.7",
            "host.example",
            "root@fe80::1%eth0",
            "my_alias",
            "a.b-c@h",
        ] {
            assert_eq!(Target::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "@",
            "pi@",
            "@host",
            "-oProxyCommand=id",
            "pi@-oProxyCommand=id",
            "-pi@host",
            "pi@host;id",
            "pi@$(id)",
            "pi@host id",
            "pi@host\n",
            "p i@host",
            "`id`@host",
            "ssh://pi@host",
            "pi@host/path",
            "pi@h'st",
        ] {
            let failure = Target::parse(bad).expect_err(bad);
            assert_eq!(failure.exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn directories_and_accounts_hold_nothing_a_shell_or_systemd_reads() {
        assert_eq!(
            directory("--prefix", "/opt/venom-1.0/bin/").unwrap(),
            "/opt/venom-1.0/bin"
        );
        for bad in [
            "", "/", "//", "bin", "~/bin", "/a b", "/a/../b", "/a;id", "/$HOME", "/%h", "/a\nb", "/a'b", "/a\\b",
        ] {
            assert!(directory("--prefix", bad).is_err(), "{bad}");
        }
        assert_eq!(account("venom").unwrap(), "venom");
        for bad in ["", "-r", "a b", "a;id", "$x", "root\nroot", &"x".repeat(33)] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_that_keep_it_safe_cannot_be_changed() {
        for good in ["IdentityFile=/k", "UserKnownHostsFile /k", "ProxyJump=bastion"] {
            assert_eq!(ssh_option(good).unwrap(), good);
        }
        for bad in [
            "StrictHostKeyChecking=no",
            "stricthostkeychecking accept-new",
            "BatchMode=no",
            "ControlPath=/x",
            "ForwardAgent=yes",
            "NoHostAuthenticationForLocalhost=yes",
            "",
            "=x",
            "-v",
            "IdentityFile",
            "IdentityFile=/k\nBatchMode=no",
        ] {
            assert!(ssh_option(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_enrol_string_is_one_word_and_is_not_repeated_when_it_is_wrong() {
        assert_eq!(enrol_string(" venom://h:1/?token=T\n").unwrap(), "venom://h:1/?token=T");
        for bad in ["", "T0KEN", "https://h/?token=T0KEN", "venom://h/?token=T0KEN and more"] {
            let failure = enrol_string(bad).unwrap_err();
            assert!(!format!("{failure:?}").contains("T0KEN"), "{failure:?}");
        }
    }
}
