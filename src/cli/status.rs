//! `datac status`: what is not fresh, and why.

use serde::Serialize;

use super::{
    args::Status,
    errors, exit,
    screen::{ERROR, FAINT, GOOD, HINT, Screen, WARN},
};
use crate::{
    graph::FailureKind,
    workspace::{Assessment, RecipeStatus, State, Workspace},
};

pub(super) fn run(workspace: &Workspace, options: &Status, screen: &Screen) -> u8 {
    let assessment = match workspace.status(&options.paths) {
        Ok(assessment) => assessment,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if options.json {
        print_json(&assessment, screen);
    } else {
        print(&assessment, workspace, options.verbose, screen);
    }
    if !options.exit_code {
        return exit::OK;
    }
    let worst = assessment.recipes.iter().map(|recipe| match recipe.state {
        State::Invalid => recipe.failure.as_ref().map_or(exit::USAGE, |failure| exit::of(failure.kind)),
        State::Fresh | State::Orphan => exit::OK,
        _ => exit::FAILED,
    });
    worst.max().unwrap_or(exit::OK)
}

pub(super) fn print_json(assessment: &Assessment, screen: &Screen) {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        datac: &'static str,
        recipes: Vec<Target<'a>>,
        others: &'a [String],
        summary: std::collections::BTreeMap<&'static str, usize>,
    }
    #[derive(Serialize)]
    struct Target<'a> {
        #[serde(flatten)]
        status: &'a RecipeStatus,
        problems: Vec<String>,
    }
    let mut summary = std::collections::BTreeMap::new();
    for recipe in &assessment.recipes {
        *summary.entry(recipe.state.word()).or_default() += 1;
    }
    let recipes = assessment
        .recipes
        .iter()
        .map(|status| Target { status, problems: status.problems.iter().map(ToString::to_string).collect() })
        .collect();
    let document = Document {
        schema: "datac.status/1",
        datac: env!("CARGO_PKG_VERSION"),
        recipes,
        others: &assessment.others,
        summary,
    };
    let text = serde_json::to_string_pretty(&document).expect("a status is plain data");
    screen.data(&format!("{text}\n"));
}

/// Prints a line a recipe that is not fresh, and what to do next.
pub(super) fn print(assessment: &Assessment, workspace: &Workspace, verbose: bool, screen: &Screen) {
    let recipes = &assessment.recipes;
    let count = |state: State| recipes.iter().filter(|recipe| recipe.state == state).count();
    let width = recipes.iter().map(|recipe| recipe.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for recipe in recipes.iter().filter(|recipe| verbose || recipe.state != State::Fresh) {
        out.push_str(&line(recipe, width, screen.width()));
    }
    let fresh = count(State::Fresh);
    if fresh > 0 && !verbose && fresh < recipes.len() {
        out.push_str(&format!("{FAINT}fresh    {fresh} more, -v lists them{FAINT:#}\n"));
    }
    let states = [State::New, State::Stale, State::Edited, State::Cached, State::Invalid, State::Orphan, State::Fresh];
    let counts: Vec<String> = states
        .iter()
        .filter(|state| count(**state) > 0)
        .map(|state| format!("{} {}", count(*state), state.word()))
        .collect();
    match (recipes.is_empty(), fresh == recipes.len()) {
        (true, _) => out.push_str("no recipes found below `config/`; name a file or folder, or use `-C DIR`\n"),
        (_, true) => out.push_str(&format!("{GOOD}fresh{GOOD:#}    all {fresh} recipes are up to date\n")),
        _ => out.push_str(&format!("{}\n", counts.join(", "))),
    }
    screen.data(&out);
    if let Some(next) = next(recipes, workspace) {
        screen.say(&format!("{HINT}next:{HINT:#} {next}"));
    }
}

fn line(recipe: &RecipeStatus, width: usize, columns: usize) -> String {
    let style = match recipe.state {
        State::Fresh => GOOD,
        State::Invalid => ERROR,
        State::Orphan => FAINT,
        _ => WARN,
    };
    let head = format!("{style}{:<8}{style:#} {:<width$}", recipe.state.word(), recipe.name);
    let mut reasons: Vec<String> = recipe.problems.iter().map(ToString::to_string).collect();
    reasons.extend(recipe.reasons.iter().map(ToString::to_string));
    // In a narrow terminal reasons stand below their recipe.
    let (first, indent) = if columns < width + 40 { ("\n    ".to_owned(), 4) } else { ("  ".to_owned(), width + 11) };
    let mut out = head;
    const SHOWN: usize = 4;
    for (i, reason) in reasons.iter().take(SHOWN).enumerate() {
        out.push_str(if i == 0 { &first } else { "" });
        if i > 0 {
            out.push_str(&format!("\n{:indent$}", ""));
        }
        out.push_str(reason);
    }
    if reasons.len() > SHOWN {
        out.push_str(&format!("\n{:indent$}and {} more: datac why {}", "", reasons.len() - SHOWN, recipe.name));
    }
    let trimmed = out.trim_end().to_owned();
    trimmed + "\n"
}

fn next(recipes: &[RecipeStatus], workspace: &Workspace) -> Option<String> {
    let first = |state: State| recipes.iter().find(|recipe| recipe.state == state);
    if let Some(recipe) = recipes.iter().find(|recipe| !recipe.problems.is_empty()) {
        return Some(format!("mend {}", recipe.path));
    }
    if let Some(failure) = recipes.iter().find_map(|recipe| recipe.failure.as_ref()) {
        return failure.hint.clone();
    }
    let hub_changed = |recipe: &&RecipeStatus| recipe.reasons.iter().any(|reason| reason.text.starts_with("hub of "));
    if let Some(recipe) = recipes.iter().find(hub_changed) {
        let hub = recipe
            .reasons
            .iter()
            .find_map(|reason| reason.text.strip_prefix("hub of ")?.split(' ').nth(1).map(str::to_owned));
        let hub = hub.unwrap_or_default();
        let hub = if hub == "folder" { "FOLDER".to_owned() } else { hub };
        return Some(format!("add `--hub {hub}` to ask about the hub it was built from, or build to take the new one"));
    }
    let _ = (workspace, FailureKind::Config);
    if let Some(recipe) = first(State::Edited) {
        return Some(format!("datac build {} writes it again; move your version away first", recipe.name));
    }
    if let Some(recipe) = first(State::Stale) {
        return Some(format!("datac build, or datac why {}", recipe.name));
    }
    if first(State::New).is_some() || first(State::Cached).is_some() {
        return Some("datac build".to_owned());
    }
    let orphan = first(State::Orphan)?;
    Some(format!(
        "remove {} if they are no longer wanted",
        orphan.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ")
    ))
}
