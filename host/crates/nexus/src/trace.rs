//! W3C trace context: reads and writes `traceparent`. Records nothing; the ids go to logs and to the spore.

use std::fmt;

/// Trace id of the caller (or a new one) and a span id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// Goes on with the caller's trace when its header is valid, else starts a new one.
    pub(crate) fn continued(header: Option<&str>) -> Self {
        let span_id = rand::random_range(1..=u64::MAX);
        match header.and_then(Self::parse) {
            Some(parent) => Self { span_id, ..parent },
            None => Self {
                trace_id: rand::random_range(1..=u128::MAX),
                span_id,
                flags: 0,
            },
        }
    }

    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`; a later version may have more fields after those.
    fn parse(header: &str) -> Option<Self> {
        let mut fields = header.split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let more = fields.next().is_some();
        let version = hex(version, 2)?;
        if version == 0xff || (version == 0 && more) {
            return None;
        }
        let trace_id = hex(trace, 32).filter(|id| *id != 0)?;
        let span_id = hex(span, 16).filter(|id| *id != 0)?;
        Some(Self {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            flags: u8::try_from(hex(flags, 2)?).ok()?,
        })
    }
}

/// Lowercase hex of exactly `digits` digits, as the specification wants it.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let well_formed = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if well_formed {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn keeps_the_callers_trace_and_flags_with_a_span_of_its_own() {
        let text = TraceContext::continued(Some(EXAMPLE)).to_string();
        assert!(text.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{text}");
        assert!(text.ends_with("-01") && !text.contains("b7ad6b7169203331"), "{text}");
    }

    #[test]
    fn writes_what_it_reads() {
        assert_eq!(TraceContext::parse(EXAMPLE).unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
        assert!(TraceContext::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra").is_some());
    }
}
