//! `#[skill]` as a skill's author meets it: what callers see, what they send, what they get.

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use venom_sdk::fake::Host;
use venom_sdk::{Error, Skill, cache, call, hive, log, progress, settings};

struct Shop {
    currency: &'static str,
}

#[derive(Deserialize, JsonSchema)]
struct Item {
    /// What it is.
    name: String,
    price: f64,
}

#[derive(Serialize)]
struct Receipt {
    total: String,
}

#[derive(Debug)]
struct SoldOut(String);

impl From<SoldOut> for Error {
    fn from(error: SoldOut) -> Self {
        Self::NotFound(format!("`{}` is sold out", error.0))
    }
}

/// Sells things.
///
/// To anyone.
#[venom_sdk::skill(name = "ShopSkill", new = Shop { currency: "EUR" })]
impl Shop {
    /// Adds up
    /// what was bought.
    fn checkout(
        &self,
        /// What was bought.
        items: Vec<Item>,
        #[default(0.0)] tip: f64,
        coupon: Option<String>,
    ) -> Result<Receipt, SoldOut> {
        if let Some(item) = items.iter().find(|item| item.name == "unicorn") {
            return Err(SoldOut(item.name.clone()));
        }
        let total: f64 = items.iter().map(|item| item.price).sum::<f64>() + tip;
        let total = if coupon.is_some() { total / 2.0 } else { total };
        Ok(Receipt {
            total: format!("{total:.2} {}", self.currency),
        })
    }

    fn read(r#type: String) -> venom_sdk::Result<String> {
        Err(io::Error::new(io::ErrorKind::NotFound, r#type))?
    }

    fn nothing() {}

    #[cfg(any())]
    fn never_there() {}
}

#[test]
fn callers_see_names_docs_and_schemas() {
    let description = Shop::describe();
    assert_eq!(description.name, "ShopSkill");
    assert_eq!(description.summary, "Sells things.\n\nTo anyone.");
    let names: Vec<&str> = description.methods.iter().map(|method| method.name.as_str()).collect();
    assert_eq!(names, ["checkout", "read", "nothing"]);
    let checkout = &description.methods[0];
    assert_eq!(checkout.summary, "Adds up what was bought.");
    assert_eq!(checkout.result_schema, "", "`Receipt` has no schema");
    let schema: Value = serde_json::from_str(&checkout.params_schema).unwrap();
    assert_eq!(schema["required"], json!(["items"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["properties"]["items"]["description"], "What was bought.");
    assert_eq!(
        schema["properties"]["items"]["items"],
        json!({ "$ref": "#/$defs/Item" })
    );
    assert_eq!(
        schema["$defs"]["Item"]["properties"]["name"]["description"],
        "What it is."
    );
    assert_eq!(schema["properties"]["tip"]["default"], json!(0.0));
    let result: Value = serde_json::from_str(&description.methods[1].result_schema).unwrap();
    assert_eq!(result["type"], "string");
}

#[test]
fn calls_are_typed_both_ways() {
    let items = json!([{ "name": "tea", "price": 2.5 }, { "name": "cup", "price": 4 }]);
    let paid = call::<Shop>("checkout", json!({ "items": items, "tip": 1.5, "coupon": "half" }));
    assert_eq!(paid, Ok(json!({ "total": "4.00 EUR" })));
    assert_eq!(
        call::<Shop>("checkout", json!({ "items": [], "coupon": null })),
        Ok(json!({ "total": "0.00 EUR" }))
    );
    assert_eq!(call::<Shop>("nothing", json!({})), Ok(Value::Null));
}

#[test]
fn every_refusal_says_what_is_wrong() {
    let refused = |params| call::<Shop>("checkout", params).unwrap_err().to_string();
    assert_eq!(refused(json!({})), "parameter `items` is missing");
    assert_eq!(
        refused(json!({ "item": [] })),
        "unknown parameter `item`; known: items, tip, coupon"
    );
    assert_eq!(
        refused(json!({ "items": 3 })),
        "parameter `items`: expected a sequence, got integer `3`"
    );
    assert_eq!(
        refused(json!({ "items": [{ "name": "tea" }] })),
        "parameter `items`: missing field `price`"
    );
    assert_eq!(
        refused(json!({ "items": [], "tip": "x" })),
        "parameter `tip`: expected a number, got string \"x\""
    );
    assert_eq!(
        call::<Shop>("buy", json!({})),
        Err(Error::UnknownMethod("buy".to_owned()))
    );
    assert_eq!(
        call::<Shop>("never_there", json!({})),
        Err(Error::UnknownMethod("never_there".to_owned()))
    );
    assert_eq!(
        call::<Shop>("nothing", json!({ "x": 1 })).unwrap_err().to_string(),
        "unknown parameter `x`; this method takes none"
    );
}

#[test]
fn errors_of_the_work_are_mapped() {
    let gone = call::<Shop>("checkout", json!({ "items": [{ "name": "unicorn", "price": 1 }] }));
    assert_eq!(gone, Err(Error::NotFound("`unicorn` is sold out".to_owned())));
    assert_eq!(
        call::<Shop>("read", json!({ "type": "gone" })),
        Err(Error::NotFound("gone".to_owned()))
    );
}

#[test]
fn the_cache_carries_types_and_is_denied_unless_granted() {
    assert!(matches!(cache::get::<u32>("n"), Err(Error::Denied(refusal)) if refusal.capability == "cache"));
    let host = Host::new().cache().install();
    assert_eq!(cache::get::<u32>("n"), Ok(None));
    cache::set("n", &7_u32, Some(std::time::Duration::from_millis(1500))).unwrap();
    assert_eq!(cache::get("n"), Ok(Some(7_u32)));
    assert_eq!(
        cache::remaining("n"),
        Ok(Some(std::time::Duration::from_secs(2))),
        "parts of a second count"
    );
    assert_eq!(host.cached("n"), Some(b"7".to_vec()));
    assert!(matches!(cache::get::<String>("n"), Err(Error::Failed(_))));
    assert_eq!(cache::delete("n"), Ok(true));
    assert_eq!(cache::delete("n"), Ok(false));
}

#[test]
fn tasks_are_submitted_and_awaited() {
    let host = Host::new()
        .task("EchoSkill.say", |params| match params["text"].as_str() {
            Some(text) => Ok(json!(text)),
            None => Err(Error::invalid_params("no text")),
        })
        .install();
    let requests = [json!({ "text": "a" }), json!({})]
        .iter()
        .map(|params| hive::Request::new("EchoSkill", "say", params))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let ids = hive::submit(requests).unwrap();
    let outcomes = hive::await_tasks(&ids, std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(outcomes[0].value::<String>(), Ok("a".to_owned()));
    assert_eq!(outcomes[1].value::<String>(), Err(Error::Failed("no text".to_owned())));
    assert_eq!(host.tasks().len(), 2);
    let other = hive::Request::new("ShellSkill", "run", &json!({})).unwrap();
    assert!(matches!(hive::submit(vec![other]), Err(Error::Denied(refusal)) if refusal.target == "ShellSkill.run"));
    assert!(matches!(hive::status("task-9"), Err(Error::NotFound(_))));
}

#[test]
fn logs_progress_and_settings_reach_the_host() {
    let host = Host::new().config("greeting", "hello").install();
    log::warn!(path = "/work/a", size = 3; "skipped {}", "it");
    log::debug!("plain");
    progress::emit(&json!({ "n": 1 })).unwrap();
    progress::report(1, 2, "half");
    let logs = host.logs();
    assert_eq!(
        (logs[0].level, logs[0].message.as_str()),
        (log::Level::Warn, "skipped it")
    );
    assert_eq!(
        logs[0].fields,
        [
            ("path".to_owned(), "/work/a".to_owned()),
            ("size".to_owned(), "3".to_owned())
        ]
    );
    assert_eq!(logs[1].level, log::Level::Debug);
    assert_eq!(host.partials(), [json!({ "n": 1 })]);
    assert_eq!(host.reports()[0].note, "half");
    assert_eq!(settings::config("greeting"), Ok(Some("hello".to_owned())));
    assert!(matches!(settings::config("other"), Err(Error::Denied(_))));
    assert!(matches!(settings::secret("token"), Err(Error::Denied(_))));
    assert!(!progress::cancelled());
    assert_eq!(progress::task().attempt, 1);
}
