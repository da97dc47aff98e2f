use super::*;
use crate::bundle::{Bundle, Digest, Entry, Needs};
use crate::note::SigningKey;

struct Author {
    key: SigningKey,
    settings: BundleSettings,
    _root: tempfile::TempDir,
}

impl Author {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let key = SigningKey::generate("alice").unwrap().0;
        let trust = Trust::new("doors".into(), vec![key.verifier().clone()], 1).unwrap();
        let directory = root.path().join("bundles");
        let settings =
            BundleSettings { trust, directory, seed_directory: None, isolation_max: None };
        Self { key, settings, _root: root }
    }

    fn make(&self, number: u64, rules: &str) -> (Signed, Contents) {
        let file = |name, text: &str| (name, text.as_bytes().to_vec());
        let contents: Contents = [
            file(FileName::Model, "model"),
            file(FileName::Rules, rules),
            file(FileName::Callers, "callers"),
        ]
        .into();
        let bundle = Bundle {
            name: "doors".into(),
            number,
            parent: (number > 1).then(|| Digest::of(b"")),
            needs: Needs::FIRST,
            made: "2026-11-28T09:00:00Z".parse().unwrap(),
            by: "alice".into(),
            why: "a test".into(),
            files: contents.iter().map(|(name, bytes)| Entry::of(*name, bytes)).collect(),
        };
        let note = self.key.sign(&bundle.to_string());
        (self.settings.trust.accept(&note).unwrap(), contents)
    }

    fn keep(&self, number: u64, rules: &str) {
        let (signed, contents) = self.make(number, rules);
        Bundles::keep_first(&self.settings, signed, contents).unwrap();
        // As when it has been loaded.
        let shelf = Shelf::new(self.settings.directory.clone());
        let whole = shelf::read(&self.path(&number.to_string()), &self.settings.trust).unwrap();
        shelf.point_to(&whole, &self.settings.trust).unwrap();
    }

    fn open(&self) -> Result<Bundles, String> {
        Bundles::open(&self.settings).map_err(|problem| problem.to_string())
    }

    fn number(&self) -> u64 {
        self.open().unwrap().wanted().offer().number
    }

    fn path(&self, name: &str) -> PathBuf {
        self.settings.directory.join(name)
    }
}

#[test]
fn what_is_kept_is_what_the_next_start_verifies_and_takes() {
    let author = Author::new();
    assert!(Bundles::is_first_start(&author.settings).unwrap());
    assert!(author.open().err().unwrap().contains("holds no bundle yet"));
    author.keep(7, "seven");
    assert!(!Bundles::is_first_start(&author.settings).unwrap());
    assert_eq!(author.number(), 7);
    let bundles = author.open().unwrap();
    let (signed, contents) = author.make(8, "eight");
    bundles.want(bundles.put(signed, contents).unwrap());
    assert_eq!(author.number(), 7, "it is not in force yet");
    bundles.keep(&bundles.wanted()).unwrap();
    assert_eq!(author.number(), 8);
    assert_eq!(std::fs::read_to_string(author.path("current/policy.csv")).unwrap(), "eight");
    for number in 9..20 {
        author.keep(number, "more");
    }
    let kept = std::fs::read_dir(&author.settings.directory).unwrap().count();
    assert_eq!(kept, 1 + 1 + 4, "the link, the one in force and four of before");
}

#[test]
fn a_copy_that_was_changed_is_refused() {
    let author = Author::new();
    author.keep(7, "seven");
    for (file, said) in [
        ("current/policy.csv", "`policy.csv` is not as it was signed"),
        ("current/callers.toml", "`callers.toml` is not as it was signed"),
        ("current/bundle", "is false"),
    ] {
        let path = author.path(file);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, before.replacen("e", "o", 1)).unwrap();
        let error = author.open().err().unwrap();
        assert!(error.contains(said), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(author.open().is_err());
        std::fs::write(&path, before).unwrap();
        assert_eq!(author.number(), 7);
    }
    // A file that nobody signed is not looked at, and an older one does not pass for it.
    author.keep(8, "eight");
    std::fs::write(author.path("current/candidate.csv"), "p, *").unwrap();
    assert_eq!(author.number(), 8);
    std::fs::remove_dir_all(author.path("8")).unwrap();
    std::fs::rename(author.path("7"), author.path("8")).unwrap();
    assert!(author.open().err().unwrap().contains("leads to bundle 7"));
    // Nor does another organisation's, nor one that too few signed.
    let other = Author::new();
    other.keep(9, "nine");
    std::fs::remove_dir_all(author.path("8")).unwrap();
    std::fs::rename(other.path("9"), author.path("8")).unwrap();
    assert!(author.open().is_err());
}

#[test]
fn the_one_to_begin_with_is_taken_where_it_is_newer() {
    let mut author = Author::new();
    let seed = tempfile::tempdir().unwrap();
    author.settings.seed_directory = Some(seed.path().join("seed"));
    let put = |number, rules| {
        let (signed, contents) = author.make(number, rules);
        write_bundle(&seed.path().join("seed"), &signed, &contents).unwrap();
    };
    assert!(author.open().is_err(), "it is not there");
    put(7, "seven");
    let bundles = author.open().unwrap();
    assert_eq!(bundles.wanted().offer().number, 7);
    bundles.keep(&bundles.wanted()).unwrap();
    author.keep(9, "nine");
    assert_eq!(author.number(), 9, "never backwards");
    put(9, "another");
    assert!(author.open().err().unwrap().contains("another bundle 9"));
    put(10, "ten");
    assert_eq!(author.number(), 10);
}

/// One that does not load, the first of all, must not keep a later one from being loaded.
#[test]
fn a_first_start_is_over_when_a_bundle_was_loaded() {
    let author = Author::new();
    let first = |number, rules| {
        let (signed, contents) = author.make(number, rules);
        Bundles::keep_first(&author.settings, signed, contents).unwrap();
        assert!(Bundles::is_first_start(&author.settings).unwrap());
    };
    first(7, "does not load");
    assert!(Bundles::has_some(&author.settings));
    assert_eq!(author.number(), 7);
    first(8, "is better");
    assert_eq!(author.number(), 8);
    let bundles = author.open().unwrap();
    bundles.keep(&bundles.wanted()).unwrap();
    assert!(!Bundles::is_first_start(&author.settings).unwrap());
}

/// What the next start begins with is never written anew, and a seed that is of no use any more is
/// in nobody's way.
#[test]
fn a_good_copy_stays_as_it_is() {
    let mut author = Author::new();
    author.keep(7, "seven");
    let inode = || {
        use std::os::unix::fs::MetadataExt as _;
        author.path("7").metadata().unwrap().ino()
    };
    let before = inode();
    let bundles = author.open().unwrap();
    let (signed, contents) = author.make(7, "seven");
    bundles.want(bundles.put(signed, contents).unwrap());
    bundles.keep(&bundles.wanted()).unwrap();
    assert_eq!(inode(), before);
    let (signed, _) = author.make(7, "seven");
    assert!(bundles.find(signed.offer()).is_some());
    let (other, _) = author.make(7, "other");
    assert!(bundles.find(other.offer()).is_none());
    author.settings.seed_directory = Some(author.path("none"));
    assert_eq!(author.number(), 7);
}
