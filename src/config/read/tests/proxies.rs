//! Proxies that are believed about where connections and requests come from.

use super::matching::{refused, warned, with};

#[test]
fn proxies_are_listed_as_networks_or_not_at_all() {
    for key in ["proxy_protocol_from", "forwarded_from"] {
        let line = |network: &str| format!("{key} = [\"10.0.0.0/8\", \"{network}\"]");
        for (network, part) in [
            ("10.1.0.1/16", "`10.1.0.1/16` has bits after its length: write `10.1.0.0/16`"),
            ("10.0.0.1", "`10.0.0.1` has no length: write `10.0.0.1/32`"),
            ("proxy.internal", "`proxy.internal` is not a network such as"),
            ("10.0.0.0/8", "`10.0.0.0/8` is in the list twice"),
        ] {
            let problem = refused(&[("listener", &line(network))], &[]);
            assert!(
                problem.starts_with("/etc/gg/g.toml:3:") && problem.contains(part),
                "{problem}"
            );
        }
        let everyone = warned(&[("listener", &line("0.0.0.0/0"))], &[]);
        assert!(everyone.contains("believes every client about where it comes from"), "{everyone}");
        let found = with(&[("listener", &line("fd00::/8"))], &[]).unwrap();
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    }
    let unused = warned(&[("listener", "forwarded_header = \"forwarded\"")], &[]);
    assert!(unused.contains("does nothing: `listener.forwarded_from` is empty"), "{unused}");
    let unknown = refused(&[("listener", "forwarded_header = \"x-real-ip\"")], &[]);
    assert!(unknown.contains("must be one of `x-forwarded-for`, `forwarded`"), "{unknown}");
}
