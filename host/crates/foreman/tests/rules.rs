//! The foreman's rules, one example each.

#[cfg(test)]
#[path = "rules/calls.rs"]
mod calls;
#[cfg(test)]
#[path = "rules/choices.rs"]
mod choices;
#[cfg(test)]
#[path = "rules/ends.rs"]
mod ends;
#[cfg(test)]
#[path = "rules/hive.rs"]
mod hive;
#[cfg(test)]
#[path = "rules/links.rs"]
mod links;
#[cfg(test)]
#[path = "rules/plans.rs"]
mod plans;
#[cfg(test)]
#[path = "rules/tasks.rs"]
mod tasks;
