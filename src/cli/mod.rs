//! The command line: one file per command, and everything that is printed.
//!
//! stdout is for data, stderr for people. Exit codes are [`exit`]'s constants.

mod add;
mod args;
mod blame;
mod build;
mod cache;
mod cache_key;
mod check;
mod clean;
mod completions;
mod config;
pub mod diagnostics;
mod diff;
mod display;
mod doctor;
mod document;
mod errors;
mod events;
pub mod exit;
mod explain;
mod fetch;
mod graph;
mod init;
mod inspect;
mod integrations;
mod lock;
mod log;
mod ls;
mod man;
mod new;
mod profile;
mod progress;
mod pull;
mod push;
#[cfg(test)]
mod reference;
mod release;
mod releases;
mod render;
mod schema;
mod screen;
mod shared;
mod show;
mod stats;
mod status;
mod times;
mod trace;
mod validate;
mod watch;
mod why;
mod work;
mod worker;

use std::{
    ffi::OsString,
    io::{self, Write},
    mem::ManuallyDrop,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::{CommandFactory, FromArgMatches};

pub use self::display::Display;
use self::{
    args::{Arguments, Command, Global},
    events::Listener,
    progress::{Progress, Show},
    screen::{FAINT, Screen},
};
use crate::{
    event::Observer,
    failure::Failure,
    system,
    workspace::{Configuration, Given, Make, SettingKey, SettingValue, Settings, Workspace, WorkspaceError, discover},
};

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    ExitCode::from(run_with(std::env::args_os().collect()))
}

/// Runs a command: `words` are its name and its arguments. Returns the exit code.
///
/// This is for a process that exists for the command alone, such as the script of the Python package: signals are handled by the
/// command from here on.
pub fn run_with(words: Vec<OsString>) -> u8 {
    let code = parsed(words);
    // A library that a process has loaded is not told of the end of that.
    io::stdout().flush().ok();
    code
}

fn parsed(words: Vec<OsString>) -> u8 {
    let line: Vec<String> = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    // The definitions of all commands are thousands of allocations. The process ends soon enough without freeing each of them.
    let mut command = ManuallyDrop::new(Arguments::command());
    let parsed = command.try_get_matches_from_mut(words).and_then(|mut matches| {
        Arguments::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    });
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_fault = error.use_stderr();
            // A closed pipe is not an error.
            error.print().ok();
            return if is_fault { exit::USAGE } else { exit::OK };
        }
    };
    if let Err(problem) = args::check_environment() {
        let screen = Screen::new(arguments.global.color, arguments.global.quiet);
        screen.error(&problem.0, Some(&problem.1));
        return exit::USAGE;
    }
    // This must be done before any file is opened.
    let make = Make::inherited();
    system::allow_open_files();
    let interrupt = Arc::new(AtomicBool::new(false));
    install_interrupt(&interrupt);
    let screen = Screen::new(arguments.global.color, arguments.global.quiet);
    // Files on disk are consistent even after a panic: they are put in place atomically, and reads check every byte.
    let ended = panic::catch_unwind(AssertUnwindSafe(|| dispatch(arguments, line, interrupt, make)));
    ended.unwrap_or_else(|_| {
        screen.error("this is a bug in datac", Some("please report it with the lines above and your recipe"));
        exit::BUG
    })
}

/// Installs the signal handler: the first signal asks the build to stop, the second exits at once.
fn install_interrupt(interrupt: &Arc<AtomicBool>) {
    let flag = interrupt.clone();
    let installed = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            system::exit_now(exit::INTERRUPTED);
        }
    });
    // Without a handler, the default action ends the process; files on disk are consistent all the same.
    installed.ok();
}

/// Runs a command; `line` are the words after its name, for the record.
fn dispatch(arguments: Arguments, line: Vec<String>, interrupt: Arc<AtomicBool>, make: Option<Arc<Make>>) -> u8 {
    let Arguments { mut global, mut command } = arguments;
    let screen = Screen::new(global.color, global.quiet);
    if let Some(folder) = &global.directory
        && !system::is_dir(folder)
    {
        screen.error(&format!("the workspace folder `{}` does not exist", folder.display()), None);
        return exit::USAGE;
    }
    let mut place = Place::default();
    if global.directory.is_none() && !matches!(command, Command::Init(_)) {
        match here(&mut global, &mut command) {
            Ok(found) => place = found,
            Err(failure) => {
                screen.error(&failure.message, failure.hint.as_deref());
                return exit::USAGE;
            }
        }
    }
    if let (Some(root), true) = (&global.directory, place.is_elsewhere && command.writes()) {
        screen.say(&format!("{FAINT}workspace: {}{FAINT:#}", root.display()));
    }
    if let Command::Init(init::Options { folder: Some(folder), .. }) = &command {
        // This is the only command whose workspace need not exist.
        global.directory = Some(global.directory.unwrap_or_default().join(folder));
    }
    let show = match &command {
        Command::Build(options) if !options.json => Show::All("Building"),
        Command::Worker(options) if options.is_watched() => Show::All("Working"),
        Command::Build(_) | Command::Watch(_) => Show::Beside,
        Command::Cache(options) if options.is_watched() => Show::All("Checking"),
        Command::Fetch(options) if options.is_watched() => Show::All("Fetching"),
        Command::Release(options) if options.is_watched() => Show::All("Releasing"),
        Command::Pull(options) if options.is_watched() => Show::All("Pulling"),
        Command::Push(options) if options.is_watched() => Show::All("Pushing"),
        _ => Show::Warnings,
    };
    let progress = Progress::new(screen.clone(), show);
    let listener = match &command {
        Command::Build(options) => Listener::open(&options.integrations, &options.selectors),
        _ => Ok(Listener::default()),
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            screen.error(&format!("failed to {error}"), Some("`--events` needs a writable file, or `-` for stdout"));
            return exit::USAGE;
        }
    };
    let configuration = match configured(&global, &command, &place) {
        Ok(configuration) => configuration,
        Err(error) => return errors::report(&error, &Workspace::open(Settings::new(root_of(&global))), &screen),
    };
    command.fill_in(&configuration);
    let settings = configuration.settings(root_of(&global));
    let settings = Settings { remote: command.remote(settings.remote.as_deref()), ..settings };
    let workspace = open(settings, interrupt, listener.before(progress.observer()));
    match command {
        Command::Init(options) => init::run(&workspace, &options, &screen),
        Command::New(options) => new::run(&workspace, &options, &screen),
        Command::Inspect(options) => inspect::run(&workspace, &options, &screen),
        Command::Add(options) => add::run(&workspace, &options, &screen),
        Command::Build(options) => build::run(&workspace, &options, line, make, &screen, &progress, &listener),
        Command::Cache(options) => cache::run(&workspace, &options, &screen, &progress),
        Command::Clean(options) => clean::run(&workspace, &options, &screen),
        Command::Fetch(options) => fetch::run(&workspace, &options, &screen, &progress),
        Command::Watch(options) => watch::run(&workspace, &options, line, &screen, &progress),
        Command::Worker(options) => worker::run(&workspace, &options, &screen, &progress),
        Command::Status(options) => status::run(&workspace, &options, &screen),
        Command::Why(options) => why::run(&workspace, &options, &screen),
        Command::Lock(options) => lock::run(&workspace, &options, &screen),
        Command::Log(options) => log::run(&workspace, &options, &screen),
        Command::Diff(options) => diff::run(&workspace, &options, &screen),
        Command::Ls(options) => ls::run(&workspace, &options, &screen),
        Command::Graph(options) => graph::run(&workspace, &options, &screen),
        Command::Blame(options) => blame::run(&workspace, &options, &screen),
        Command::Release(options) => release::run(&workspace, &options, &screen, &progress),
        Command::Releases(options) => releases::run(&workspace, &options, &screen),
        Command::Pull(options) => pull::run(&workspace, &options, &screen, &progress),
        Command::Push(options) => push::run(&workspace, &options, &screen, &progress),
        Command::Trace(options) => trace::run(&workspace, &options, &screen),
        Command::Show(options) => show::run(&workspace, &options, &screen),
        Command::Render(options) => render::run(&workspace, &options, &screen),
        Command::Stats(options) => stats::run(&workspace, &options, &screen),
        Command::Validate(options) => validate::run(&workspace, &options, &screen),
        Command::Check(options) => check::run(&workspace, &options, &screen),
        Command::Config(options) => config::run(&configuration, &options, &screen),
        Command::Explain(options) => explain::run(&options, &screen),
        Command::Doctor(options) => doctor::run(&workspace, &options, &screen),
        Command::Completions(options) => completions::run(&options, &screen),
        Command::Man(options) => man::run(&options, &screen),
        Command::Schema(options) => schema::run(&options, &screen),
    }
}

/// Where a command works.
#[derive(Default)]
struct Place {
    /// Whether the workspace is another folder than the current one.
    is_elsewhere: bool,
    /// The folder that folders are typed from, if not from the workspace.
    typed_in: Option<PathBuf>,
}

/// Finds the workspace of a command that names none, and makes the paths it was given relative to that.
fn here(global: &mut Global, command: &mut Command) -> Result<Place, Failure> {
    // Without a current folder there is nothing to search from; whatever is done next says so.
    let Ok(here) = system::current_dir() else { return Ok(Place::default()) };
    let words: Vec<String> = command.words_mut().into_iter().map(|word| word.clone()).collect();
    let found = discover(&here, &words)?;
    for (word, new) in command.words_mut().into_iter().zip(&found.words) {
        word.clone_from(new);
    }
    let is_elsewhere = found.is_elsewhere();
    if is_elsewhere {
        command.remote_below(&here);
        global.directory = Some(found.root);
    }
    Ok(Place { is_elsewhere, typed_in: is_elsewhere.then_some(here) })
}

/// Returns the settings that hold: options go before the environment, and that before `datac.toml`.
fn configured(global: &Global, command: &Command, place: &Place) -> Result<Configuration, WorkspaceError> {
    let text = |path: &PathBuf| SettingValue::Text(path.to_string_lossy().into_owned());
    let given = [
        (SettingKey::Hub, global.hub.clone().map(SettingValue::Text)),
        (SettingKey::Offline, global.offline.then_some(SettingValue::Switch(true))),
        (SettingKey::CacheDir, global.cache_dir.as_ref().map(text)),
        (SettingKey::OutputsDir, global.output_dir.as_ref().map(text)),
    ];
    let values = given.into_iter().filter_map(|(setting, value)| Some((setting, value?))).collect();
    if !command.has_workspace() {
        return Ok(Configuration::default());
    }
    Configuration::read(
        &root_of(global),
        Given { values, from: place.typed_in.clone(), hub_from: place.typed_in.clone() },
    )
}

fn root_of(global: &Global) -> PathBuf {
    global.directory.clone().unwrap_or_else(|| ".".into())
}

fn open(settings: Settings, interrupt: Arc<AtomicBool>, observer: Observer) -> Workspace {
    let python = system::env("DATAC_PYTHON").filter(|path| !path.is_empty()).map(Into::into);
    Workspace::open(Settings { python, interrupt, observer, ..settings })
}
