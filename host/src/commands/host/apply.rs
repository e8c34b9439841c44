//! `host apply`: verifies a program, then puts it in the place of the installed one. Meant for systemd, an init container or
//! an operator, as root; it restarts nothing.

use semver::Version;

use super::place::Place;
use super::verify::{Believed, open};
use crate::cli::ApplyHostArgs;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;

/// Installs, or says why not.
pub(super) async fn run(args: &ApplyHostArgs, data: &DataDir) -> Result<(), Failure> {
    let believed = Believed::read(&args.artefact, data)?;
    let place = Place::hold(&args.to)?;
    let installed = place.installed()?;
    if installed.as_ref().is_some_and(|installed| believed.is(installed)) {
        return told(args, &believed, None, false);
    }
    let before = match installed {
        Some(_) => before(args, &believed, &place).await?,
        None => None,
    };
    // What is checked is the copy: nobody changes it between the check and the swap.
    let staged = place.stage(open(&args.artefact.file)?)?;
    believed.check(&staged.measured, &args.artefact.file)?;
    staged.check_runs(&believed.artefact.artefact().version).await?;
    staged.swap()?;
    told(args, &believed, before, true)
}

/// The version that is installed, if the new one may follow it.
async fn before(args: &ApplyHostArgs, believed: &Believed, place: &Place) -> Result<Option<Version>, Failure> {
    let installed = match place.version().await {
        Ok(version) => version,
        Err(_) if args.allow_older => return Ok(None),
        Err(failure) => {
            return Err(failure.help(
                "whether the new program is newer cannot be told; pass --allow-older to install it all the same",
            ));
        }
    };
    if believed.artefact.is_newer_than(&installed) || args.allow_older {
        return Ok(Some(installed));
    }
    let version = &believed.artefact.artefact().version;
    Err(
        Failure::new(format!("version {version} is not newer than the installed {installed}"))
            .because("an old program with known faults is signed as well as a new one, and somebody may offer it again")
            .help("pass --allow-older if you want it all the same"),
    )
}

fn told(args: &ApplyHostArgs, believed: &Believed, before: Option<Version>, changed: bool) -> Result<(), Failure> {
    let signed = believed.artefact.artefact();
    if args.artefact.json {
        return output::say_json(&serde_json::json!({
            "changed": changed, "path": args.to, "version": signed.version, "before": before,
            "sha256": signed.sha256, "target": signed.target,
        }));
    }
    let shown = args.to.display();
    if !changed {
        return output::say(format!("{shown} is venom-host {} already", signed.version));
    }
    let green = output::GREEN;
    output::say(format!(
        "{green}installed{green:#}: {shown} is venom-host {}",
        signed.version
    ))?;
    if let Some(before) = before {
        output::note(format!(
            "{before} is kept as {shown}.previous; what runs goes on until it is restarted"
        ));
    }
    Ok(())
}
