//! Turns errors into text, hint and exit code.

use std::path::Path;

use super::{
    diagnostics, exit,
    screen::{FAINT, Screen},
};
use crate::{
    config::problems_of,
    failure::{Failure, FailureKind},
    system,
    workspace::{Problem, Workspace, WorkspaceError, asks_for_state},
};

/// Prints the error that kept a command from running; returns the exit code.
pub(super) fn report(error: &WorkspaceError, workspace: &Workspace, screen: &Screen) -> u8 {
    match error {
        WorkspaceError::Failure(failure) if failure.kind == FailureKind::Interrupted => {
            screen.say("interrupted; finished steps are kept. Run again to continue.");
            exit::INTERRUPTED
        }
        WorkspaceError::Failure(failure) => {
            failed(failure, None, workspace, screen);
            point_to_pages(code_of(failure).into_iter(), screen);
            exit::of(failure.kind)
        }
        WorkspaceError::Problems(found) => {
            problems(found, workspace, screen);
            point_to_pages(found.iter().map(|problem| problem.code), screen);
            exit::USAGE
        }
        WorkspaceError::Locked { .. } => {
            screen.error(&error.to_string(), Some("omit `--no-wait` to wait for it"));
            exit::LOCKED
        }
        _ => {
            screen.error(&error.to_string(), None);
            exit::FAILED
        }
    }
}

/// Reports that there is nothing to work on; returns the exit code.
///
/// This is an error, so that `build --check` in the wrong folder does not pass unnoticed, unless a state was selected.
pub(super) fn no_recipes(selectors: &[String], workspace: &Workspace, screen: &Screen) -> u8 {
    if let Some(states) = asks_for_state(selectors) {
        let words: Vec<&str> = states.iter().map(|state| state.word()).collect();
        screen.say(&format!("no recipe is in state {}", words.join(" or ")));
        return exit::OK;
    }
    let root = workspace.settings().root.clone();
    let (place, hint) = match selectors {
        [] if root == Path::new(".") => {
            let here = system::current_dir().unwrap_or_default();
            let place = format!("`config/` of {}, nor a workspace in the folders above", here.display());
            (place, "`datac init` creates some; `-C DIR` selects a workspace elsewhere")
        }
        [] => {
            let place = format!("`config/` of {}", root.display());
            (place, "`datac init` creates some; `-C DIR` selects a workspace elsewhere")
        }
        named => (format!("`{}`", named.join("`, `")), "a recipe is a YAML file with `metadata` and `datasets`"),
    };
    screen.error(&format!("no recipes below {place}"), Some(hint));
    exit::USAGE
}

/// Prints a failure: at its place in a recipe if it has one, else with the name of its recipe.
pub(super) fn failed(failure: &Failure, recipe: Option<&str>, workspace: &Workspace, screen: &Screen) {
    if let Some(entry) = failure.about.as_ref().and_then(|about| about.dataset.as_ref()) {
        // The text was read a moment ago; if it is gone, the place is the recipe as a whole.
        let text = system::read(&workspace.settings().root.join(&entry.recipe)).unwrap_or_default();
        let problems = problems_of(failure, &text);
        if !problems.is_empty() {
            return draw(&problems, &String::from_utf8_lossy(&text), screen);
        }
    }
    let message = match recipe {
        Some(recipe) => format!("`{recipe}`: {}", failure.message),
        None => failure.message.clone(),
    };
    screen.error_of_code(code_of(failure), &message, failure.hint.as_deref());
}

/// Prints the problems of recipes, each with its line.
pub(super) fn problems(problems: &[Problem], workspace: &Workspace, screen: &Screen) {
    for problem in problems {
        // The text was read shortly before. If it is gone now, the location is printed without the line.
        let text = system::read(&workspace.settings().root.join(&problem.path)).unwrap_or_default();
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

/// Returns the code of a failure, if it has one.
pub(super) fn code_of(failure: &Failure) -> Option<&'static str> {
    failure.about.as_ref().map(|about| about.fault.code())
}

/// Names the pages that explain the problems that were printed.
pub(super) fn point_to_pages<'c>(codes: impl Iterator<Item = &'c str>, screen: &Screen) {
    const SHOWN: usize = 4;
    let mut told: Vec<&str> = Vec::new();
    for code in codes {
        if !told.contains(&code) {
            told.push(code);
        }
    }
    let Some((first, more)) = told.split_first() else { return };
    let (shown, and) = (&more[..more.len().min(SHOWN)], if more.len() > SHOWN { ", …" } else { "" });
    let also = if more.is_empty() { String::new() } else { format!(" (also {}{and})", shown.join(", ")) };
    screen.say_wrapped(&format!("{FAINT}for details: datac explain {first}{also}{FAINT:#}"), 2);
}
