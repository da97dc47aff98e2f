//! What people put where the workspace key belongs, in its file and in the environment.

use crate::support::{Site, check};

#[test]
fn what_is_wrong_with_a_workspace_key_is_said_without_it() {
    let site = Site::new();
    let file = site.path("secrets/seam_api_key");
    let secret = "2bMS94SrGUXuNR2JmJkjtvBQDg5c";
    let config = std::fs::read_to_string(site.path("grantgate.toml")).unwrap();
    for (text, part) in [
        (format!("SEAM_API_KEY=seam_{secret}"), "a line of an environment file"),
        (format!("seam_at{secret}"), "`personal_access_token_file`"),
        (format!("seam_cst1{secret}"), "a client session token"),
        (format!("'seam_{secret}'"), "quotes around the key"),
        (format!("c2VhbV9{secret}"), "the base64 of a key"),
        (format!("seam_{secret}\nseam_other"), "several lines"),
    ] {
        std::fs::write(&file, format!("{text}\n")).unwrap();
        let from_file = check(&site, &[]);
        std::fs::write(
            site.path("grantgate.toml"),
            config.replace("api_key_file = \"secrets/seam_api_key\"", ""),
        )
        .unwrap();
        let from_environment = check(&site, &[("SEAM_API_KEY", &text)]);
        std::fs::write(site.path("grantgate.toml"), &config).unwrap();
        for ((code, said), origin) in [
            (from_file, "secrets/seam_api_key: holds "),
            (from_environment, "environment variable SEAM_API_KEY: holds "),
        ] {
            assert_eq!(code, Some(3), "{said}");
            assert!(said.contains(origin) && said.contains(part), "{said}");
            assert!(!said.contains(secret), "{said}");
        }
    }
}
