//! Why something failed, out of a chain of errors.

use std::error::Error;

/// The innermost error of a chain, which says most: a certificate, a name, a refused
/// connection. Those around it only say on whose behalf it was met.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
