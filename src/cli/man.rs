//! `datac man`: man pages.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{
    args::Arguments,
    exit,
    screen::{Screen, VERB},
};
use crate::system::{self, FileError};

/// Options of `man`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac man | man -l -                 read datac(1)
  datac man --out /usr/local/share/man/man1
                                       with a page for each command")]
pub(super) struct Options {
    /// Write all pages to a folder: datac.1, datac-build.1, …
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(options: &Options, screen: &Screen) -> u8 {
    let mut command = Arguments::command();
    // Completes the names of all commands and adds global options.
    command.build();
    let Some(folder) = &options.out else {
        screen.data(&page(command));
        return exit::OK;
    };
    match write(folder, command) {
        Ok(count) => {
            screen.say(&format!("{VERB}       Wrote{VERB:#} {count} pages into {}", folder.display()));
            exit::OK
        }
        Err(error) => {
            screen.error(&format!("failed to {error}"), None);
            exit::FAILED
        }
    }
}

fn page(command: Command) -> String {
    let mut text = Vec::new();
    Man::new(command).render(&mut text).expect("a Vec takes every write");
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes the pages of a command and its subcommands; returns their number.
fn write(folder: &Path, command: Command) -> Result<usize, FileError> {
    system::create_dir(folder)?;
    let pages = pages("datac", command);
    for (name, command) in &pages {
        system::replace_if_other(&folder.join(format!("{name}.1")), page(command.clone()).as_bytes())?;
    }
    Ok(pages.len())
}

/// Returns a command and its subcommands, with the names of their pages, such as `datac-log-diff`.
fn pages(name: &str, command: Command) -> Vec<(String, Command)> {
    let named = command.clone().display_name(name.to_owned()).version(env!("CARGO_PKG_VERSION"));
    let mut all = vec![(name.to_owned(), named)];
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        all.extend(pages(&format!("{name}-{}", below.get_name()), below.clone()));
    }
    all
}
