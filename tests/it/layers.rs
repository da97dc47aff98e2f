//! The module table of `docs/ARCHITECTURE.md`, held by reading the sources: which
//! module may import which, and which crate is confined to which modules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod picture;

use grantgate::audit::Event;

/// Module, its layer, and what it may import of its own layer or above.
const LAYERS: &[(&str, u8, &[&str])] = &[
    ("domain", 0, &[]),
    ("json", 0, &[]),
    ("files", 1, &[]),
    ("toml_source", 1, &[]),
    ("tls", 1, &[]),
    ("pki", 1, &[]),
    ("catalogue", 1, &[]),
    ("note", 1, &[]),
    ("seam", 1, &[]),
    ("telemetry", 1, &[]),
    ("audit", 2, &[]),
    ("bundle", 2, &[]),
    ("database", 3, &[]),
    ("authn", 2, &[]),
    ("policy", 3, &[]),
    ("listener", 2, &[]),
    ("upstream", 4, &[]),
    ("orders", 4, &[]),
    ("view", 4, &[]),
    ("inquiry", 4, &[]),
    ("config", 5, &[]),
    ("snapshot", 6, &[]),
    ("shipping", 6, &[]),
    ("issuers", 6, &[]),
    ("resolver", 7, &[]),
    ("fleet", 7, &[]),
    ("gateway", 8, &[]),
    ("console", 9, &[]),
    ("server", 10, &[]),
    ("sandbox", 10, &[]),
    ("cli", 11, &[]),
];

/// Modules that must not import these although their layer would allow it.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("authn", &["audit", "catalogue", "seam", "telemetry", "tls", "pki"]),
    (
        "policy",
        &["audit", "catalogue", "seam", "telemetry", "tls", "pki", "listener", "toml_source"],
    ),
    ("database", &["authn", "catalogue", "seam", "telemetry", "listener", "toml_source", "pki"]),
    ("bundle", &["catalogue", "files", "seam", "telemetry", "tls", "pki", "toml_source", "json"]),
    (
        "fleet",
        &[
            "audit",
            "authn",
            "catalogue",
            "listener",
            "note",
            "pki",
            "policy",
            "seam",
            "shipping",
            "tls",
            "toml_source",
            "upstream",
            "view",
        ],
    ),
    ("listener", &["audit", "authn", "catalogue", "seam", "toml_source", "pki", "tls"]),
    ("upstream", &["authn", "catalogue", "telemetry", "listener", "toml_source", "pki"]),
    ("view", &["authn", "files", "toml_source", "tls", "pki", "seam", "telemetry", "listener"]),
    (
        "orders",
        &[
            "authn",
            "catalogue",
            "seam",
            "tls",
            "pki",
            "listener",
            "toml_source",
            "upstream",
            "view",
        ],
    ),
    ("config", &["audit", "authn", "catalogue", "policy", "seam", "tls", "pki"]),
    (
        "shipping",
        &["authn", "catalogue", "policy", "listener", "seam", "upstream", "toml_source", "pki"],
    ),
    (
        "resolver",
        &["authn", "catalogue", "files", "policy", "listener", "seam", "toml_source", "pki", "tls"],
    ),
    (
        "issuers",
        &["audit", "catalogue", "policy", "listener", "seam", "upstream", "toml_source", "pki"],
    ),
    (
        "inquiry",
        &["audit", "database", "seam", "tls", "pki", "telemetry", "listener", "toml_source"],
    ),
    // A name decides nothing.
    ("gateway", &["catalogue"]),
    ("console", &["pki", "seam", "tls", "toml_source", "upstream"]),
    ("sandbox", &["audit", "authn", "policy", "gateway", "upstream", "snapshot", "config"]),
];

/// Crate and the modules that may name it.
const CONFINED: &[(&str, &[&str])] = &[
    ("casbin", &["policy"]),
    ("quick_junit", &["cli"]),
    ("anstream", &["cli"]),
    ("anstyle", &["cli"]),
    ("foldhash", &["policy"]),
    ("maud", &["console"]),
    ("form_urlencoded", &["console"]),
    ("csv", &["catalogue", "console", "cli"]),
    ("strsim", &["catalogue", "cli"]),
    ("reqwest", &["upstream", "config", "server", "shipping", "issuers", "cli"]),
    ("opentelemetry", &["telemetry", "server"]),
    ("opentelemetry_sdk", &["telemetry", "server", "shipping"]),
    ("opentelemetry_http", &["server"]),
    ("opentelemetry_otlp", &["server"]),
    ("opentelemetry_proto", &["shipping"]),
    ("prost", &["shipping"]),
    ("prometheus", &["telemetry", "server"]),
    ("toml_edit", &["toml_source", "authn"]),
    ("rcgen", &["pki"]),
    ("rustls", &["tls", "listener", "snapshot", "upstream"]),
    ("x509_parser", &["tls"]),
    ("inotify", &["snapshot"]),
    ("ipnet", &["domain"]),
    ("futures_core", &["database", "snapshot"]),
    ("tokio_postgres", &["database"]),
    ("tokio_postgres_rustls", &["database"]),
    ("refinery", &["database"]),
    ("governor", &["gateway"]),
    ("listenfd", &["server"]),
    ("sd_notify", &["server"]),
    ("tokio_rustls", &["listener", "upstream"]),
    ("hyper", &["listener", "console", "server", "sandbox", "upstream"]),
    ("hyper_util", &["listener", "upstream"]),
    ("tower", &["listener", "server", "sandbox", "upstream"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("rustix", &["audit", "cli", "console", "files", "server"]),
    ("webpki", &["authn", "tls"]),
    ("tracing_subscriber", &["telemetry"]),
    (
        "serde_json",
        &["json", "seam", "audit", "orders", "upstream", "console", "server", "sandbox", "cli"],
    ),
    ("arc_swap", &["authn", "fleet", "gateway", "orders", "resolver", "snapshot", "server"]),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The code of each module, without comments, doc tests and unit tests.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut code: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let module = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        if matches!(module, "lib.rs" | "main.rs") || is_test(inside.to_str().unwrap()) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let joined: String = lines.flat_map(|line| [line, "\n"]).collect();
        code.entry(module.to_owned()).or_default().push_str(&joined);
    }
    code
}

/// Whether `code` names `path` as the start of a path.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn imports_point_down_only() {
    let modules = modules();
    let known: BTreeSet<&str> = LAYERS.iter().map(|(name, ..)| *name).collect();
    let found: BTreeSet<&str> = modules.keys().map(String::as_str).collect();
    assert_eq!(found, known, "every module has a layer");
    for (name, layer, also) in LAYERS {
        let code = &modules[*name];
        let forbidden = FORBIDDEN.iter().find(|(n, _)| n == name).map_or(&[][..], |(_, f)| f);
        for (other, other_layer, _) in LAYERS.iter().filter(|(other, ..)| other != name) {
            let allowed =
                (other_layer < layer || also.contains(other)) && !forbidden.contains(other);
            let imports = names(code, &format!("crate::{other}"));
            assert!(allowed || !imports, "`{name}` may not import `{other}`");
        }
    }
}

#[test]
fn crates_stay_in_their_modules() {
    let modules = modules();
    for (name, allowed) in CONFINED {
        for (module, code) in &modules {
            let used = names(code, &format!("{name}::"));
            assert!(!used || allowed.contains(&module.as_str()), "`{module}` may not use `{name}`");
        }
        for module in *allowed {
            let used = names(&modules[*module], &format!("{name}::"));
            assert!(used, "`{module}` does not use `{name}`: take it off the list");
        }
    }
}

#[test]
fn files_are_touched_in_few_places() {
    let modules = modules();
    for (module, code) in &modules {
        let allowed = ["audit", "files", "snapshot", "cli"].contains(&module.as_str());
        assert!(allowed || !names(code, "std::fs"), "`{module}` may not touch files");
    }
}

/// The wings of `audit`, and which of them each may use.
const WINGS: &[(&str, &[&str])] = &[
    ("tree", &[]),
    ("record", &["tree"]),
    ("log", &["tree", "record"]),
    ("journal", &["tree", "record", "log"]),
    ("proof", &["tree", "record", "log"]),
    ("search", &["tree", "record", "log"]),
    ("follow", &["tree", "record", "log"]),
    ("upkeep", &["tree", "record", "log", "journal", "proof", "follow"]),
];

#[test]
fn the_wings_of_audit_have_a_direction() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit");
    let mut wings = BTreeSet::new();
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            wings.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(wings, WINGS.iter().map(|(wing, _)| (*wing).to_owned()).collect());
    for (wing, others) in WINGS {
        let code = code_of(&root.join(wing));
        for (at, _) in code.match_indices("crate::audit::") {
            let rest = &code[at + "crate::audit::".len()..];
            let used = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            assert!(used == *wing || others.contains(&used), "`audit/{wing}` may not use `{used}`");
        }
    }
}

/// Whether a file is compiled for tests only.
fn is_test(file: &str) -> bool {
    let tests = [
        "tests.rs",
        "faults.rs",
        "journal/crashes.rs",
        "journal/lags.rs",
        "journal/rings.rs",
        "rings/others.rs",
        "testing.rs",
        "journal/checkpoints.rs",
        "store/conformance.rs",
        "conformance/places.rs",
    ];
    // Of the path inside of the sources: above them there may be a folder of that name.
    let inside = file.rsplit_once("/src/").map_or(file, |(_, inside)| inside);
    inside.contains("/tests/") || tests.iter().any(|end| inside.ends_with(end))
}

/// The code below a folder, without comments and tests.
fn code_of(folder: &Path) -> String {
    let mut files = Vec::new();
    sources(folder, &mut files);
    let code = files.iter().filter(|file| !is_test(file.to_str().unwrap()));
    let code = code.map(|file| std::fs::read_to_string(file).unwrap());
    let lines = code.flat_map(|text| {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
        code.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines.filter(|line| !line.trim_start().starts_with("//")).map(|line| line + "\n").collect()
}

/// Outside of `record` nothing of `audit` knows a field of a record by its name, and nothing
/// in the program an event by its code.
#[test]
fn records_are_read_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    let (mut readers, mut namers) = (BTreeSet::new(), BTreeSet::new());
    for file in all {
        let inside = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if inside.starts_with("audit/record/") || is_test(&inside) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if inside.starts_with("audit/") && names(code, "serde") {
            readers.insert(inside.clone());
        }
        // Comments may name them.
        let coded = |code: &&str| !code.trim_start().starts_with("//");
        let code: String = code.lines().filter(coded).collect();
        if Event::CODES.iter().any(|event| code.contains(&format!("\"{event}"))) {
            namers.insert(inside);
        }
    }
    assert_eq!(readers, BTreeSet::from(["audit/proof/pruned.rs".to_owned()]), "a file of its own");
    assert!(namers.is_empty(), "use `Event`: {namers:?}");
}

/// Where `audit` opens files itself, and why.
const OPENERS: &[(&str, &str)] = &[
    ("log/directory.rs", "reads the log for all others"),
    ("log/wal.rs", "reads the write-ahead log"),
    ("journal/recovery.rs", "writes the newest segment again"),
    ("proof/pruned.rs", "a file beside the segments"),
    ("follow/position.rs", "a file beside the segments"),
    ("search/query/index.rs", "a file beside the segments"),
    ("upkeep/retain.rs", "compresses bytes, whatever they are"),
    ("upkeep/archive.rs", "the same, to another place"),
];

/// Whoever reads records takes a `LogReader` and its cursors: they alone know which files
/// there are, and which lines are torn.
#[test]
fn segments_are_listed_and_opened_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit");
    let mut all = Vec::new();
    sources(&root, &mut all);
    let (mut openers, mut listers) = (BTreeSet::new(), BTreeSet::new());
    for file in all {
        let inside = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if is_test(&inside) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if code.contains("read_dir(") {
            listers.insert(inside.clone());
        }
        if ["File::open(", "fs::read(", "fs::read_to_string("].iter().any(|w| code.contains(w)) {
            openers.insert(inside);
        }
    }
    assert_eq!(listers, BTreeSet::from(["log/directory.rs".to_owned()]));
    let known: BTreeSet<String> = OPENERS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(openers, known, "read through a `LogReader`, or say here why not");
}

/// Where files are written outside of `files`, and why.
const WRITERS: &[(&str, &str)] = &[
    (
        "audit/search/query/index.rs",
        "makes what can be thrown away, and other readers make at the same time",
    ),
    ("audit/log/scratch.rs", "makes what is thrown away"),
    ("audit/journal/recovery.rs", "keeps a torn tail"),
    ("audit/upkeep/retain.rs", "opens its lock"),
    ("audit/journal/store/file.rs", "opens the lock of a log"),
    ("audit/journal/store/segment.rs", "appends to segments"),
];

/// A file that is replaced, made or written is so by `files`, which knows of links, pipes,
/// devices and mount points.
#[test]
fn files_are_written_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    let words = [
        "OpenOptions",
        "fs::write",
        "File::create",
        "fs::rename",
        ".persist(",
        "fs::copy",
        "hard_link",
    ];
    let mut writers = BTreeSet::new();
    for file in all {
        let inside = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let writes = words.iter().any(|word| code.contains(word));
        if writes && !is_test(&inside) && !inside.starts_with("files/") {
            writers.insert(inside);
        }
    }
    let known: BTreeSet<String> = WRITERS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(writers, known, "write through `files`, or say here why not");
}
