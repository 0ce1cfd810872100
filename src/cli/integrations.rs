//! Files that a build writes for the program that called it: a depfile and a stamp.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{build, errors, exit, screen::Screen};
use crate::{
    system,
    workspace::{BuildReport, Workspace, WorkspaceError},
};

/// Files that a build writes for the program that called it.
#[derive(Args, Debug)]
#[command(next_help_heading = "For make, ninja and other programs")]
pub(super) struct Integrations {
    /// Write the dependencies of the outputs as a make rule; paths are relative to the current folder
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "check"])]
    pub(super) depfile: Option<PathBuf>,
    /// Touch a file once everything is up to date
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "check"])]
    pub(super) stamp: Option<PathBuf>,
    /// Write events as JSON lines while the build runs; `-`: to stdout
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
    /// Write a timing trace, for chrome://tracing or ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,
}

impl Integrations {
    /// Returns whether stdout is for events.
    pub(super) fn is_on_stdout(&self) -> bool {
        self.events.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

/// Writes the requested files after a build without failures; returns the exit code.
pub(super) fn leave(
    workspace: &Workspace,
    options: &build::Options,
    report: &BuildReport,
    started_ns: i64,
    screen: &Screen,
) -> u8 {
    match try_leave(workspace, options, report, started_ns, screen) {
        Ok(()) => exit::OK,
        Err(error) => errors::report(&error, workspace, screen),
    }
}

fn try_leave(
    workspace: &Workspace,
    options: &build::Options,
    report: &BuildReport,
    started_ns: i64,
    screen: &Screen,
) -> Result<(), WorkspaceError> {
    let (depfile, stamp) = (&options.integrations.depfile, &options.integrations.stamp);
    let dependencies = match (depfile, stamp) {
        (None, None) => return Ok(()),
        _ => workspace.outputs().dependencies(&options.selectors, report)?,
    };
    if let Some(path) = depfile {
        let written = dependencies.depfile(match stamp {
            Some(stamp) => std::slice::from_ref(stamp),
            None => &dependencies.outputs,
        })?;
        for unnamed in &written.unnamed {
            let name = unnamed.display();
            screen.warn(&format!("`{name}` cannot be named to make or ninja; they will not notice when it changes"));
        }
        system::replace_if_other(path, &written.text)?;
    }
    if let Some(path) = stamp {
        system::touch(path, stamp_ns(started_ns, &workspace.settings().root))?;
    }
    Ok(())
}

/// Returns the time for the stamp: the start of the build, so that files edited during the build count as newer, but
/// no earlier than `datac.lock`, which the build may have written.
fn stamp_ns(started_ns: i64, root: &Path) -> i64 {
    system::stat(&root.join("datac.lock")).map_or(started_ns, |lock| lock.mtime_ns.max(started_ns))
}
