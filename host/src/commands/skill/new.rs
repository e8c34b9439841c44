//! `skill new`: a working skill from a template. It writes into an empty directory or a new one, nowhere else.

use std::path::{Path, PathBuf};

use heck::{ToKebabCase as _, ToSnakeCase as _};
use venom_bundle::check_skill_name;

use crate::cli::{Language, NewSkillArgs};
use crate::data_dir::{SHARED_FILE, make_directory, make_file};
use crate::failure::{Explain as _, Failure};
use crate::output;

/// Mode of directories with source.
const DIRECTORY: u32 = 0o755;

macro_rules! template {
    ($language:literal: $($file:literal => $name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/", $language, "/", $file)))),*]
    };
}

/// Path in the new directory and text with placeholders.
type Template = &'static [(&'static str, &'static str)];

const RUST: Template = template!("rust":
    "Cargo.toml.in" => "Cargo.toml", "src/lib.rs" => "src/lib.rs", "skill.toml" => "skill.toml",
    "README.md" => "README.md", "gitignore" => ".gitignore");
const PYTHON: Template = template!("python":
    "app.py" => "app.py", "build.sh" => "build.sh", "skill.toml" => "skill.toml",
    "README.md" => "README.md", "gitignore" => ".gitignore");
const JS: Template = template!("js":
    "app.js" => "app.js", "package.json" => "package.json", "build.sh" => "build.sh", "skill.toml" => "skill.toml",
    "README.md" => "README.md", "gitignore" => ".gitignore");

/// The interface between a skill and its host, for languages whose tools read it.
const WIT: Template = &[
    ("wit/skill.wit", include_str!("../../../../wit/skill.wit")),
    ("wit/host.wit", include_str!("../../../../wit/host.wit")),
    ("wit/lan.wit", include_str!("../../../../wit/lan.wit")),
    ("wit/errors.wit", include_str!("../../../../wit/errors.wit")),
];

/// Writes the skill and says how to go on.
pub(crate) fn run(args: &NewSkillArgs) -> Result<(), Failure> {
    check_skill_name(&args.name).map_err(|error| Failure::usage(error.to_string()))?;
    let crate_name = args.name.to_kebab_case();
    let directory = args.dir.clone().unwrap_or_else(|| PathBuf::from(&crate_name));
    refuse_taken(&directory)?;
    let fill = |text: &str| -> Result<String, Failure> {
        Ok(text
            .replace("{{name}}", &args.name)
            .replace("{{crate_name}}", &crate_name)
            .replace("{{crate_file}}", &args.name.to_snake_case())
            .replace("{{sdk_dependency}}", &sdk_dependency(args.sdk.as_deref())?))
    };
    let (template, wit) = match args.lang {
        Language::Rust => (RUST, &[][..]),
        Language::Python => (PYTHON, WIT),
        Language::Js => (JS, WIT),
    };
    for (name, text) in template.iter().map(|(name, text)| (name, fill(text))) {
        write(&directory.join(name), &text?)?;
    }
    for (name, text) in wit {
        write(&directory.join(name), text)?;
    }
    let shown = directory.display();
    output::say(format!("made {} in {shown}", args.name))?;
    output::say(format!(
        "\nnext:\n  cd {shown}\n  venom-host skill build\n  venom-host run {name}.hello name=Ada --bundle {name}.venom",
        name = args.name
    ))
}

fn refuse_taken(directory: &Path) -> Result<(), Failure> {
    let is_taken = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    };
    if is_taken {
        return Err(Failure::new(format!(
            "{} exists already and is not an empty directory",
            directory.display()
        ))
        .help("choose another place with --dir DIR"));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        make_directory(parent, DIRECTORY)?;
    }
    make_file(path, text, SHARED_FILE).map(|_| ())
}

/// The right side of `venom-sdk =`: a path while the sources this program was built from are there, else a version.
fn sdk_dependency(named: Option<&Path>) -> Result<String, Failure> {
    let built_with = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk");
    let path = match named {
        Some(path) if path.join("Cargo.toml").is_file() => Some(path),
        Some(path) => {
            return Err(Failure::usage(format!("{} holds no venom-sdk", path.display())).help("name its directory"));
        }
        None => Some(built_with.as_path()).filter(|path| path.join("Cargo.toml").is_file()),
    };
    let Some(path) = path else {
        return Ok(format!("\"{}\"", env!("CARGO_PKG_VERSION")));
    };
    let path = path
        .canonicalize()
        .or_fail(format!("{} cannot be found", path.display()))?;
    Ok(format!(
        "{{ path = {} }}",
        toml_edit::Value::from(path.to_string_lossy().into_owned())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_and_skill_toml_is_valid() {
        for lang in [Language::Rust, Language::Python, Language::Js] {
            let directory = tempfile::tempdir().unwrap();
            let args = NewSkillArgs {
                name: "WordCount2".to_owned(),
                lang,
                dir: Some(directory.path().to_owned()),
                sdk: None,
            };
            run(&args).unwrap();
            let skill = venom_bundle::SkillToml::load(&directory.path().join("skill.toml")).unwrap();
            assert_eq!(skill.name, "WordCount2");
            for entry in std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    let text = std::fs::read_to_string(entry.path()).unwrap();
                    assert!(!text.contains("{{"), "{}", entry.path().display());
                }
            }
            assert!(run(&args).unwrap_err().summary().contains("not an empty directory"));
        }
    }
}
