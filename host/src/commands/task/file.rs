//! Files of tasks and items, and stdin in their place.

use std::io::Read;
use std::path::Path;

use crate::failure::Failure;

/// Most bytes read: two million small tasks, and no more memory than a laptop has.
const MAX_FILE: u64 = 1024 * 1024 * 1024;

/// The text of a file, `-` for stdin; `what` it holds is for errors.
pub(crate) fn text_of(path: &Path, what: &str) -> Result<String, Failure> {
    let name = if path == Path::new("-") {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    };
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("cannot read the {what} from {name}")).because(error.to_string())
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(unreadable)?)
    };
    let mut text = String::new();
    source
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(Failure::usage(format!("the {what} in {name} are over 1 GiB")).help("split them"));
    }
    Ok(text)
}
