//! Drafts of rules that are pasted: long ones, and those that would take long.

use super::{LOCAL, local};
use crate::seam::{Behaviour, Seam};
use crate::support::{Gateway, Site};

/// The page that compares these rules.
async fn compared(gateway: &Gateway, draft: &str) -> (u16, String) {
    let form: String = form_urlencoded::byte_serialize(draft.as_bytes()).collect();
    let sent = format!("origin: http://localhost\nsec-fetch-site: same-origin\n\nrules={form}");
    local(gateway, "POST /console/diff", "localhost", &sent).await
}

/// The rules in force, and so many different conditions.
fn with_conditions(rules: &str, conditions: usize) -> String {
    let rule = |n| {
        let (hour, minute) = (n / 60, n % 60);
        format!("p, role:facilities, *, grant, allow, hours UTC {hour:02}:{minute:02}-23:59\n")
    };
    let added: String = (0..conditions).map(rule).collect();
    format!("{rules}{added}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_draft_is_kept_without_being_shown() {
    let site = Site::new();
    let gateway = site.start(&Seam::start(&site, Behaviour::confirm()).await, &[LOCAL]).await;
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let (shown, kept) = ("<textarea name=", "type=\"hidden\" name=");
    for (lines, field) in [(10, shown), (200_000, kept), (380_000, kept)] {
        let draft = rules.clone() + "# nothing\n".repeat(lines).as_str();
        let (status, said) = compared(&gateway, &draft).await;
        assert!(status == 200 && said.contains("No service gains or loses a door."), "{status}");
        assert_eq!(said.matches("name=\"rules\"").count(), 1);
        assert_eq!(said.matches(field).count(), 1);
    }
    gateway.stop().await;
}

/// Whoever compares too much is told so in time, and nobody after that waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_of_very_many_conditions_is_left_to_the_command_line() {
    let site = Site::new();
    let gateway = site.start(&Seam::start(&site, Behaviour::confirm()).await, &[LOCAL]).await;
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let (status, said) = compared(&gateway, &with_conditions(&rules, 1_001)).await;
    assert!(status == 422 && said.contains("1001 different conditions"), "{status}: {said}");
    // Each of these takes minutes, and there are two places.
    let long = with_conditions(&rules, 1_000);
    let (first, second) = tokio::join!(compared(&gateway, &long), compared(&gateway, &long));
    for (status, said) in [first, second] {
        assert!(status == 503 && said.contains("longer than 5 seconds"), "{status}: {said}");
    }
    let (status, said) = compared(&gateway, &with_conditions(&rules, 20)).await;
    assert!(
        status == 200 && said.contains("No service gains or loses a door."),
        "{status}: {said}"
    );
    gateway.stop().await;
}
