//! What `/metrics` says, and when it says it.

use std::time::Duration;

use super::Gateway;

/// The value of a series; none where there is no such series.
pub async fn sample(gateway: &Gateway, name: &str) -> Option<f64> {
    let (_, text) = gateway.admin("/metrics").await;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

/// The value of a series that there is.
pub async fn metric(gateway: &Gateway, name: &str) -> f64 {
    sample(gateway, name).await.unwrap_or_else(|| panic!("no {name}"))
}

/// Waits until a series is what it should be, for at most twenty seconds. What a client sees at its end
/// of a connection, the end of a handshake above all, is counted a moment before or after it.
pub async fn until_metric(gateway: &Gateway, name: &str, is: impl Fn(f64) -> bool) {
    let mut last = None;
    for _ in 0..1_000 {
        last = sample(gateway, name).await;
        if last.is_some_and(&is) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} is {last:?}");
}
