//! placeholder
use crate::cli::NewSkillArgs;
use crate::failure::Failure;
pub(crate) fn run(_a: &NewSkillArgs) -> Result<(), Failure> {
    todo!()
}
