//! Policies of tests, as an operator would write them.

use std::path::Path;

/// `FileSkill` may use `workspace` as `/work`.
#[must_use]
pub fn file_skill(workspace: &Path) -> String {
    format!(
        "[[skills.FileSkill.fs]]\nhost = '{}'\nguest = '/work'\naccess = 'rw'\n",
        workspace.display()
    )
}

/// `ShellSkill` may run a few programs in `workspace`.
#[must_use]
pub fn shell_skill(workspace: &Path) -> String {
    let mut text = format!(
        "[[skills.ShellSkill.fs]]\nhost = '{}'\nguest = '/work'\naccess = 'rw'\n",
        workspace.display()
    );
    for (name, arguments) in [
        ("echo", "'**'"),
        ("sleep", "'<number>'"),
        ("cat", "'<path>'"),
        ("ls", "'-*', '<path>'"),
    ] {
        text.push_str(&format!(
            "[[skills.ShellSkill.commands]]\nname = '{name}'\nargs = [{arguments}]\ndirectory = '/work'\n\
             confinement = 'best-effort'\n",
        ));
    }
    text
}

/// `ParallelSkill` may submit calls of `EchoSkill`.
#[must_use]
pub fn parallel_skill() -> String {
    "[skills.ParallelSkill]\nhive = ['EchoSkill.*']\n".to_owned()
}

/// `HostileSkill` may use `workspace` as `/work`, and has `more` (TOML below `[skills.HostileSkill]`).
#[must_use]
pub fn hostile(workspace: &Path, more: &str) -> String {
    format!(
        "[skills.HostileSkill]\nfs = [{{ host = '{}', guest = '/work', access = 'rw', quota = '4 MiB' }}]\n{more}\n",
        workspace.display()
    )
}
