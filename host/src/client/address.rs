//! Paths and queries of requests that are put together from what people typed.

use reqwest::Url;

use crate::failure::Failure;

/// An id as one part of a path: what cannot be an id is refused here and now.
pub(crate) fn path_part(id: &str) -> Result<&str, Failure> {
    let fits = !id.is_empty()
        && id.len() <= 128
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/?#%".contains(&byte))
        && !matches!(id, "." | "..");
    if fits {
        return Ok(id);
    }
    Err(Failure::usage(format!("`{id}` is no id")).help("the commands that list things show their ids"))
}

/// A path with a query; what is `None` is left out.
pub(crate) fn path_with(path: &str, query: &[(&str, Option<&str>)]) -> Result<String, Failure> {
    let said = query.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    let url = Url::parse_with_params(&format!("http://nexus{path}"), said)
        .map_err(|error| Failure::new(format!("`{path}` is no path")).because(error.to_string()))?;
    Ok(match url.query() {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_stays_one_value() {
        let query = [("site", Some("Süd & Nord?")), ("severity", None), ("limit", Some("5"))];
        assert_eq!(
            path_with("/api/data", &query).unwrap(),
            "/api/data?site=S%C3%BCd+%26+Nord%3F&limit=5"
        );
        assert_eq!(path_with("/api/data", &[("site", None)]).unwrap(), "/api/data");
        for bad in ["", "a/b", "..", "a b", "x?y", "%2e"] {
            assert!(path_part(bad).is_err(), "{bad}");
        }
        assert_eq!(path_part("6fa459ea").unwrap(), "6fa459ea");
    }
}
