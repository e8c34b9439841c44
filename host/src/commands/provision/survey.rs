//! What the other machine says of itself, and what follows from it: where things go, and who runs what.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// Room beside twice the program: its compiled skills, its outbox, its log.
const ROOM_KIB: u64 = 64 * 1024;

/// Answers of a script: `venom:NAME=VALUE`.
#[derive(Debug, Default)]
pub(super) struct Facts(BTreeMap<String, String>);

impl Facts {
    /// Everything else that was printed is left out.
    pub(super) fn read(out: &str) -> Self {
        let facts = out.lines().filter_map(|line| {
            let (name, value) = line.trim_end().strip_prefix("venom:")?.split_once('=')?;
            Some((name.to_owned(), printable(value)))
        });
        Self(facts.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.get(name) == Some("yes")
    }
}

/// What another machine says is shown on this terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(512).collect()
}

/// How the agent is started there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Service {
    /// A unit of the machine.
    System,
    /// A unit of the user that logs in.
    User,
    /// `agent start`.
    None,
}

impl Service {
    /// For the scripts.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::None => "none",
        }
    }

    /// For systemctl.
    pub(super) const fn scope(self) -> &'static str {
        match self {
            Self::User => "--user",
            Self::System | Self::None => "--system",
        }
    }
}

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    pub prefix: Option<String>,
    pub data_dir: Option<String>,
    pub user: Option<String>,
    pub no_service: bool,
    pub user_service: bool,
}

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub prefix: String,
    pub data_dir: String,
    /// Account the agent runs as.
    pub account: String,
    pub service: Service,
    pub unit: String,
    /// Whether scripts run by sudo.
    pub sudo: bool,
}

impl Place {
    /// `{prefix}/venom-host`.
    pub(super) fn program(&self) -> String {
        format!("{}/venom-host", self.prefix)
    }

    /// Decides, or says why it cannot be done.
    pub(super) fn decide(look: &Facts, wish: &Wish) -> Result<Self, Failure> {
        let fact = |name: &str| {
            look.get(name)
                .map(str::to_owned)
                .ok_or_else(|| Failure::new(format!("the machine did not say its {name}")))
        };
        if let Some(tool) = look.get("missing") {
            return Err(Failure::new(format!("the machine has no `{tool}`")).help("install coreutils there"));
        }
        let (login, home) = (fact("login")?, fact("home")?);
        let is_root = fact("uid")? == "0";
        let sudo = !is_root && !wish.user_service && look.is("sudo");
        let privileged = (is_root || sudo) && !wish.user_service;
        let service =
            match (wish.no_service, wish.user_service) {
                (true, _) => Service::None,
                (_, true) if look.is("user_systemd") => Service::User,
                (_, true) => {
                    return Err(Failure::new("no systemd of that user answers")
                        .because("`systemctl --user` does not work in the session that ssh opens")
                        .help("use --no-service instead"));
                }
                _ if !privileged => {
                    return Err(Failure::new(format!("{login} may not install programs for the whole machine there"))
                    .because("it is not root, and `sudo` asks for a password")
                    .help("log in as root, allow sudo without a password, or use --user-service (or --no-service)"));
                }
                _ if look.is("systemd") => Service::System,
                _ => Service::None,
            };
        let under = |path: &str| {
            let home = home.trim_end_matches('/');
            super::target::directory("the home directory there,", &format!("{home}/{path}"))
        };
        let prefix = match &wish.prefix {
            Some(prefix) => prefix.clone(),
            None if privileged => "/usr/local/bin".to_owned(),
            None => under(".local/bin")?,
        };
        let data_dir = match &wish.data_dir {
            Some(data_dir) => data_dir.clone(),
            None if privileged => "/var/lib/venom/agent".to_owned(),
            None => under(".local/share/venom")?,
        };
        let account = match &wish.user {
            Some(user) if privileged || *user == login => user.clone(),
            Some(user) => {
                return Err(Failure::new(format!("{login} may not run programs as {user} there"))
                    .help("leave --user out, or log in as root"));
            }
            None if privileged => "venom".to_owned(),
            None => super::target::account(&login)?,
        };
        let unit = match service {
            Service::User => under(".config/systemd/user/venom-agent.service")?,
            Service::System | Service::None => "/etc/systemd/system/venom-agent.service".to_owned(),
        };
        Ok(Self {
            prefix,
            data_dir,
            account,
            service,
            unit,
            sudo,
        })
    }
}

/// What is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub sha256: Option<String>,
    pub version: Option<String>,
    pub has_program: bool,
    pub has_prefix: bool,
    pub has_data: bool,
    pub has_account: bool,
    pub has_unit: bool,
    pub is_active: bool,
    pub is_registered: bool,
    pub agent_id: Option<String>,
}

impl State {
    /// Reads what the script said; fails when there is no room or no right to go on.
    pub(super) fn read(facts: &Facts, place: &Place, bytes: u64) -> Result<Self, Failure> {
        if !facts.is("writable") {
            return Err(Failure::new(format!("{} cannot be written there", place.prefix))
                .help("choose another directory with --prefix DIR, or log in as root"));
        }
        let free = facts.get("free_kib").and_then(|free| free.parse::<u64>().ok());
        let needed = (bytes / 1024).saturating_mul(2).saturating_add(ROOM_KIB);
        if let Some(free) = free
            && free < needed
        {
            return Err(Failure::new(format!(
                "too little room at {} there: {} MiB are free, {} are needed",
                place.prefix,
                free / 1024,
                needed / 1024
            ))
            .help("make room, or choose another directory with --prefix DIR"));
        }
        Ok(Self {
            has_program: facts.get("sha256").is_some(),
            sha256: facts.get("sha256").map(str::to_owned),
            version: facts.get("version").map(str::to_owned),
            has_prefix: facts.is("prefix"),
            has_data: facts.is("data"),
            has_account: facts.is("account"),
            has_unit: facts.is("unit"),
            is_active: facts.is("active"),
            is_registered: facts.is("registered"),
            agent_id: facts.get("agent_id").map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(more: &str) -> Facts {
        Facts::read(&format!(
            "Welcome!\nvenom:login=pi\nvenom:home=/home/pi\nvenom:uid=1000\n{more}"
        ))
    }

    fn root(more: &str) -> Facts {
        Facts::read(&format!("venom:login=root\nvenom:home=/root\nvenom:uid=0\n{more}"))
    }

    #[test]
    fn only_our_lines_are_read_and_no_control_characters() {
        let facts = Facts::read("uid=0\nvenom:uid=1000\n venom:home=/x\nvenom:version=1\u{1b}[2J\nvenom:empty=\n");
        assert_eq!(facts.get("uid"), Some("1000"));
        assert_eq!((facts.get("home"), facts.get("empty")), (None, None));
        assert_eq!(facts.get("version"), Some("1[2J"));
    }

    #[test]
    fn root_and_sudo_install_for_the_machine_with_systemd_where_there_is_one() {
        let place = Place::decide(&root("venom:systemd=yes"), &Wish::default()).unwrap();
        assert_eq!((place.service, place.sudo), (Service::System, false));
        assert_eq!(
            (place.program().as_str(), place.account.as_str()),
            ("/usr/local/bin/venom-host", "venom")
        );
        assert_eq!(place.data_dir, "/var/lib/venom/agent");
        let place = Place::decide(&look("venom:sudo=yes\nvenom:systemd=yes"), &Wish::default()).unwrap();
        assert_eq!((place.service, place.sudo), (Service::System, true));
        let place = Place::decide(&root(""), &Wish::default()).unwrap();
        assert_eq!(place.service, Service::None);
    }

    #[test]
    fn without_root_it_is_the_users_own_or_not_at_all() {
        let user = Wish {
            user_service: true,
            ..Wish::default()
        };
        let failure = Place::decide(&look("venom:systemd=yes"), &Wish::default()).unwrap_err();
        assert!(format!("{failure:?}").contains("--user-service"), "{failure:?}");
        assert!(Place::decide(&look(""), &user).is_err());
        let place = Place::decide(&look("venom:user_systemd=yes\nvenom:sudo=yes"), &user).unwrap();
        assert_eq!((place.service, place.sudo), (Service::User, false));
        assert_eq!(place.unit, "/home/pi/.config/systemd/user/venom-agent.service");
        assert_eq!(
            (place.prefix.as_str(), place.account.as_str()),
            ("/home/pi/.local/bin", "pi")
        );
        let none = Wish {
            no_service: true,
            user: Some("other".to_owned()),
            ..Wish::default()
        };
        assert!(
            Place::decide(&look(""), &none).is_err(),
            "not root, so not another user"
        );
    }

    #[test]
    fn a_home_that_is_no_path_is_not_used() {
        let odd = Facts::read("venom:login=pi\nvenom:home=/home/$(id)\nvenom:uid=1000\nvenom:user_systemd=yes");
        let user = Wish {
            user_service: true,
            ..Wish::default()
        };
        assert!(Place::decide(&odd, &user).is_err());
    }

    #[test]
    fn too_little_room_and_no_right_to_write_are_told() {
        let place = Place::decide(&root(""), &Wish::default()).unwrap();
        let state = |facts: &str| State::read(&Facts::read(facts), &place, 100 * 1024 * 1024);
        assert!(state("venom:free_kib=999999999").is_err());
        let small = state("venom:writable=yes\nvenom:free_kib=200000").unwrap_err();
        assert!(
            format!("{small:?}").contains("195 MiB are free, 264 are needed"),
            "{small:?}"
        );
        let fine = state("venom:writable=yes\nvenom:free_kib=999999\nvenom:sha256=ab\nvenom:active=yes").unwrap();
        assert!(fine.has_program && fine.is_active && !fine.is_registered);
    }
}
