//! grantgate
fn main() {}
