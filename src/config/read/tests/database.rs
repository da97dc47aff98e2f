use super::*;

const URL: &str = "url = \"postgresql://gate@db.example/grantgate\"\n";

fn with(replica: &str, database: &str) -> String {
    format!("{MINIMAL}[replica]\n{replica}\n[database]\n{database}\n")
}

#[test]
fn a_database_needs_a_url_without_a_secret_and_a_name() {
    let text = with("name = \"north-1\"", &format!("{URL}password_file = \"p\"\n"));
    let settings = load(Path::new("/etc/gg/g.toml"), &text, &environment(&[])).unwrap();
    let database = settings.database.unwrap();
    assert_eq!(database.files.address.host(), "db.example");
    assert_eq!(database.files.password_file.as_deref(), Some(Path::new("/etc/gg/p")));
    assert_eq!(database.keep_confirmed, Duration::from_secs(7 * 86_400));
    assert_eq!(settings.replica.unwrap().name, "north-1");
    let alone = load(Path::new("/etc/gg/g.toml"), MINIMAL, &environment(&[])).unwrap();
    assert!(alone.database.is_none() && alone.replica.is_none());

    for (replica, database, said) in [
        ("", URL, "`[database]` needs `replica.name`"),
        ("name = \"\"", "", "must be 1 to 63 letters, digits, dots and hyphens"),
        ("name = \"a b\"", "", "must be 1 to 63 letters"),
        ("name = \"a+b\"", "", "must be 1 to 63 letters"),
        ("name = \"a\"", "password_file = \"p\"", "`database.password_file` needs `database.url`"),
        ("name = \"a\"", "keep_confirmed_days = 1", "needs `database.url`"),
        (
            "name = \"a\"",
            "url = \"postgresql://gate:hunter2@db/grantgate\"",
            "`database.url` may hold no password",
        ),
        ("name = \"a\"", "url = \"db.example\"", "`database.url` must be postgresql://"),
        ("name = \"a\"", &format!("{URL}sslmode = \"disable\""), "sslmode"),
    ] {
        let found = problems(&with(replica, database), &[]);
        assert!(found.iter().any(|problem| problem.contains(said)), "{said}: {found:?}");
        assert!(!found.concat().contains("hunter2"), "{found:?}");
    }
}

#[test]
fn a_file_for_the_command_line_has_the_same_keys_alone() {
    let file = Path::new("/etc/gg/reader.toml");
    let files = load_desk(file, &format!("{URL}ca_file = \"ca.pem\"\n")).unwrap();
    assert_eq!(files.files.ca_file.as_deref(), Some(Path::new("/etc/gg/ca.pem")));
    let found = |text: &str| load_desk(file, text).unwrap_err()[0].to_string();
    assert!(found("").contains("`url` is missing"), "{}", found(""));
    assert!(found(&format!("{URL}name = \"x\"\n")).contains("reader.toml:2:"));
}

#[test]
fn gateways_are_told_directly_by_tls_and_a_certificate_only() {
    let file = Path::new("/etc/gg/publisher.toml");
    let certificate = "certificate_file = \"c.pem\"\nprivate_key_file = \"k.pem\"\n";
    let load = |direct: &str| load_desk(file, &format!("{URL}[direct]\n{direct}"));
    let both = "gateways = [\"https://a.example:9443\", \"https://b.example:9443\"]\n";
    let direct = load(&format!("{both}{certificate}")).unwrap().direct.unwrap();
    let named: Vec<_> = direct.gateways.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["https://a.example:9443/", "https://b.example:9443/"]);
    assert_eq!(direct.private_key_file, Path::new("/etc/gg/k.pem"));
    assert!(load_desk(file, URL).unwrap().direct.is_none());
    for (text, said) in [
        (both.to_owned(), "`direct` needs `gateways`, `certificate_file`"),
        (certificate.to_owned(), "`direct` needs `gateways`"),
        (format!("gateways = []\n{certificate}"), "names no gateway"),
        (format!("gateways = [\"a.example:9443\"]\n{certificate}"), "must be a URL such as"),
        (format!("gateways = [\"http://a.example:9443\"]\n{certificate}"), "must be `https://host"),
        (format!("gateways = [\"https://a.example/orders\"]\n{certificate}"), "and nothing more"),
        (format!("{both}{certificate}ca = \"x\"\n"), "`direct.ca`"),
    ] {
        let problems = load(&text).unwrap_err();
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|problem| problem.contains(said)), "{said}: {found:?}");
    }
}
