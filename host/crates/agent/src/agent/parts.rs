//! Sweeps that saw more than a nexus takes in one batch, in parts.

use serde_json::{Map, Value};

/// Most assets a nexus takes in one batch.
const MOST_ASSETS: usize = 4_096;

/// What only the whole sweep can say. That it ended and which ports it tried has the nexus conclude that what is not in it is gone; of a
/// part nobody may, and a last part that is empty would say it of everything.
const OF_THE_WHOLE: [&str; 2] = ["completed_at", "ports_scanned"];

/// The bodies to send for one sweep: itself, or parts of at most so many bytes, each a sweep that was broken off.
pub(super) fn of(discovery: &Value, most_bytes: usize) -> Vec<Value> {
    let whole = || vec![discovery.clone()];
    let (Some(fields), Some(assets)) = (discovery.as_object(), discovery.get("assets").and_then(Value::as_array))
    else {
        return whole();
    };
    if assets.len() <= MOST_ASSETS && length(discovery) <= most_bytes {
        return whole();
    }
    let mut frame = fields.clone();
    for key in OF_THE_WHOLE {
        frame.remove(key);
    }
    frame.insert("assets".to_owned(), Value::Array(Vec::new()));
    let room = most_bytes.saturating_sub(length(&frame));
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for asset in assets {
        // and its comma
        let more = length(asset).saturating_add(1);
        if !part.is_empty() && (part.len() >= MOST_ASSETS || bytes.saturating_add(more) > room) {
            parts.push(body(&frame, std::mem::take(&mut part)));
            bytes = 0;
        }
        bytes = bytes.saturating_add(more);
        part.push(asset.clone());
    }
    parts.push(body(&frame, part));
    parts
}

fn body(frame: &Map<String, Value>, assets: Vec<Value>) -> Value {
    let mut body = frame.clone();
    body.insert("assets".to_owned(), Value::Array(assets));
    Value::Object(body)
}

/// As it is sent; what cannot be written is found out when it is put.
fn length(json: &impl serde::Serialize) -> usize {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, json) {
        Ok(()) => count.0,
        Err(_) => 0,
    }
}

/// Counts what is written to it.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sweep(assets: usize, name: &str) -> Value {
        let asset = |n: usize| json!({"ip": format!("10.0.{}.{}", n / 256, n % 256), "hostname": name});
        json!({
            "target": "10.0.0.0/8", "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T01:00:00Z",
            "ports_scanned": [22], "network_fingerprint": {"fingerprint_hash": "n"},
            "assets": (0..assets).map(asset).collect::<Vec<_>>(),
        })
    }

    fn assets(parts: &[Value]) -> Vec<Value> {
        parts
            .iter()
            .flat_map(|part| part["assets"].as_array().unwrap().clone())
            .collect()
    }

    #[test]
    fn what_a_nexus_takes_stays_whole() {
        for discovery in [sweep(0, "a"), sweep(MOST_ASSETS, "a"), json!({"target": "x"}), json!(1)] {
            assert_eq!(of(&discovery, 8 << 20), [discovery]);
        }
    }

    #[test]
    fn parts_hold_everything_once_and_say_nothing_of_the_whole() {
        let discovery = sweep(2 * MOST_ASSETS + 1, "a");
        let parts = of(&discovery, 8 << 20);
        assert_eq!(parts.len(), 3);
        assert_eq!(assets(&parts), discovery["assets"].as_array().unwrap().clone());
        for part in &parts {
            assert!(part.get("completed_at").is_none() && part.get("ports_scanned").is_none());
            assert_eq!(
                (&part["target"], &part["network_fingerprint"], &part["started_at"]),
                (
                    &discovery["target"],
                    &discovery["network_fingerprint"],
                    &discovery["started_at"]
                )
            );
        }
    }

    #[test]
    fn parts_are_small_enough() {
        let discovery = sweep(200, &"x".repeat(1_000));
        let parts = of(&discovery, 20_000);
        assert!(parts.len() > 10, "{}", parts.len());
        assert!(parts.iter().all(|part| part.to_string().len() <= 20_000));
        assert_eq!(assets(&parts), discovery["assets"].as_array().unwrap().clone());
        // one that is too large alone is left to the outbox
        let parts = of(&sweep(2, &"x".repeat(30_000)), 20_000);
        assert_eq!(parts.len(), 2);
    }
}
