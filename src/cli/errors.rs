//! Errors to text, hint and exit code.

use super::{
    diagnostics, exit,
    screen::{FAINT, Screen},
};
use crate::{
    config::Problem,
    failure::Failure,
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
            point_to_pages(found.iter().map(|problem| problem.code), screen);
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
        [] => ("`config/`".to_owned(), "`datac init` writes some to begin with; `-C DIR` names a workspace elsewhere"),
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
        draw(std::slice::from_ref(problem), &String::from_utf8_lossy(&text), screen);
    }
}

/// Prints the problems of the recipe whose text is `text`.
pub(super) fn draw(problems: &[Problem], text: &str, screen: &Screen) {
    for problem in problems {
        screen.always(&diagnostics::render(problem, text, screen.has_color(), screen.width()));
        screen.always("");
    }
}

/// Says where more is to be read about problems that were printed.
pub(super) fn point_to_pages<'c>(codes: impl Iterator<Item = &'c str>, screen: &Screen) {
    const SHOWN: usize = 4;
    let mut told: Vec<&str> = Vec::new();
    for code in codes {
        if !told.contains(&code) {
            told.push(code);
        }
    }
    let Some((first, more)) = told.split_first() else { return };
    let or = if more.is_empty() { "" } else { ", or of " };
    let (more, and) = (&more[..more.len().min(SHOWN)], if more.len() > SHOWN { ", …" } else { "" });
    screen.say_wrapped(&format!("{FAINT}more on it: datac explain {first}{or}{}{and}{FAINT:#}", more.join(", ")), 2);
}
