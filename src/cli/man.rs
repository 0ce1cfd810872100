//! `datac man`: manual pages.

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
                                       a page for each command, too")]
pub(super) struct Options {
    /// Write all pages into a folder: datac.1, datac-build.1, …
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(options: &Options, screen: &Screen) -> u8 {
    let mut command = Arguments::command();
    // Gives every command its whole name and the options of all.
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
            screen.error(&error.to_string(), None);
            exit::FAILED
        }
    }
}

fn page(command: Command) -> String {
    let mut text = Vec::new();
    Man::new(command).render(&mut text).expect("a Vec takes every write");
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes the page of a command and of those below it; returns how many.
fn write(folder: &Path, command: Command) -> Result<usize, FileError> {
    system::create_dir(folder)?;
    let mut pages = vec![("datac".to_owned(), command.clone())];
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let name = format!("datac-{}", below.get_name());
        pages.push((name.clone(), below.clone().display_name(name).version(env!("CARGO_PKG_VERSION"))));
    }
    let count = pages.len();
    for (name, command) in pages {
        system::replace_if_other(&folder.join(format!("{name}.1")), page(command).as_bytes())?;
    }
    Ok(count)
}
