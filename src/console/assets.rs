//! The style, the script and the picture of the pages: in the binary, as they are in the sources.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::page::Page;
use super::reply::Reply;

const STYLE: &[u8] = include_bytes!("assets/console.css");
const ICON: &[u8] = include_bytes!("assets/icon.svg");
const SCRIPT: &[u8] = include_bytes!("assets/console.js");

/// A part of the digest of all: a page asks for those that it was made with.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(STYLE);
    context.update(SCRIPT);
    context.update(ICON);
    let digest = context.finish();
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

/// One of them.
pub(super) fn get(name: &str, head: &Parts) -> Reply {
    if head.method != Method::GET && head.method != Method::HEAD {
        let text = "Files are read with GET.";
        return Page::refusal(StatusCode::METHOD_NOT_ALLOWED, text);
    }
    let (kind, bytes) = match name {
        "console.css" => ("text/css; charset=utf-8", STYLE),
        "icon.svg" => ("image/svg+xml", ICON),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return Page::refusal(StatusCode::NOT_FOUND, "There is no such file."),
    };
    let tag = HeaderValue::from_str(&format!("\"{}\"", *VERSION)).ok();
    let is_known = tag.is_some() && head.headers.get(IF_NONE_MATCH) == tag.as_ref();
    let reply = match is_known {
        true => Reply::new(StatusCode::NOT_MODIFIED, kind, ""),
        false => Reply::new(StatusCode::OK, kind, bytes),
    };
    // The address has the version.
    let reply = reply.with(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    match tag {
        Some(tag) => reply.with(ETAG, tag),
        None => reply,
    }
}
