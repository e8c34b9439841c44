//! `EchoSkill`: says things back. The smallest useful skill, and what tests use to keep a spore busy. Asks for no capability.

use std::time::Duration;

use serde_json::Value;
use venom_sdk::{Result, progress};

/// The skill.
pub struct EchoSkill;

/// Says things back; for trying things out.
#[venom_sdk::skill]
impl EchoSkill {
    /// Returns `text`, repeated.
    fn say(
        &self,
        /// What to say.
        text: String,
        /// How often.
        #[default(1)]
        times: u32,
    ) -> String {
        text.repeat(times as usize)
    }

    /// Returns `item`: for trying out maps, with or without what ParallelSkill adds.
    fn item(
        /// Anything.
        item: Value,
        /// What the map is about.
        task_description: Option<String>,
        /// Place of the item.
        item_index: Option<u32>,
        /// Items in all.
        total_items: Option<u32>,
    ) -> Value {
        if let (Some(index), Some(total)) = (item_index, total_items) {
            progress::report(index + 1, total, &task_description.unwrap_or_default());
        }
        item
    }

    /// Adds up `results`: for trying out the last step of a map.
    fn sum(
        /// Numbers.
        results: Vec<f64>,
    ) -> f64 {
        results.into_iter().sum()
    }

    /// Does nothing.
    fn noop() {}

    /// Sleeps, and answers how long.
    fn sleep(
        /// How long.
        milliseconds: u32,
    ) -> u32 {
        std::thread::sleep(Duration::from_millis(milliseconds.into()));
        milliseconds
    }

    /// Counts up, reporting progress and sending each number as a partial result.
    fn count(
        /// The last number.
        to: u32,
    ) -> Result<u32> {
        for number in 1..=to {
            progress::check()?;
            progress::emit(&number)?;
            progress::report(number, to, "counting");
        }
        Ok(to)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use venom_sdk::{Error, Skill, call, fake::Host};

    use super::*;

    #[test]
    fn says_it_as_often_as_told() {
        assert_eq!(call::<EchoSkill>("say", json!({ "text": "ha" })), Ok(json!("ha")));
        assert_eq!(
            call::<EchoSkill>("say", json!({ "text": "ha", "times": 3 })),
            Ok(json!("hahaha"))
        );
        assert_eq!(call::<EchoSkill>("item", json!({ "item": [1] })), Ok(json!([1])));
        assert_eq!(call::<EchoSkill>("sum", json!({ "results": [1, 2.5] })), Ok(json!(3.5)));
        assert_eq!(call::<EchoSkill>("noop", json!({})), Ok(Value::Null));
        assert_eq!(call::<EchoSkill>("sleep", json!({ "milliseconds": 1 })), Ok(json!(1)));
    }

    #[test]
    fn counting_is_seen_and_can_be_cancelled() {
        let host = Host::new().install();
        assert_eq!(call::<EchoSkill>("count", json!({ "to": 3 })), Ok(json!(3)));
        assert_eq!(host.partials(), [json!(1), json!(2), json!(3)]);
        assert_eq!(
            host.reports().last().map(|report| (report.done, report.total)),
            Some((3, 3))
        );

        let host = Host::new().cancel_after(2).install();
        assert_eq!(call::<EchoSkill>("count", json!({ "to": 9 })), Err(Error::Cancelled));
        assert_eq!(host.partials().len(), 2);
    }

    #[test]
    fn it_describes_itself() {
        let description = EchoSkill::describe();
        assert_eq!(description.name, "EchoSkill");
        assert!(include_str!("../skill.toml").contains("name = \"EchoSkill\""));
        let names: Vec<&str> = description.methods.iter().map(|method| method.name.as_str()).collect();
        assert_eq!(names, ["say", "item", "sum", "noop", "sleep", "count"]);
        let schema: Value = serde_json::from_str(&description.methods[0].params_schema).unwrap();
        assert_eq!(schema["required"], json!(["text"]));
        assert_eq!(schema["properties"]["times"]["default"], json!(1));
        assert_eq!(schema["properties"]["text"]["description"], "What to say.");
        assert!(description.methods[0].result_schema.contains("string"));
    }
}
