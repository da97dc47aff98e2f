//! The first sink: OTLP logs over HTTP.

pub(super) mod encode;
mod headers;
pub(super) mod sender;
