//! Where the next page of a list begins, as text for whoever asks page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::FleetError;

/// On a page when nobody says.
const USUAL: u32 = 1_000;
/// On a page at most.
const MOST: u32 = 5_000;

/// How many are on a page of `asked`. Read one more: it says whether there is a next page.
pub(crate) fn size(asked: Option<u32>) -> usize {
    asked.unwrap_or(USUAL).clamp(1, MOST) as usize
}

/// The cursor after an item: `after` is what the list is sorted by.
pub(crate) fn encode(after: &impl Serialize) -> Result<String, FleetError> {
    let json = serde_json::to_vec(after).map_err(|error| FleetError::Corrupt(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// What [`encode`] was given.
pub(crate) fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T, FleetError> {
    let wrong = || FleetError::Invalid("`cursor` is none of this list; begin without one".to_owned());
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    serde_json::from_slice(&json).map_err(|_| wrong())
}

/// Cuts what was read to the page of `size`, and says where the next one begins when there is more. `key` is what the list is
/// sorted by.
pub(crate) fn cut<T, K: Serialize>(
    items: &mut Vec<T>,
    size: usize,
    key: impl Fn(&T) -> K,
) -> Result<Option<String>, FleetError> {
    if items.len() <= size {
        return Ok(None);
    }
    items.truncate(size);
    items.last().map(|last| encode(&key(last))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_begins() {
        let mut items = vec![1, 2, 3];
        let cursor = cut(&mut items, 2, |item| *item).unwrap().unwrap();
        assert_eq!((items, decode::<i64>(&cursor).unwrap()), (vec![1, 2], 2));
        assert_eq!(cut(&mut vec![1, 2], 2, |item| *item).unwrap(), None);
        assert!(decode::<i64>("?").is_err() && decode::<i64>(&encode(&"x").unwrap()).is_err());
        assert_eq!((size(None), size(Some(0)), size(Some(u32::MAX))), (1_000, 1, 5_000));
    }
}
