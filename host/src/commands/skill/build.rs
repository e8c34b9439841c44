//! `skill build`: runs the language's own tools, packs what they made, signs it. Built code is never run here.

mod develop;
mod live;
mod tool;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use venom_bundle::SkillToml;

use crate::cli::BuildArgs;
use crate::commands::bundle::{Packed, pack_and_sign};
use crate::commands::key;
use crate::data_dir::{DataDir, PRIVATE_DIRECTORY, SHARED_FILE, make_directory, replace_file};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::Sources;

/// What `skill build --json` prints.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    packed: Packed,
    component: PathBuf,
    installed: Option<PathBuf>,
}

/// Builds, packs and signs.
pub(crate) fn run(args: BuildArgs, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    let manifest = args.dir.join("skill.toml");
    if !manifest.is_file() {
        return Err(
            Failure::usage(format!("there is no skill.toml in {}", args.dir.display()))
                .help("name the skill's directory, or start a skill with `venom-host skill new NAME`"),
        );
    }
    if args.watch || args.publish {
        return crate::commands::wait(develop::run(args, sources.clone(), data.clone()));
    }
    once(args, &manifest, data)
}

fn once(args: BuildArgs, manifest: &Path, data: &DataDir) -> Result<(), Failure> {
    let started = Instant::now();
    // Found out before minutes are spent on a build.
    let key = key::load(None, data)?;
    let skill = SkillToml::load(manifest).or_fail(format!("{} cannot be used", manifest.display()))?;
    let component = build(&args, &skill.name)?;
    let packed = pack_and_sign(manifest, &component, &key, args.out, &args.dir)?;
    let installed = if args.install {
        Some(install(&packed, data)?)
    } else {
        None
    };
    if args.json {
        return output::say_json(&Report {
            packed,
            component,
            installed,
        });
    }
    packed.tell()?;
    if let Some(installed) = &installed {
        output::say(format!("installed  {}", installed.display()))?;
    }
    output::note(format!("built in {:.1} s", started.elapsed().as_secs_f64()));
    output::note(format!("try: venom-host skill inspect {}", packed.path.display()));
    Ok(())
}

fn build(args: &BuildArgs, name: &str) -> Result<PathBuf, Failure> {
    let dir = &args.dir;
    if dir.join("Cargo.toml").is_file() {
        let profile = args.profile.clone().unwrap_or_else(|| default_profile(dir).to_owned());
        return tool::cargo(dir, &profile, name);
    }
    if dir.join("build.sh").is_file() {
        return tool::script(dir, name);
    }
    Err(Failure::usage(format!("{} holds no source this program can build", dir.display()))
        .because("it has neither Cargo.toml (Rust) nor build.sh (Python, JavaScript)")
        .help("build the component with your own tools, then `venom-host bundle pack COMPONENT --manifest skill.toml`"))
}

/// The template's profile for small components where the package has it.
fn default_profile(dir: &Path) -> &'static str {
    let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
    if manifest.contains("[profile.skill]") {
        "skill"
    } else {
        "release"
    }
}

fn install(packed: &Packed, data: &DataDir) -> Result<PathBuf, Failure> {
    make_directory(&data.skills(), PRIVATE_DIRECTORY)?;
    let to = data.skills().join(format!("{}.venom", packed.name));
    let bytes = std::fs::read(&packed.path).or_fail(format!("cannot read {}", packed.path.display()))?;
    replace_file(&to, &bytes, SHARED_FILE)?;
    Ok(to)
}
