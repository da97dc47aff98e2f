//! Which trace a request belongs to: W3C Trace Context, level 1.

use std::fmt;

/// What a `traceparent` header says (section 3.2). Ids are never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: u128,
    /// The caller's part of it.
    pub parent_id: u64,
    /// Whether the caller records its part.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a header's value. Of a later version, what this one defines (section
    /// 3.2.4). What is not valid is as if it were not there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = (text.get(..2)?, text.get(2..)?);
        let known = version == "00" && rest.len() == 53;
        let later = hex(version, 2)? != 0 && version != "ff";
        let ends = rest.get(53..).is_some_and(|more| more.is_empty() || more.starts_with('-'));
        if !(known || later && ends) {
            return None;
        }
        let field = |start: usize, length: usize| {
            let value = rest.get(start..)?.strip_prefix('-')?;
            hex(value.get(..length)?, length)
        };
        let trace_id = field(0, 32).filter(|id| *id != 0)?;
        let parent_id = field(33, 16).filter(|id| *id != 0)?;
        let sampled = field(50, 2)? & 1 == 1;
        Some(Self { trace_id, parent_id: u64::try_from(parent_id).ok()?, sampled })
    }
}

/// As many hexadecimal digits, in lower case.
fn hex(text: &str, length: usize) -> Option<u128> {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let valid = text.len() == length && text.bytes().all(digit);
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The header's value.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.parent_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_specifications_example_is_read_and_written() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.parent_id, 0x00f0_67aa_0ba9_02b7);
        assert!(context.sampled);
        assert_eq!(context.to_string(), EXAMPLE);
        let not_sampled = EXAMPLE.replace("-01", "-00");
        assert!(!TraceContext::parse(&not_sampled).unwrap().sampled);
        let more_flags = EXAMPLE.replace("-01", "-ff");
        assert_eq!(TraceContext::parse(&more_flags).unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn a_later_version_may_say_more_and_this_one_may_not() {
        let later = EXAMPLE.replacen("00", "cc", 1);
        assert!(TraceContext::parse(&later).is_some());
        assert!(TraceContext::parse(&format!("{later}-what-is-new")).is_some());
        for more in ["-what-is-new", ".", " "] {
            assert_eq!(TraceContext::parse(&format!("{EXAMPLE}{more}")), None);
        }
        assert_eq!(TraceContext::parse(&format!("{later}.")), None);
    }

    #[test]
    fn what_is_not_valid_is_not_there() {
        let without = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1);
        for text in [
            "",
            "00",
            "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &EXAMPLE.to_uppercase(),
            &without("00-", "ff-"),
            &without("00-", "0x-"),
            &without("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &without("00f067aa0ba902b7", &"0".repeat(16)),
            &without("00f067aa0ba902b7", "00f067aa0ba902b"),
            &without("00f067aa0ba902b7", "+0f067aa0ba902b7"),
            &without("-01", "-0g"),
            &without("-01", ""),
            &without("36-", "36_"),
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_not(text in "\\PC{0,60}") {
            if let Some(context) = TraceContext::parse(&text) {
                assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
            }
        }
    }
}
