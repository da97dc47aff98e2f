//! Where a policy comes from: three files, a folder, or a git revision of the three files.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::authn::Callers;
use crate::authn::callers::Suspension;
use crate::bundle::{Contents, FileName};
use crate::catalogue::Catalogue;
use crate::cli::entrances;
use crate::cli::problems::report_in;
use crate::cli::{Exit, note};
use crate::domain::{CallerId, EntranceId, Problem, rfc3339};
use crate::orders;
use crate::policy::review::Span;
use crate::policy::{Loaded, Orders, Policy, PolicySource, SourceFile};

/// Entrances that the catalogue does not have are named up to this number.
const UNKNOWN_NAMED_MAX: usize = 100;

/// Mistakes of the catalogue that are shown beside an answer.
const DAMAGE_SHOWN_MAX: usize = 3;

/// Rules that allow nothing: there must be one.
const NOBODY: &[u8] = b"p, role:nobody, *, grant, deny\n";

/// The files of a policy.
#[derive(Args, Clone)]
pub(in crate::cli) struct Files {
    /// The casbin model
    #[arg(long, value_name = "FILE", default_value = "policies/model.conf")]
    pub(in crate::cli) model: PathBuf,
    /// The rules
    #[arg(long, value_name = "FILE", default_value = "policies/policy.csv")]
    pub(in crate::cli) rules: PathBuf,
    /// The callers file
    #[arg(long, value_name = "FILE", default_value = "callers.toml")]
    pub(in crate::cli) callers: PathBuf,
    /// The names of entrances; need not exist
    #[arg(long, value_name = "FILE", default_value = "policies/entrances.csv")]
    pub(in crate::cli) entrances: PathBuf,
}

/// Freezes and exceptions, which go before the rules.
#[derive(Args)]
pub(super) struct OrdersArgument {
    /// The file of orders; need not exist
    #[arg(long, value_name = "FILE", default_value = "orders.json")]
    orders: PathBuf,
}

impl OrdersArgument {
    /// Those that were in force at a time, or a report of what is wrong with the file.
    pub(super) fn load(&self, at: Timestamp) -> Result<Orders, Exit> {
        let read = orders::load(&self.orders);
        let read = read.map_err(|problem| reported(&[problem], None))?;
        Ok(Orders::of_time(read.orders(), at))
    }
}

/// Over which time hours are looked at.
#[derive(Args)]
pub(super) struct SpanArguments {
    /// Hours are looked at from this time on (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    from: Option<Timestamp>,
    /// And for so many days, 1 to 3,660
    #[arg(long, value_name = "DAYS", default_value_t = 366, value_parser = clap::value_parser!(i64).range(1..=3660))]
    days: i64,
}

impl SpanArguments {
    pub(super) fn span(&self, now: Timestamp) -> Span {
        let from = self.from.unwrap_or(now);
        let until = from.checked_add(SignedDuration::from_hours(24 * self.days));
        Span { from, until: until.unwrap_or(Timestamp::MAX) }
    }
}

/// The texts of a policy, read and not yet understood.
pub(in crate::cli) struct Sources {
    pub(super) policy: PolicySource,
    pub(super) callers: SourceFile,
    catalogue: Catalogue,
    pub(super) catalogue_file: String,
    /// What is wrong with the names.
    damage: Vec<Problem>,
}

/// A policy that is valid, with what it was made of.
pub(in crate::cli) struct Ready {
    pub(in crate::cli) policy: Policy,
    pub(in crate::cli) callers: Callers,
    pub(super) warnings: Vec<Problem>,
    pub(super) sources: Sources,
}

impl Ready {
    /// Tells those who read what policy says of a caller that is suspended.
    pub(super) fn note_suspension(&self, caller: &CallerId) {
        if let Some(Suspension { since, reason }) = self.callers.suspension(caller) {
            note(format_args!(
                "caller `{caller}` is SUSPENDED since {since} ({reason}): every request of it is \
                 refused, whatever policy says"
            ));
        }
    }
}

impl Files {
    /// Reads and loads the files, or reports every problem with its line.
    pub(super) fn load(&self, now: Timestamp) -> Result<Ready, Exit> {
        self.read().map_err(|problem| reported(&[problem], None))?.load(now)
    }

    pub(in crate::cli) fn read(&self) -> Result<Sources, Problem> {
        Ok(self.sources(file(&self.model)?, file(&self.rules)?, file(&self.callers)?))
    }

    fn sources(&self, model: SourceFile, rules: SourceFile, callers: SourceFile) -> Sources {
        // Names decide nothing: without them ids are shown, and what is wrong is a warning.
        let (catalogue, damage) = match entrances::read(&self.entrances) {
            Ok(catalogue) => (catalogue.unwrap_or_default(), Vec::new()),
            Err(error) => (Catalogue::default(), error.into_problems()),
        };
        Sources {
            policy: PolicySource { model, rules },
            callers,
            catalogue,
            catalogue_file: self.entrances.display().to_string(),
            damage,
        }
    }

    /// `what` is a folder, a rules file, or a git revision of these files. A word that could
    /// be either is refused: whoever may add files must not choose what is compared.
    pub(super) fn read_other(&self, what: &str) -> Result<Sources, Problem> {
        let is_path = ["/", "./", "../"].iter().any(|start| what.starts_with(start))
            || matches!(what, "." | "..");
        if !is_path && Path::new(what).exists() && is_revision(what) {
            let text = format!(
                "is a path and a git revision: write `./{what}` for the path, or \
                 `refs/heads/{what}` and the like for the revision"
            );
            return Err(Problem::of_file(what, text));
        }
        let path = Path::new(what);
        if path.is_dir() {
            self.within(path).read()
        } else if path.exists() {
            Files { rules: path.to_owned(), ..self.clone() }.read()
        } else {
            // Names decide nothing: those of now will do.
            Ok(self.sources(
                at_revision(what, &self.model)?,
                at_revision(what, &self.rules)?,
                at_revision(what, &self.callers)?,
            ))
        }
    }

    /// The files in a folder: as `init` lays them out, or all in one. What is not there
    /// is taken from where it is otherwise.
    fn within(&self, folder: &Path) -> Self {
        let pick = |own: &PathBuf, places: [&str; 2]| {
            let places = places.map(|place| folder.join(place));
            places.into_iter().find(|place| place.exists()).unwrap_or_else(|| own.clone())
        };
        Self {
            model: pick(&self.model, ["policies/model.conf", "model.conf"]),
            rules: pick(&folder.join("policies/policy.csv"), ["policies/policy.csv", "policy.csv"]),
            callers: pick(&self.callers, ["callers.toml", "../callers.toml"]),
            entrances: pick(&self.entrances, ["policies/entrances.csv", "entrances.csv"]),
        }
    }
}

impl Sources {
    /// The files of a bundle.
    pub(super) fn of_bundle(id: &str, contents: &Contents) -> Self {
        let file = |name: FileName| SourceFile {
            name: format!("bundle {id}: {}", name.as_str()),
            bytes: contents.get(&name).cloned().unwrap_or_default(),
        };
        let names = file(FileName::Entrances);
        let (catalogue, damage) = match contents.get(&FileName::Entrances) {
            None => (Catalogue::default(), Vec::new()),
            Some(bytes) => match Catalogue::parse(&names.name, bytes) {
                Ok(catalogue) => (catalogue, Vec::new()),
                Err(problems) => (Catalogue::default(), problems),
            },
        };
        Self {
            policy: PolicySource { model: file(FileName::Model), rules: file(FileName::Rules) },
            callers: file(FileName::Callers),
            catalogue,
            catalogue_file: names.name,
            damage,
        }
    }

    /// The same callers, of whom none may do anything.
    pub(super) fn without_rules(of: &Self) -> Self {
        let file = |file: &SourceFile, bytes| SourceFile { name: file.name.clone(), bytes };
        let PolicySource { model, rules } = &of.policy;
        Self {
            policy: PolicySource {
                model: file(model, model.bytes.clone()),
                rules: file(rules, NOBODY.to_vec()),
            },
            callers: file(&of.callers, of.callers.bytes.clone()),
            catalogue: Catalogue::default(),
            catalogue_file: of.catalogue_file.clone(),
            damage: Vec::new(),
        }
    }

    /// Loads the policy, or reports every problem with its line; reports damaged names, too.
    pub(super) fn load(self, now: Timestamp) -> Result<Ready, Exit> {
        for problem in self.damage.iter().take(DAMAGE_SHOWN_MAX) {
            report_in("warning", problem, None);
        }
        if self.damage.len() > DAMAGE_SHOWN_MAX {
            let more = self.damage.len() - DAMAGE_SHOWN_MAX;
            note(format_args!("{more} more warnings of `{}`", self.catalogue_file));
        }
        self.load_silently(now)
    }

    /// Loads the policy, or reports every problem with its line. What deserves a look is in
    /// [`Ready::warnings`].
    pub(super) fn load_silently(self, now: Timestamp) -> Result<Ready, Exit> {
        match self.parse(now) {
            Ok(parsed) => Ok(self.ready(parsed)),
            Err(problems) => Err(reported(&problems, Some(&self))),
        }
    }

    /// Loads the policy; reports nothing.
    pub(in crate::cli) fn try_load(self, now: Timestamp) -> Result<Ready, Vec<Problem>> {
        self.parse(now).map(|parsed| self.ready(parsed))
    }

    fn parse(&self, now: Timestamp) -> Result<(Loaded, Callers), Vec<Problem>> {
        let callers = Callers::parse(&self.callers.name, &self.callers.bytes)?;
        Ok((Policy::load(&self.policy, &callers, now)?, callers))
    }

    fn ready(self, (loaded, callers): (Loaded, Callers)) -> Ready {
        let Loaded { policy, warnings } = loaded;
        let mut ready = Ready { policy, callers, warnings, sources: self };
        ready.warnings.extend(ready.sources.damage.clone());
        ready.warnings.extend(ready.unknown_entrances());
        ready
    }

    /// What people call entrances.
    pub(super) const fn names(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The text of the file of this name.
    pub(super) fn text(&self, name: &str) -> Option<&[u8]> {
        let files = [&self.policy.model, &self.policy.rules, &self.callers];
        files.into_iter().find(|file| file.name == name).map(|file| file.bytes.as_slice())
    }
}

/// Shows problems with their lines.
pub(super) fn reported(problems: &[Problem], sources: Option<&Sources>) -> Exit {
    for problem in problems {
        report_in("error", problem, sources.and_then(|sources| sources.text(&problem.file)));
    }
    note(format_args!("{} problem(s)", problems.len()));
    Exit::Invalid
}

fn file(path: &Path) -> Result<SourceFile, Problem> {
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => Ok(SourceFile { name, bytes }),
        Err(error) => Err(Problem::of_file(name, format!("cannot be read: {error}"))),
    }
}

/// Whether git knows a commit by this word.
fn is_revision(what: &str) -> bool {
    let mut git = std::process::Command::new("git");
    git.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
    git.arg(format!("{what}^{{commit}}")).output().is_ok_and(|output| output.status.success())
}

/// Asks git for a file as it was. The file may be gone from the folder, not from git.
fn at_revision(revision: &str, path: &Path) -> Result<SourceFile, Problem> {
    let name = format!("{revision}:{}", path.display());
    let refuse = |text: String| Problem::of_file(name.clone(), text);
    if revision.starts_with('-') || revision.contains(':') {
        return Err(refuse(format!("`{revision}` is not a file, folder or git revision")));
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(folder.unwrap_or(Path::new("."))).arg("show");
    let output = git.arg(format!("{revision}:./{file}")).output();
    let output = output.map_err(|error| {
        refuse(format!("`{revision}` is not a file or folder, and git cannot be run: {error}"))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned();
        return Err(refuse(format!("`{revision}` is not a file or folder, and git says: {said}")));
    }
    Ok(SourceFile { name, bytes: output.stdout })
}

/// Entrances as people know them.
impl Ready {
    /// The entrance of this id or name.
    pub(in crate::cli) fn entrance(&self, text: &str) -> Result<EntranceId, String> {
        self.sources.catalogue.find(text).map_err(|error| error.to_string())
    }

    /// Its name, where the catalogue has one.
    pub(super) fn door_name(&self, entrance: EntranceId) -> Option<&str> {
        self.sources.catalogue.name_of(entrance)
    }

    /// Entrances of the policy that the catalogue, where there is one, does not have.
    pub(super) fn unknown_entrances(&self) -> Vec<Problem> {
        let catalogue = &self.sources.catalogue;
        if catalogue.is_empty() {
            return Vec::new();
        }
        let named = self.policy.named_entrances();
        let unknown = named.into_iter().filter(|(id, _)| !catalogue.contains(*id));
        let mut problems: Vec<Problem> = unknown
            .map(|(id, line)| Problem {
                file: self.sources.policy.rules.name.clone(),
                line: Some(line),
                column: None,
                text: format!(
                    "entrance `{id}` is not in `{}`: Seam may no longer have it; \
                     `grantgate entrances pull` asks",
                    self.sources.catalogue_file
                ),
            })
            .collect();
        problems.sort_by_key(|problem| problem.line);
        if problems.len() > UNKNOWN_NAMED_MAX {
            let more = problems.len() - UNKNOWN_NAMED_MAX;
            problems.truncate(UNKNOWN_NAMED_MAX);
            let file = self.sources.policy.rules.name.clone();
            problems.push(Problem::of_file(file, format!("{more} more such entrances")));
        }
        problems
    }

    /// Its id with its name.
    pub(super) fn door(&self, entrance: EntranceId) -> String {
        match self.door_name(entrance) {
            Some(name) => format!("{entrance}  {name}"),
            None => entrance.to_string(),
        }
    }

    /// The names of entrances.
    pub(in crate::cli) fn names(&self) -> &Catalogue {
        &self.sources.catalogue
    }
}
