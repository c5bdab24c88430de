//! Where a command finds its configuration, and its store where that is all it needs.
//!
//! What runs, checks or sends needs a configuration without a mistake. What a person on call asks for and says (alerts,
//! acknowledgements, silences, deliveries) needs the store alone, and must not be taken away by a mistake in a rule: it goes
//! by what is sound of the files, or by their `store` key, or by `--store`. What is broken is told on stderr. Reads files and
//! writes none.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, FromArgMatches};

use super::ground::Failure;
use super::output;
use crate::config::{Config, ConfigProblem, LoadOptions, Loaded, RuleFile, RuleFiles};
use crate::limits::MISTAKES_SHOWN_ON_CALL;

/// The configuration file where the command line names none.
pub(super) const RULES: &str = "rules.yaml";
/// And where there is none of that name in the working directory: the one that a package installed for its service.
const INSTALLED: &str = "/etc/nightbell/rules.yaml";

/// The configuration file that a command works on: the program's own option, which may stand before the command too.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) config: PathBuf,
    /// Whether the command line names it.
    pub(super) is_named: bool,
}

impl FromArgMatches for ConfigFile {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let named = matches.get_one::<PathBuf>("config").cloned();
        let is_named = named.is_some();
        Ok(ConfigFile { config: named.unwrap_or_else(|| first_of(&[RULES, INSTALLED])), is_named })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = ConfigFile::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ConfigFile {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

/// The first of these files that is there; where none is, the first, which is then said to be missing.
fn first_of(places: &[&str]) -> PathBuf {
    let found = places.iter().find(|place| Path::new(place).exists());
    PathBuf::from(found.or(places.first()).copied().unwrap_or(RULES))
}

/// The configuration file of a command that needs the store alone, or the store itself.
#[derive(Debug, Args)]
pub(super) struct StorePlace {
    #[command(flatten)]
    file: ConfigFile,
    /// The store, where the configuration does not say it or cannot be read: sqlite:///var/lib/nightbell/nightbell.db, or
    /// postgres://USER@HOST/DATABASE with the password in PGPASSWORD.
    #[arg(long = "store", value_name = "URL", global = true)]
    store: Option<String>,
}

/// What a command on the store goes by.
pub(super) struct Desk {
    /// The configuration, or what is sound of it; it always says where the store is.
    pub(super) config: Config,
    /// Whether that is all of the configuration.
    pub(super) is_whole: bool,
}

/// The same for a command that may send: then the configuration must be without a mistake, and its secrets must be there.
pub(super) fn load_desk_or_sender(place: &StorePlace, sends: bool) -> Result<Desk, Failure> {
    if !sends {
        return load_desk(place);
    }
    Ok(Desk { config: at(load(&place.file, false)?, place.store.as_ref())?, is_whole: true })
}

/// Loads the configuration; warnings go to stderr.
pub(super) fn load(file: &ConfigFile, offline: bool) -> Result<Config, Failure> {
    Ok(load_with_files(file, offline)?.config)
}

/// The same, with the files it was read from.
pub(super) fn load_with_files(file: &ConfigFile, offline: bool) -> Result<Loaded, Failure> {
    let loaded =
        Config::load(&file.config, &LoadOptions { offline }).map_err(|problem| Failure::Config(Box::new(problem)))?;
    for warning in loaded.rendered_warnings() {
        output::complain(warning);
    }
    Ok(loaded)
}

/// Loads what can be read of the configuration, for commands that work on the store beside a running Nightbell: that goes on
/// by the last good version of a broken file, and people must be able to look and to say that they are on it. Never guesses
/// where the store is: another one would show, and silence, nothing.
pub(super) fn load_desk(place: &StorePlace) -> Result<Desk, Failure> {
    let mut problem = match Config::load(&place.file.config, &LoadOptions { offline: true }) {
        // Warnings are `check`'s to tell: here they stand between a person at night and what they asked for.
        Ok(Loaded { config, .. }) => return Ok(Desk { config: at(config, place.store.as_ref())?, is_whole: true }),
        Err(problem) => Box::new(problem),
    };
    let found = match &place.store {
        Some(_) => problem.sound.take().map(|config| *config).or_else(|| bare("")),
        None => beside(&place.file.config, &mut problem),
    };
    let Some(config) = found else { return Err(Failure::Config(problem)) };
    let config = at(config, place.store.as_ref())?;
    let is_unasked = place.store.is_some() && !place.file.config.exists();
    if !is_unasked {
        tell(&problem, &config);
    }
    Ok(Desk { config, is_whole: false })
}

/// The configuration with the store that the command line names.
fn at(config: Config, store: Option<&String>) -> Result<Config, Failure> {
    match store {
        Some(store) => Ok(Config { store: store.into(), ..config }),
        None if !config.store.is_known() => Err(Failure::Usage(
            "the configuration takes the store's address from a variable that has no value here; set it, or name the \
             store: --store sqlite:///PATH"
                .into(),
        )),
        None => Ok(config),
    }
}

/// What is wrong, in few lines, and what this goes by instead.
fn tell(problem: &ConfigProblem, config: &Config) {
    let shown = problem.rendered.iter().take(MISTAKES_SHOWN_ON_CALL);
    shown.for_each(output::complain);
    let more = problem.rendered.len().saturating_sub(MISTAKES_SHOWN_ON_CALL);
    let more = match more {
        0 => String::new(),
        more => format!(" ({more} more {}: nightbell check)", if more == 1 { "mistake" } else { "mistakes" }),
    };
    let store = config.store.file().unwrap_or("that it names");
    output::complain(format_args!(
        "the configuration is broken{more}: this goes by the rest of it, on the store {store}"
    ));
}

/// What can be read of broken files, where it says beyond doubt where the store is, and the store is there.
fn beside(path: &Path, problem: &mut ConfigProblem) -> Option<Config> {
    let files = RuleFiles::read(path).ok()?;
    let config = match problem.sound.take() {
        // Every file could be read as YAML: a store that is named is known.
        Some(config) if !problem.is_about("store") => *config,
        Some(_) => return None,
        None => {
            let texts: Vec<&str> = files.files.iter().map(|file| file.text.as_deref().ok()).collect::<Option<_>>()?;
            let mut stores: Vec<&str> = texts.iter().flat_map(|text| lines_of(text, "store:")).collect();
            stores.dedup();
            // A store that is written in another way than in a line of its own may be meant.
            let may_hide = |text: &&&str| names_the_store(text) && lines_of(text, "store:").is_empty();
            if stores.len() > 1 || texts.iter().any(|text| may_hide(&text)) {
                return None;
            }
            let zone = texts.iter().flat_map(|text| lines_of(text, "timezone:")).next().unwrap_or_default();
            let sound = sound_part(&files, problem);
            let head = bare(&format!("{}\n{zone}\n", stores.first().copied().unwrap_or_default()))?;
            sound.map_or(head.clone(), |sound| Config { store: head.store, ..sound })
        }
    };
    // A default store that nobody made is no store that somebody meant.
    let is_there = config.store.file().is_none_or(|file| Path::new(file).exists());
    is_there.then_some(config)
}

/// The lines of a text that begin with the key.
fn lines_of<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(key)).collect()
}

/// A configuration of nothing but its head: where the store is, and the zone.
fn bare(head: &str) -> Option<Config> {
    let text = format!("version: 1\n{head}");
    let loaded = Config::from_text(text, "head", Path::new(""), &LoadOptions { offline: true });
    match loaded {
        Ok(loaded) => Some(loaded.config),
        // There are no sources, and nobody is notified: that is what this is.
        Err(problem) if problem.is_about("store") => None,
        Err(problem) => problem.sound.map(|config| *config),
    }
}

/// What the sound files of a directory say; none where they do not make a configuration.
fn sound_part(read: &RuleFiles, whole: &ConfigProblem) -> Option<Config> {
    if !read.is_directory {
        return None;
    }
    let mut files = read.files.clone();
    let mut broken = whole.broken_files();
    loop {
        let numbered = (0_u16..).zip(files);
        let (out, sound): (Vec<_>, Vec<(u16, RuleFile)>) = numbered.partition(|(number, _)| broken.contains(number));
        if out.is_empty() || sound.is_empty() {
            return None;
        }
        for (_, file) in out {
            output::complain(format_args!("{} is broken: this goes by the other files", file.path.display()));
        }
        files = sound.into_iter().map(|(_, file)| file).collect();
        match Config::from_files(&files, &LoadOptions { offline: true }) {
            Ok(loaded) => return Some(loaded.config),
            Err(problem) => broken = problem.broken_files(),
        }
    }
}

/// Whether a text that is broken may say where the store is. Comments say nothing.
fn names_the_store(text: &str) -> bool {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .into_iter()
        .any(|line| ["store:", "\"store\"", "'store'", "sqlite:", "postgres"].iter().any(|sign| line.contains(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_meant_where_nothing_is_at_hand() {
        let directory = tempfile::tempdir().unwrap();
        let [own, installed] = ["rules.yaml", "installed.yaml"].map(|name| directory.path().join(name));
        let places = [own.to_str().unwrap(), installed.to_str().unwrap()];
        assert_eq!(first_of(&places), own, "there is neither");
        std::fs::write(&installed, "").unwrap();
        assert_eq!(first_of(&places), installed);
        std::fs::write(&own, "").unwrap();
        assert_eq!(first_of(&places), own);
    }
}
