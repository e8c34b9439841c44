//! What is run on the other machine: small scripts for POSIX sh, which get everything they are told as words. They answer in
//! lines `venom:NAME=VALUE`, as login scripts may print whatever they like.

/// Says what kind of machine it is and who logged in.
pub(super) const LOOK: &str = r#"
say() { printf "venom:%s=%s\n" "$1" "$2"; }
LC_ALL=C; export LC_ALL
say system "$(uname -s)"
say machine "$(uname -m)"
say uid "$(id -u)"
say login "$(id -un)"
say home "$HOME"
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then say systemd yes; fi
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then say sudo yes; fi
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR
if command -v systemctl >/dev/null 2>&1 && systemctl --user show-environment >/dev/null 2>&1; then say user_systemd yes; fi
for tool in sha256sum df wc dirname ln mv chmod; do
  command -v "$tool" >/dev/null 2>&1 || say missing "$tool"
done
exit 0
"#;

/// Says what is there already. $1 prefix, $2 data directory, $3 kind of service, $4 unit, $5 account.
pub(super) const STATE: &str = r#"
say() { printf "venom:%s=%s\n" "$1" "$2"; }
LC_ALL=C; export LC_ALL
place=$1
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
if [ -w "$place" ]; then say writable yes; fi
if [ -d "$1" ]; then say prefix yes; fi
say free_kib "$(df -Pk "$place" | { read -r _; read -r _ _ _ free _; printf "%s" "$free"; })"
program=$1/venom-host
if [ -f "$program" ]; then
  say sha256 "$(sha256sum < "$program" | { read -r sum _; printf "%s" "$sum"; })"
  say version "$("$program" --version 2>/dev/null </dev/null | { read -r _ version _; printf "%s" "$version"; })"
fi
if [ -d "$2" ]; then say data yes; fi
if [ -f "$2/agent.toml" ] && [ -s "$2/agent.token" ]; then
  say registered yes
  say agent_id "$(sed -n 's/^agent_id *= *"\([^"]*\)".*$/\1/p' "$2/agent.toml" | head -n 1)"
fi
if id -u "$5" >/dev/null 2>&1; then say account yes; fi
if [ -e "$4" ]; then
  say unit yes
  say unit_sha256 "$(sha256sum < "$4" | { read -r sum _; printf "%s" "$sum"; })"
fi
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR
case $3 in
  system) if systemctl is-active --quiet venom-agent; then say active yes; fi ;;
  user) if systemctl --user is-active --quiet venom-agent; then say active yes; fi ;;
  none) if [ -f "$program" ] && "$program" --data-dir "$2" agent status >/dev/null 2>&1 </dev/null; then say active yes; fi ;;
esac
exit 0
"#;

/// Takes the program in on stdin. $1 prefix, $2 temporary name, $3 bytes. What did not arrive whole is removed at once.
pub(super) const UPLOAD: &str = r#"
set -eu
umask 022
mkdir -p "$1"
find "$1" -maxdepth 1 -name ".venom-host.new.*" -mmin +60 -exec rm -f {} + 2>/dev/null || :
new=$1/$2
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
cat > "$new"
got=$(wc -c < "$new")
if [ "$got" -ne "$3" ]; then
  printf "%s of %s bytes arrived\n" "$got" "$3" >&2
  exit 1
fi
chmod 755 "$new"
printf "venom:sha256=%s\n" "$(sha256sum < "$new" | { read -r sum _; printf "%s" "$sum"; })"
trap - EXIT
"#;

/// Says the version of a program. $1 the program.
pub(super) const TRY: &str = r#"
said=$("$1" --version </dev/null) || exit 1
printf "venom:said=%s\n" "$said"
"#;

/// Removes a file. $1 which.
pub(super) const REMOVE: &str = r#"rm -f "$1""#;

/// Removes a directory if it is empty. $1 which.
pub(super) const REMOVE_EMPTY: &str = r#"rmdir "$1" 2>/dev/null || :"#;

/// Puts the new program in the place of the old one, which stays beside it. $1 prefix, $2 new, $3 name for the old one.
pub(super) const INSTALL: &str = r#"
set -eu
cd "$1"
if [ -e venom-host ]; then
  ln venom-host "$3" 2>/dev/null || cp -p venom-host "$3"
fi
mv -f "$2" venom-host
sync
"#;

/// Puts the old program back. $1 prefix, $2 its name, $3 whether there was one.
pub(super) const UNINSTALL: &str = r#"
set -eu
cd "$1"
if [ "$3" != yes ]; then rm -f venom-host; elif [ -e "$2" ]; then mv -f "$2" venom-host; fi
"#;

/// Keeps the old program. $1 prefix, $2 its name.
pub(super) const KEEP: &str = r#"
set -eu
cd "$1"
if [ -e "$2" ]; then mv -f "$2" venom-host.previous; fi
"#;

/// Makes the account. $1 its name, $2 the data directory, $3 this run, which is what undoing it goes by.
pub(super) const ACCOUNT: &str = r#"
set -eu
PATH=$PATH:/usr/sbin:/sbin
if command -v useradd >/dev/null 2>&1; then
  useradd --system --user-group --no-create-home --home-dir "$2" --shell /usr/sbin/nologin --comment "$3" "$1"
else
  adduser -S -D -H -h "$2" -s /sbin/nologin -g "$3" "$1"
fi
"#;

/// Removes the account, if it is the one that this run made. $1 its name, $2 this run.
pub(super) const NO_ACCOUNT: &str = r#"
PATH=$PATH:/usr/sbin:/sbin
id -u "$1" >/dev/null 2>&1 || exit 0
made=no
while IFS=: read -r name _ _ _ comment _; do
  if [ "$name" = "$1" ] && [ "$comment" = "$2" ]; then made=yes; fi
done < /etc/passwd
if [ "$made" != yes ]; then echo "another made the account $1: it stays" >&2; exit 1; fi
if command -v userdel >/dev/null 2>&1; then userdel "$1"; else deluser "$1"; fi
"#;

/// Makes the data directory. $1 which, $2 its owner, $3 this run, which is what undoing it goes by.
pub(super) const DATA: &str = r#"
set -eu
umask 022
mkdir -p "$(dirname "$1")"
mkdir -m 700 "$1"
printf "%s" "$3" > "$1/.provision" || { rm -f "$1/.provision"; rmdir "$1"; exit 1; }
if [ "$(id -un)" != "$2" ]; then chown "$2" "$1"; fi
"#;

/// Removes the data directory, if it is the one that this run made. $1 which, $2 this run.
pub(super) const NO_DATA: &str = r#"
[ -e "$1" ] || exit 0
if [ "$(cat "$1/.provision" 2>/dev/null)" != "$2" ]; then echo "another made $1: it stays" >&2; exit 1; fi
rm -rf "$1"
"#;

/// The directory stays, and needs no name of a run. $1 which.
pub(super) const DATA_STAYS: &str = r#"rm -f "$1/.provision" "$1/agent.toml.before-provision""#;

/// Keeps the settings that an agent without a token left. $1 the data directory.
pub(super) const KEEP_SETTINGS: &str = r#"
set -eu
rm -f "$1/agent.toml.before-provision"
if [ -f "$1/agent.toml" ]; then cp -p "$1/agent.toml" "$1/agent.toml.before-provision"; fi
"#;

/// Says which agent the data directory names. $1 which.
pub(super) const WHO: &str = r#"
if [ -f "$1/agent.toml" ]; then
  printf "venom:agent_id=%s\n" "$(sed -n 's/^agent_id *= *"\([^"]*\)".*$/\1/p' "$1/agent.toml" | head -n 1)"
fi
"#;

/// Runs the program as an account, with stdin passed on. $1 account, $2 program, then its words.
pub(super) const RUN_AS: &str = r#"
account=$1
shift
if [ "$(id -un)" = "$account" ]; then exec "$@"; fi
if command -v runuser >/dev/null 2>&1; then exec runuser -u "$account" -- "$@"; fi
if command -v setpriv >/dev/null 2>&1; then exec setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups "$@"; fi
if command -v sudo >/dev/null 2>&1; then exec sudo -n -u "$account" -- "$@"; fi
echo "none of runuser, setpriv and sudo is there to run a program as $account" >&2
exit 1
"#;

/// Removes what registering wrote, and puts settings back that were there. $1 the data directory.
pub(super) const UNREGISTER: &str = r#"
set -eu
rm -f "$1/agent.token"
if [ -f "$1/agent.toml.before-provision" ]; then mv -f "$1/agent.toml.before-provision" "$1/agent.toml"; else rm -f "$1/agent.toml"; fi
"#;

/// Takes a unit in on stdin and starts the service. $1 unit, $2 `--system` or `--user`, $3 name for the old unit.
pub(super) const SERVICE: &str = r#"
set -eu
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR
umask 022
mkdir -p "$(dirname "$1")"
cat > "$1.new"
if [ -e "$1" ]; then cp -p "$1" "$3"; fi
mv -f "$1.new" "$1"
systemctl "$2" daemon-reload
systemctl "$2" enable venom-agent.service
systemctl "$2" restart venom-agent.service
if [ "$2" = --user ]; then loginctl enable-linger "$(id -un)" 2>/dev/null || echo "venom:lingers=no"; fi
"#;

/// Stops the service and puts the old unit back. $1 unit, $2 `--system` or `--user`, $3 name of the old unit, $4 whether there
/// was one.
pub(super) const NO_SERVICE: &str = r#"
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR
left=0
if [ -e "$1" ]; then systemctl "$2" stop venom-agent.service || left=1; fi
if [ "$4" = yes ]; then
  if [ -e "$3" ]; then mv -f "$3" "$1" || left=1; fi
elif [ -e "$1" ]; then
  systemctl "$2" disable venom-agent.service || left=1
  rm -f "$1" || left=1
fi
rm -f "$1.new" || left=1
systemctl "$2" daemon-reload || left=1
systemctl "$2" reset-failed venom-agent.service 2>/dev/null || :
exit "$left"
"#;

/// Starts the service that ran before. $1 `--system` or `--user`.
pub(super) const RESTART: &str = r#"
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR
systemctl "$1" restart venom-agent.service
"#;

/// What a service last said. $1 `--system` or `--user`.
pub(super) const JOURNAL: &str = r#"
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR
if [ "$1" = --user ]; then journalctl --user -u venom-agent.service -n 5 -o cat --no-pager 2>/dev/null
else journalctl -u venom-agent.service -n 5 -o cat --no-pager 2>/dev/null; fi
exit 0
"#;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::{Command, Output};

    use super::*;

    /// Runs a script here, with these tools before all others.
    fn run(script: &str, words: &[&str], tools: &Path) -> Output {
        Command::new("sh")
            .args(["-c", script, "venom"])
            .args(words)
            .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
            .output()
            .unwrap()
    }

    fn tool(tools: &Path, name: &str, script: &str) {
        let path = tools.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn me() -> String {
        let output = Command::new("id").arg("-un").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn only_the_data_directory_of_this_run_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("a/b/data");
        let word = data.to_str().unwrap();
        assert!(
            run(NO_DATA, &[word, "run-1"], place.path()).status.success(),
            "nothing is there"
        );
        // a login that keeps everything to itself makes parents the agent's account could not pass
        let made = run(&format!("umask 077\n{DATA}"), &[word, &me(), "run-1"], place.path());
        assert!(made.status.success(), "{made:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data), mode(data.parent().unwrap())), (0o700, 0o755));
        fs::write(data.join("kept"), "").unwrap();
        let other = run(NO_DATA, &[word, "run-2"], place.path());
        assert!(!other.status.success() && data.join("kept").exists(), "{other:?}");
        // a second run finds it there, and undoes nothing of it
        assert!(!run(DATA, &[word, &me(), "run-2"], place.path()).status.success());
        assert!(!run(NO_DATA, &[word, "run-2"], place.path()).status.success() && data.exists());
        assert!(run(NO_DATA, &[word, "run-1"], place.path()).status.success());
        assert!(!data.exists());
        // what stays is nobody's to remove
        run(DATA, &[word, &me(), "run-1"], place.path());
        assert!(run(DATA_STAYS, &[word], place.path()).status.success());
        assert!(!run(NO_DATA, &[word, "run-1"], place.path()).status.success() && data.exists());
    }

    #[test]
    fn only_the_account_of_this_run_is_removed() {
        let tools = tempfile::tempdir().unwrap();
        let gone = tools.path().join("gone");
        tool(tools.path(), "userdel", &format!("echo \"$1\" >> {}", gone.display()));
        assert!(!run(NO_ACCOUNT, &["root", "run-1"], tools.path()).status.success());
        assert!(
            run(NO_ACCOUNT, &["no-such-account", "run-1"], tools.path())
                .status
                .success()
        );
        assert!(!gone.exists());
        // what /etc/passwd says of root stands for the name of a run
        let accounts = fs::read_to_string("/etc/passwd").unwrap();
        let comment = accounts.lines().find(|line| line.starts_with("root:")).unwrap();
        let comment = comment.split(':').nth(4).unwrap();
        assert!(run(NO_ACCOUNT, &["root", comment], tools.path()).status.success());
        assert_eq!(fs::read_to_string(&gone).unwrap(), "root\n");
    }

    #[test]
    fn settings_that_were_there_come_back() {
        let data = tempfile::tempdir().unwrap();
        let (word, toml) = (data.path().to_str().unwrap(), data.path().join("agent.toml"));
        let names = || {
            let mut names: Vec<_> = fs::read_dir(data.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        fs::write(data.path().join("agent.toml.before-provision"), "of another time").unwrap();
        for before in [None, Some("settings")] {
            if let Some(before) = before {
                fs::write(&toml, before).unwrap();
            }
            assert!(run(KEEP_SETTINGS, &[word], data.path()).status.success());
            fs::write(&toml, "agent_id = \"agent-1\"\n").unwrap();
            fs::write(data.path().join("agent.token"), "secret").unwrap();
            let who = run(WHO, &[word], data.path());
            assert_eq!(String::from_utf8(who.stdout).unwrap(), "venom:agent_id=agent-1\n");
            assert!(run(UNREGISTER, &[word], data.path()).status.success());
            assert_eq!(fs::read_to_string(&toml).ok().as_deref(), before);
            assert_eq!(names().len(), usize::from(before.is_some()), "{:?}", names());
        }
    }

    #[test]
    fn a_service_that_is_not_put_back_is_told() {
        let place = tempfile::tempdir().unwrap();
        let (unit, old) = (place.path().join("unit"), place.path().join("old"));
        let words = |had: &'static str| [unit.to_str().unwrap(), "--user", old.to_str().unwrap(), had];
        tool(place.path(), "systemctl", "exit 0");
        for had in ["yes", "no"] {
            fs::write(&unit, "new").unwrap();
            fs::write(&old, "old").unwrap();
            assert!(run(NO_SERVICE, &words(had), place.path()).status.success());
            assert_eq!(
                fs::read_to_string(&unit).ok().as_deref(),
                (had == "yes").then_some("old")
            );
        }
        // nothing was written yet: nothing is there to be stopped
        let _ = fs::remove_file(&unit);
        tool(place.path(), "systemctl", "[ \"$2\" != stop ]");
        assert!(run(NO_SERVICE, &words("no"), place.path()).status.success());
        for fails in ["stop", "disable", "daemon-reload"] {
            tool(place.path(), "systemctl", &format!("[ \"$2\" != {fails} ]"));
            fs::write(&unit, "new").unwrap();
            assert!(!run(NO_SERVICE, &words("no"), place.path()).status.success(), "{fails}");
            assert!(!unit.exists(), "it goes on whatever fails");
        }
    }
}
