//! The unit of systemd that keeps the agent running there.

use super::survey::{Place, Service};

/// For the whole machine: the agent's account owns its data directory and nothing else.
const SYSTEM: &str = include_str!("venom-agent.service");

/// For a user's own systemd, which cannot take away more than the user has.
const USER: &str = "\
# Written by venom-host provision; the same command again writes it anew.
[Unit]
Description=Venom agent
Documentation=https://example.invalid/venom

[Service]
Type=exec
Environment=VENOM_DATA_DIR=@DATA@
ExecStart=@PROGRAM@ agent start --foreground
TimeoutStopSec=60
Restart=on-failure
RestartSec=5
LimitNOFILE=65536
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy=default.target
";

/// The unit for a place. All that is put in was checked to hold no more than names and paths do.
pub(super) fn text(place: &Place) -> String {
    let template = match place.service {
        Service::User => USER,
        Service::System | Service::None => SYSTEM,
    };
    template
        .replace("@PROGRAM@", &place.program())
        .replace("@DATA@", &place.data_dir)
        .replace("@ACCOUNT@", &place.account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_units_and_name_the_place() {
        for service in [Service::System, Service::User] {
            let place = Place {
                prefix: "/usr/bin".to_owned(),
                data_dir: "/srv/agent".to_owned(),
                account: "root".to_owned(),
                service,
                unit: String::new(),
                sudo: false,
            };
            let text = text(&place);
            assert!(
                text.contains("ExecStart=/usr/bin/venom-host agent start --foreground") && text.contains("/srv/agent")
            );
            assert!(
                !["@PROGRAM@", "@DATA@", "@ACCOUNT@"]
                    .iter()
                    .any(|word| text.contains(word)),
                "{text}"
            );
            let directory = tempfile::tempdir().unwrap();
            let unit = directory.path().join("venom-agent.service");
            // the program is not there on this machine
            std::fs::write(&unit, text.replace("/usr/bin/venom-host", "/bin/true")).unwrap();
            let output = std::process::Command::new("systemd-analyze")
                .args(["verify", "--man=no"])
                .arg(&unit)
                .output()
                .unwrap_or_else(|error| panic!("this test needs systemd-analyze in PATH: {error}"));
            let said = String::from_utf8(output.stderr).unwrap();
            let ours = said.lines().filter(|line| line.contains("venom")).count();
            assert!(output.status.success() && ours == 0, "{said}");
        }
    }
}
