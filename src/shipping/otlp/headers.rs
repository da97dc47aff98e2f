//! The file of `audit.export.headers_file`: one `name: value` a line, `#` for comments.

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::Problem;

/// Set by the sender, or of the connection (RFC 9110, section 7.6.1) and so not for a file.
static OWN: [HeaderName; 11] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The headers in a file's text.
///
/// # Errors
/// A problem for each line that is none; values are in no message.
pub(super) fn headers_from(file: &str, text: &[u8]) -> Result<HeaderMap, Vec<Problem>> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(vec![Problem::of_file(file, "is not UTF-8")]);
    };
    let mut headers = HeaderMap::new();
    let mut problems = Vec::new();
    for (line, number) in text.lines().zip(1_u32..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(text) = add(&mut headers, line) {
            let file = file.to_owned();
            problems.push(Problem { file, line: Some(number), column: None, text });
        }
    }
    if problems.is_empty() { Ok(headers) } else { Err(problems) }
}

fn add(headers: &mut HeaderMap, line: &str) -> Result<(), String> {
    let (name, value) = line.split_once(':').ok_or("is no `name: value`")?;
    let name = HeaderName::from_bytes(name.trim_end().as_bytes())
        .map_err(|_| "what stands before the colon is no name of a header")?;
    if OWN.contains(&name) {
        return Err(format!("`{name}` is set by the gateway: take it out"));
    }
    let mut value = HeaderValue::from_str(value.trim())
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("the value of `{name}` must be visible ASCII characters"))?;
    value.set_sensitive(true);
    match headers.insert(name.clone(), value) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` stands here twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_header() {
        let text = "# of the collector\n\nAuthorization: Bearer a:b c\r\nx-tenant :doors\n";
        let headers = headers_from("h", text.as_bytes()).unwrap();
        assert_eq!(headers["authorization"], "Bearer a:b c");
        assert_eq!(headers["x-tenant"], "doors");
        assert!(headers.values().all(HeaderValue::is_sensitive) && headers.len() == 2);
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_no_value_is() {
        let text =
            "secret-1\nx y: secret-2\nHost: secret-3\na: secret\u{7f}\nb:\nc: 1\nC: secret-4";
        let found = headers_from("h", text.as_bytes()).unwrap_err();
        let shown: Vec<String> = found.iter().map(Problem::to_string).collect();
        assert!(shown.iter().all(|text| !text.contains("secret")), "{shown:#?}");
        let lines: Vec<_> = found.iter().filter_map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 7]);
        assert!(headers_from("h", &[0xff]).is_err());
        for name in ["Keep-Alive", "TE", "Expect", "upgrade", "trailer", "content-length"] {
            let found = headers_from("h", format!("{name}: 1").as_bytes()).unwrap_err();
            assert!(found[0].text.contains("take it out"), "{name}: {found:?}");
        }
    }
}
