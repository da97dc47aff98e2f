use super::*;
use proptest::prelude::*;

const HEADER: &str = "entrance_id,display_name,acs_system_id\n";
const SYSTEM: &str = "3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713";

fn id(number: u32) -> EntranceId {
    EntranceId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap()
}

fn system() -> AcsSystemId {
    AcsSystemId::parse(SYSTEM).unwrap()
}

fn catalogue(names: &[&str]) -> Catalogue {
    let entry = |(name, number): (&&str, u32)| Entry::new(id(number), name, system()).unwrap();
    names.iter().zip(1..).map(entry).collect()
}

fn problems(bytes: &[u8]) -> Vec<String> {
    let problems = Catalogue::parse("entrances.csv", bytes).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn names_of_all_scripts_commas_and_quotes_are_read_and_written() {
    let text = format!(
        "{HEADER}{a},Zugang Süd,{SYSTEM}\r\n\n{b},\"\"\"12 inch\"\" door, east\",{SYSTEM}\n\
         {c}, 正面玄関 ,{SYSTEM}\n{d},\"المدخل الرئيسي\",{SYSTEM}\n",
        a = id(1),
        b = id(2),
        c = id(3),
        d = id(4)
    );
    let read = Catalogue::parse("e.csv", text.as_bytes()).unwrap();
    assert_eq!(read.len(), 4);
    assert_eq!(read.name_of(id(1)), Some("Zugang Süd"));
    assert_eq!(read.name_of(id(2)), Some("\"12 inch\" door, east"));
    assert_eq!(read.name_of(id(3)), Some("正面玄関"), "spaces around it are dropped");
    assert_eq!(read.name_of(id(4)), Some("المدخل الرئيسي"));
    assert_eq!(read.name_of(id(5)), None);
    assert!(read.contains(id(4)) && !read.contains(id(5)));
    let written = String::from_utf8(read.to_csv()).unwrap();
    assert_eq!(
        written,
        format!(
            "{HEADER}{b},\"\"\"12 inch\"\" door, east\",{SYSTEM}\n{a},Zugang Süd,{SYSTEM}\n\
             {d},المدخل الرئيسي,{SYSTEM}\n{c},正面玄関,{SYSTEM}\n",
            a = id(1),
            b = id(2),
            c = id(3),
            d = id(4)
        ),
        "sorted by name"
    );
    let empty = Catalogue::parse("e.csv", HEADER.as_bytes()).unwrap();
    assert!(empty.is_empty() && empty == Catalogue::default());
    assert_eq!(empty.to_csv(), HEADER.as_bytes());
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let (a, b) = (id(1), id(0xab));
    let upper = "ABCDEF00-0000-4000-8000-000000000001";
    let text = format!(
        "{HEADER}{a},lobby,{SYSTEM}\n\
         door-1,gate,nowhere\n\
         {upper},gate,{SYSTEM}\n\
         {a},again,{SYSTEM}\n\
         {b}, ,{SYSTEM}\n\
         {b},,{SYSTEM}\n\
         {b},be\u{7}ep,{SYSTEM}\n\
         {b},\u{202e}ybbol,{SYSTEM}\n\
         {b},{long},{SYSTEM}\n\
         {b},room 1, east,{SYSTEM}\n\
         {b}\n\
         {b},a \"b\",{SYSTEM}\n\
         {b},\"never closed,{SYSTEM}\n\
         {b},\"a\"b,{SYSTEM}\n\
         {b},fine,{SYSTEM}\n",
        long = "é".repeat(201)
    );
    let quote = "a quote stands where none may: put the whole field in quotes, straight after the \
                 comma, and write a quote within it twice";
    let columns = "`entrance_id,display_name,acs_system_id`; put a name with commas in quotes";
    let expected = [
        "3:1: `door-1`: an entrance id is not a uuid of 36 characters with hyphens".to_owned(),
        "3:13: `nowhere`: a system's id is not a uuid of 36 characters with hyphens".to_owned(),
        format!("4:1: write an entrance id in lower case: `{}`", upper.to_lowercase()),
        format!("5:1: `{a}` is already in line 2; keep one of them"),
        "6:38: the name is empty: write what people call this entrance".to_owned(),
        format!("7:1: `{b}` is already in line 6; keep one of them"),
        "8:40: the character U+0007 is not fit to print; take it out".to_owned(),
        "9:38: the character U+202E is not fit to print; take it out".to_owned(),
        format!("10:1: `{b}` is already in line 6; keep one of them"),
        format!("11: has 4 field(s) instead of 3: {columns}"),
        format!("12: has 1 field(s) instead of 3: {columns}"),
        format!("13: {quote}"),
        format!("14: {quote}"),
        format!("15: {quote}"),
        format!("16:1: `{b}` is already in line 6; keep one of them"),
    ];
    let expected: Vec<String> =
        expected.iter().map(|line| format!("entrances.csv:{line}")).collect();
    assert_eq!(problems(text.as_bytes()), expected);
    let long = format!("{HEADER}{b},{},{SYSTEM}\n", "é".repeat(201));
    assert_eq!(
        problems(long.as_bytes()),
        ["entrances.csv:2:38: the name has 201 characters: at most 200 are allowed"]
    );
    let many = format!("{HEADER}{}", "x\n".repeat(250));
    let found = problems(many.as_bytes());
    assert_eq!(found.len(), 101);
    assert_eq!(found[100], "entrances.csv: 150 more problems");
}

#[test]
fn a_file_that_is_no_catalogue_is_refused_as_a_whole() {
    let header = "entrances.csv:1: the first line must be `entrance_id,display_name,acs_system_id` \
                  or `entrance_id,display_name,acs_system_id,workspace`";
    for (name, bytes, expected) in [
        ("empty", &b""[..], header),
        ("blank line first", b"\nentrance_id,display_name,acs_system_id\n", header),
        ("other columns", b"entrance_id,acs_system_id,display_name\n", header),
        ("HTML", b"<html>\n", header),
        (
            "byte order mark",
            b"\xef\xbb\xbfentrance_id,display_name,acs_system_id\n",
            "entrances.csv: starts with a byte order mark; save it as UTF-8 without one",
        ),
        (
            "Latin-1",
            b"entrance_id,display_name,acs_system_id\nx,S\xfcd,y\n",
            "entrances.csv:2:4: not UTF-8; save the file as UTF-8",
        ),
        (
            "cut off",
            b"entrance_id,display_name,acs_system_id\nx,y",
            "entrances.csv:2: the last line has no end: the file may be cut off; add a newline, or \
             run `grantgate entrances pull` again",
        ),
    ] {
        let found = problems(bytes);
        assert_eq!(found[0], expected, "{name}");
    }
    let quoted = b"\"entrance_id\",\"display_name\",\"acs_system_id\"\n";
    assert!(Catalogue::parse("e.csv", quoted).is_ok(), "as spreadsheets write it");
}

#[test]
fn a_name_leads_to_one_entrance_or_to_none() {
    let all =
        catalogue(&["Lobby", "Lobby east", "lobby west", "Gate", "gate", "Serverraum Süd", "Room"]);
    for (text, found) in [
        ("Lobby", 1),
        ("LOBBY", 1),
        ("  lobby WEST ", 3),
        ("east", 2),
        ("Gate", 4),
        ("gate", 5),
        ("RAUM SÜD", 6),
        ("00000000-0000-4000-8000-000000000099", 99),
    ] {
        assert_eq!(all.find(text), Ok(id(found)), "{text}");
    }
    let error = |text: &str| all.find(text).unwrap_err().to_string();
    assert_eq!(
        error("lob"),
        format!(
            "`lob` names 3 entrances: `Lobby` ({}), `Lobby east` ({}), `lobby west` ({}); give \
             more of the name, or the id",
            id(1),
            id(2),
            id(3)
        )
    );
    assert!(error("GATE").starts_with("`GATE` names 2 entrances"), "{}", error("GATE"));
    assert_eq!(
        error("loby"),
        format!("no entrance is called `loby`; did you mean `Lobby` ({})?", id(1))
    );
    assert!(error("servraum").contains("did you mean `Serverraum Süd`"), "a word is enough");
    assert_eq!(
        error("xyz"),
        "no entrance is called `xyz`; `grantgate entrances list` shows all names"
    );
    assert_eq!(all.find(" "), Err(FindError::Nothing));
    let none = Catalogue::default().find("lobby").unwrap_err().to_string();
    assert!(none.contains("`grantgate entrances pull` fills it"), "{none}");
    let rooms: Vec<String> = (1..=8).map(|n| format!("Room {n}")).collect();
    let rooms = catalogue(&rooms.iter().map(String::as_str).collect::<Vec<_>>());
    let error = rooms.find("room").unwrap_err();
    assert!(
        matches!(&error, FindError::Ambiguous { candidates, count: 8, .. } if candidates.len() == 5)
    );
    assert!(
        error.to_string().contains("`Room 5` (00000000-0000-4000-8000-000000000005) and 3 more")
    );
}

#[test]
fn names_of_seams_are_made_fit() {
    let tidied = |name: &str| Entry::tidied(id(1), name, system()).name().to_owned();
    assert_eq!(tidied(" lobby\t1\r\n"), "lobby 1");
    assert_eq!(tidied("a\u{1b}[2Jb"), "a [2Jb");
    assert_eq!(tidied("\u{202e}x"), "x");
    assert_eq!(tidied(" \n"), "(no name)");
    assert_eq!(tidied(&"ü".repeat(200)), "ü".repeat(200));
    assert_eq!(tidied(&"ü".repeat(201)), format!("{}…", "ü".repeat(199)));
}

#[test]
fn changes_are_sorted_by_what_happened() {
    let old = catalogue(&["a", "b", "c", "d"]);
    let other = AcsSystemId::parse("aaaaaaaa-0000-4000-8000-000000000000").unwrap();
    let new: Catalogue = [
        Entry::new(id(1), "a", system()),
        Entry::new(id(2), "B", system()),
        Entry::new(id(3), "c", other),
        Entry::new(id(5), "e", system()),
    ]
    .into_iter()
    .map(Result::unwrap)
    .collect();
    let changes = old.changes_to(&new);
    let ids = |entries: &[&Entry]| entries.iter().map(|e| e.id()).collect::<Vec<_>>();
    assert_eq!(ids(&changes.added), [id(5)]);
    assert_eq!(ids(&changes.removed), [id(4)]);
    assert_eq!(changes.renamed.len(), 1);
    assert_eq!((changes.renamed[0].0.name(), changes.renamed[0].1.name()), ("b", "B"));
    assert_eq!(changes.moved[0].1.system(), other);
    assert!(!changes.is_empty() && new.changes_to(&new).is_empty());
}

#[test]
fn the_later_of_two_entries_counts() {
    let twice = ["before", "after"].map(|name| Entry::new(id(1), name, system()).unwrap());
    let catalogue: Catalogue = twice.into_iter().collect();
    assert_eq!((catalogue.len(), catalogue.name_of(id(1))), (1, Some("after")));
}

proptest! {
    #[test]
    fn any_catalogue_survives_write_and_read(names in proptest::collection::vec("\\PC{0,20}|[\",;' \\t\\r\\na\u{202e}é]{0,12}|.{190,210}", 0..20)) {
        let entries = names.iter().zip(1..).map(|(name, n)| Entry::tidied(id(n), name, system()));
        let catalogue: Catalogue = entries.collect();
        for entry in catalogue.entries() {
            // What was made fit is fit.
            prop_assert_eq!(&Entry::new(entry.id(), entry.name(), entry.system()).unwrap(), entry);
            prop_assert_eq!(catalogue.find(&entry.id().to_string()), Ok(entry.id()));
        }
        let written = catalogue.to_csv();
        let read = Catalogue::parse("e.csv", &written);
        prop_assert_eq!(read.as_ref(), Ok(&catalogue));
        prop_assert_eq!(read.unwrap().to_csv(), written);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Catalogue::parse("e.csv", &bytes);
        let _ = Catalogue::parse("e.csv", &[HEADER.as_bytes(), &bytes, b"\n"].concat());
    }

    /// Whatever is read has one reading: written and read again it is the same.
    #[test]
    fn lines_that_are_nearly_right_never_panic(rest in "([\",ab \r]{0,8}\n?){0,6}", text in "\\PC{0,30}") {
        let file = format!("{HEADER}{},{rest},{SYSTEM}\n", id(1));
        if let Ok(read) = Catalogue::parse("e.csv", file.as_bytes()) {
            prop_assert_eq!(Catalogue::parse("e.csv", &read.to_csv()), Ok(read.clone()));
            let _ = read.find(&text);
        }
    }
}
