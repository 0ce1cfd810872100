//! `datac build`: builds, then prints what came of it.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{
    args::{Build, Global},
    errors, exit,
    progress::Progress,
    screen::{ERROR, FAINT, GOOD, Screen, WARN, bytes, duration, rows},
    status,
};
use crate::workspace::{BuildOptions, BuildReport, RecipeReport, State, Workspace};

pub(super) fn run(workspace: &Workspace, options: &Build, global: &Global, screen: &Screen, progress: &Progress) -> u8 {
    if options.dry_run || options.check {
        return look(workspace, options, screen);
    }
    let how = BuildOptions {
        jobs: options.jobs.map_or(0, usize::from),
        force: options.force,
        locked: options.locked,
        no_wait: options.no_wait,
        fail_fast: options.fail_fast,
        detailed: options.json,
        ..BuildOptions::default()
    };
    let built = workspace.build(&options.paths, &how);
    progress.finish();
    let report = match built {
        Ok(report) => report,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    for recipe in &report.recipes {
        errors::problems(&recipe.before.problems, workspace, screen);
        if let Some(failure) = &recipe.failure {
            errors::failed(failure, Some(&recipe.before.name), screen);
        }
    }
    if options.json {
        print_json(&report, screen);
    } else {
        print(&report, global, screen);
    }
    report.failure().map_or(exit::OK, exit::of)
}

/// `--dry-run` and `--check`: the same looks as `status`.
fn look(workspace: &Workspace, options: &Build, screen: &Screen) -> u8 {
    let assessment = match workspace.status(&options.paths) {
        Ok(assessment) => assessment,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    for recipe in &assessment.recipes {
        errors::problems(&recipe.problems, workspace, screen);
    }
    if options.json {
        status::print_json(&assessment, screen);
    } else {
        status::print(&assessment, workspace, false, screen);
    }
    let states = || assessment.recipes.iter().map(|recipe| recipe.state);
    if states().any(|state| state == State::Invalid) {
        exit::USAGE
    } else if options.check && states().any(|state| state != State::Fresh && state != State::Orphan) {
        exit::FAILED
    } else {
        exit::OK
    }
}

fn print_json(report: &BuildReport, screen: &Screen) {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        datac: &'static str,
        #[serde(flatten)]
        report: &'a BuildReport,
    }
    let document = Document { schema: "datac.build/1", datac: env!("CARGO_PKG_VERSION"), report };
    let text = serde_json::to_string_pretty(&document).expect("a report is plain data");
    screen.data(&format!("{text}\n"));
}

fn print(report: &BuildReport, global: &Global, screen: &Screen) {
    for other in &report.others {
        screen.say(&format!("{FAINT}note: {other} is no recipe (no `metadata`, no `datasets`); left out{FAINT:#}"));
    }
    if report.recipes.is_empty() {
        screen.say("no recipes found below `config/`; name a file or folder, or use `-C DIR`");
        return;
    }
    let done = |recipe: &&RecipeReport| recipe.before.state != State::Fresh || !recipe.written.is_empty();
    let touched: Vec<&RecipeReport> = report.recipes.iter().filter(done).collect();
    if touched.is_empty() {
        let what = if report.recipes.len() == 1 {
            "1 recipe is".to_owned()
        } else {
            format!("all {} recipes are", report.recipes.len())
        };
        screen.say(&format!("{GOOD}fresh{GOOD:#} {what} up to date {FAINT}({}){FAINT:#}", duration(report.elapsed_ms)));
        return;
    }
    screen.say(&table(&touched, screen));
    mixtures(&touched, screen);
    reasons(&touched, screen);
    let count = |test: &dyn Fn(&RecipeReport) -> bool| report.recipes.iter().filter(|recipe| test(recipe)).count();
    let failed = count(&|recipe| recipe.summary.is_none());
    let fresh = count(&|recipe| recipe.before.state == State::Fresh && recipe.written.is_empty());
    let mut parts = Vec::new();
    let built = report.recipes.len() - failed - fresh;
    if built > 0 {
        parts.push(format!("{GOOD}{built} built{GOOD:#}"));
    }
    if fresh > 0 {
        parts.push(format!("{fresh} fresh"));
    }
    if failed > 0 {
        parts.push(format!("{ERROR}{failed} failed{ERROR:#}"));
    }
    let actions: Vec<String> = report.actions.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let actions = if actions.is_empty() { "no action".to_owned() } else { actions.join(", ") };
    screen.say(&format!("{} in {} {FAINT}({actions}){FAINT:#}", parts.join(", "), duration(report.elapsed_ms)));
    if failed > 0 && global.hub.is_none() && report.recipes.iter().any(is_without_source) {
        screen.say("to try datac without the network: `--hub sample`");
    }
}

fn is_without_source(recipe: &RecipeReport) -> bool {
    recipe.failure.as_ref().is_some_and(|failure| failure.kind == crate::graph::FailureKind::Source)
}

/// The closing table: a line a recipe.
fn table(recipes: &[&RecipeReport], screen: &Screen) -> String {
    let is_narrow = screen.width() < 72;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut head = vec!["recipe", "train", "val", "rejects"];
    if !is_narrow {
        head.extend(["bytes", "chunks converted", "files written"]);
    }
    table.set_header(head);
    for recipe in recipes {
        let mut cells = vec![Cell::new(&recipe.before.name)];
        match &recipe.summary {
            Some(summary) => {
                let numbers = [rows(summary.train_rows), rows(summary.validation_rows), rows(summary.rejects)];
                cells.extend(numbers.map(|number| Cell::new(number).set_alignment(CellAlignment::Right)));
                if !is_narrow {
                    cells.push(Cell::new(bytes(summary.bytes)).set_alignment(CellAlignment::Right));
                    let (converted, all) = recipe.chunks;
                    cells.push(Cell::new(format!("{converted} of {all}")).set_alignment(CellAlignment::Right));
                    cells.push(Cell::new(recipe.written.len()).set_alignment(CellAlignment::Right));
                }
            }
            None => cells.push(Cell::new("failed")),
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// Asked and realised shares of recipes that mix several sources.
fn mixtures(recipes: &[&RecipeReport], screen: &Screen) {
    for (recipe, summary) in recipes.iter().filter_map(|recipe| Some((recipe, recipe.summary.as_ref()?))) {
        if summary.sources.len() < 2 {
            continue;
        }
        screen.say(&format!("mixture of {}", recipe.before.name));
        for source in &summary.sources {
            let repeats =
                if source.repeats > 0 { format!(", {} of them repeats", rows(source.repeats)) } else { String::new() };
            screen.say(&format!(
                "  {}  asked {:.2}%  realised {:.2}%  {} rows{repeats}",
                source.name,
                100.0 * source.asked,
                100.0 * source.realised,
                rows(source.rows)
            ));
        }
    }
}

/// What filters let through, and rejects by reason.
fn reasons(recipes: &[&RecipeReport], screen: &Screen) {
    for (recipe, summary) in recipes.iter().filter_map(|recipe| Some((recipe, recipe.summary.as_ref()?))) {
        for source in &summary.sources {
            let mut parts: Vec<String> = source
                .filters
                .iter()
                .map(|filter| format!("{} {} -> {}", filter.filter, rows(filter.rows_in), rows(filter.rows_out)))
                .collect();
            parts.extend(
                source.rejects.iter().map(|(reason, count)| format!("{WARN}{} {reason}{WARN:#}", rows(*count))),
            );
            if source.joined_turns > 0 {
                parts.push(format!("{} turns joined", rows(source.joined_turns)));
            }
            if !parts.is_empty() {
                screen.say(&format!("{}: {} {}", recipe.before.name, source.name, parts.join(", ")));
            }
        }
    }
}
