//! The one rule for names of skills. Callers route by these names and publishers own prefixes of them, so
//! look-alikes and separators are kept out. Never used for anything but skills and prefixes.

/// Longest name of a skill.
const MAX_NAME: usize = 64;

/// A text that names no skill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no skill name: begin with a capital letter and go on with ASCII letters and digits, 64 at most, for example EchoSkill"
)]
pub struct InvalidSkillName {
    /// What came, shortened.
    pub text: String,
}

/// Accepts `^[A-Z][A-Za-z0-9]{0,63}$`, the form in which callers write `SKILL.METHOD`.
pub fn check_skill_name(text: &str) -> Result<(), InvalidSkillName> {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase());
    if first && text.len() <= MAX_NAME && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(InvalidSkillName {
        text: text.chars().take(80).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ascii_words_that_begin_with_a_capital() {
        let longest = format!("A{}", "b".repeat(63));
        for good in ["A", "EchoSkill", "Skill2", &longest] {
            check_skill_name(good).unwrap();
        }
        let too_long = format!("{longest}b");
        for bad in [
            "",
            "echo",
            "2Skill",
            "Echo Skill",
            "Echo.run",
            "Ech\u{43e}",
            "../A",
            "A\n",
            &too_long,
        ] {
            let error = check_skill_name(bad).unwrap_err();
            assert!(error.to_string().contains("begin with a capital"), "{error}");
        }
    }
}
