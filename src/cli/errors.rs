//! Errors to text, hint and exit code.

use super::{diagnostics, exit, screen::Screen};
use crate::{
    config::Problem,
    graph::Failure,
    system,
    workspace::{Workspace, WorkspaceError, asks_for_state},
};

/// Prints what kept a command from doing anything; returns the exit code.
pub(super) fn report(error: &WorkspaceError, workspace: &Workspace, screen: &Screen) -> u8 {
    match error {
        WorkspaceError::Failure(failure) => {
            failed(failure, None, screen);
            exit::of(failure.kind)
        }
        WorkspaceError::Problems(found) => {
            problems(found, workspace, screen);
            exit::USAGE
        }
        WorkspaceError::Locked { .. } => {
            screen.error(&error.to_string(), Some("leave out `--no-wait` to wait for it"));
            exit::LOCKED
        }
    }
}

/// Says that there is nothing to work on; returns the exit code.
///
/// An error, lest `build --check` in the wrong folder pass for ever; unless a state was asked for.
pub(super) fn no_recipes(selectors: &[String], screen: &Screen) -> u8 {
    if let Some(states) = asks_for_state(selectors) {
        let words: Vec<&str> = states.iter().map(|state| state.word()).collect();
        screen.say(&format!("no recipe is in the state {}", words.join(" or ")));
        return exit::OK;
    }
    let (place, hint) = match selectors {
        [] => ("`config/`".to_owned(), "write one there, or name the workspace's folder with `-C DIR`"),
        named => (format!("`{}`", named.join("`, `")), "a recipe is a YAML file with `metadata` and `datasets`"),
    };
    screen.error(&format!("find a recipe: there is none below {place}"), Some(hint));
    exit::USAGE
}

/// Prints a failure, of a recipe where one is named.
pub(super) fn failed(failure: &Failure, recipe: Option<&str>, screen: &Screen) {
    let message = match recipe {
        Some(recipe) => format!("build `{recipe}`: failed to {}", failure.message),
        None => failure.message.clone(),
    };
    screen.error(&message, failure.hint.as_deref());
}

/// Prints the problems of recipes, each with the line it is about.
pub(super) fn problems(problems: &[Problem], workspace: &Workspace, screen: &Screen) {
    for problem in problems {
        // The text was read a moment ago; if it is gone, the place is printed without the line.
        let text = system::read(&workspace.root().join(&problem.path)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        screen.always(&diagnostics::render(problem, &text, screen.has_color(), screen.width()));
        screen.always("");
    }
}
