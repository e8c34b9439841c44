//! Query parameters, each known by name; an unknown one is told, not ignored.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Parameters of one request.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query that may have these parameters. `access_token` is the door's and is let pass.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == "access_token" {
                continue;
            }
            if !known.contains(&name) {
                let known = known.join(", ");
                return Err(Problem::bad_request(format!(
                    "unknown query parameter `{name}`, known: {known}"
                )));
            }
            pairs.push((name.to_owned(), decoded(value)?));
        }
        Ok(Self { pairs })
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A text, to keep.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A value as JSON has it in quotes: one of a few words, a time. `known` says which there are.
    pub(super) fn word<T: DeserializeOwned>(&self, name: &str, known: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        T::deserialize(serde_json::Value::from(text))
            .map(Some)
            .map_err(|_| Problem::bad_request(format!("{name} is `{text}`, give {known}")))
    }

    /// As [`Query::number`], as the fleet counts.
    pub(super) fn count(&self, name: &str, most: usize) -> Result<Option<u32>, Problem> {
        let count = self.number(name, most)?;
        Ok(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// Seconds, at most so many.
    pub(super) fn seconds(&self, name: &str, most: Duration) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let given = text
            .parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match given {
            Some(given) => Ok(Some(given.min(most))),
            None => Err(Problem::bad_request(format!("{name} is `{text}`, give seconds"))),
        }
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "" | "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            other => Err(Problem::bad_request(format!("{name} is `{other}`, give true or false"))),
        }
    }

    /// A count of at least 1, at most so many.
    pub(super) fn number(&self, name: &str, most: usize) -> Result<Option<usize>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let given = text.parse().ok().filter(|count| (1..=most).contains(count));
        given
            .map(Some)
            .ok_or_else(|| Problem::bad_request(format!("{name} is `{text}`, give 1 to {most}")))
    }
}

fn decoded(value: &str) -> Result<String, Problem> {
    let wrong = || Problem::bad_request("a query parameter is no percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair =
                    [rest.next(), rest.next()].map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
                let [Some(high), Some(low)] = pair else {
                    return Err(wrong());
                };
                u8::try_from(high * 16 + low).map_err(|_| wrong())?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_unknown_ones_told() {
        let query = Query::parse(
            Some("wait=1.5&limit=7&name=a%20b%C3%A4+c&access_token=x"),
            &["wait", "limit", "name"],
        )
        .unwrap();
        assert_eq!(
            query.seconds("wait", Duration::from_secs(9)).unwrap(),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(
            query.seconds("wait", Duration::from_secs(1)).unwrap(),
            Some(Duration::from_secs(1))
        );
        assert_eq!(query.number("limit", 10).unwrap(), Some(7));
        assert_eq!(query.text("name"), Some("a bä c"));
        assert!(
            Query::parse(Some("wiat=1"), &["wait"])
                .unwrap_err()
                .detail()
                .contains("known: wait")
        );
        for wrong in ["wait=-1", "wait=soon", "wait=NaN", "wait=%zz"] {
            let parsed = Query::parse(Some(wrong), &["wait"]).and_then(|query| query.seconds("wait", Duration::MAX));
            assert!(parsed.is_err(), "{wrong}");
        }
        let query = Query::parse(Some("limit=0"), &["limit"]).unwrap();
        assert!(query.number("limit", 10).is_err());
    }
}
