//! `datac stats`: statistics of outputs.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::{
    document::{self, Content},
    errors, exit, schema,
    screen::{FAINT, Screen, WARN, bytes, rows, wrapped},
};
use crate::workspace::{Lengths, Numbers, RecipeStats, RoleNumbers, SideTokens, Stats, Workspace};
use clap::Args;

/// Options of `stats`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac stats                  every recipe's files
  datac stats sft --json       recipes that match `sft`, as JSON")]
pub(super) struct Options {
    /// Recipes: names, globs, files, folders, outputs, source:ID, converter:NAME, state:WORD; `+x` adds what x
    /// depends on, `x+` what depends on x [default: all below config/]
    #[arg(value_name = "SELECTOR")]
    pub(super) selectors: Vec<String>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(super) json: bool,
}

impl Content for Stats {
    const SCHEMA: &'static str = "datac.stats/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[schema::of::<Stats>()];

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let stats = match workspace.outputs().stats(&options.selectors) {
        Ok(stats) => stats,
        Err(error) => return errors::report(&error, workspace, screen),
    };
    if stats.recipes.is_empty() {
        return errors::no_recipes(&options.selectors, workspace, screen);
    }
    if options.json {
        document::print(&stats, screen);
        return exit::OK;
    }
    let columns = screen.data_width();
    let parts: Vec<String> = stats.recipes.iter().map(|recipe| recipe_text(recipe, columns)).collect();
    screen.data(&parts.join("\n"));
    exit::OK
}

fn recipe_text(recipe: &RecipeStats, columns: Option<usize>) -> String {
    if recipe.files.is_empty() {
        return format!("{} {FAINT}has no files yet{FAINT:#}\n", recipe.name);
    }
    let mut out = format!("{}\n", recipe.name);
    for line in table(recipe, columns).lines() {
        out.push_str(format!("  {line}").trim_end());
        out.push('\n');
    }
    for file in &recipe.files {
        let what = format!("{} length (characters, log2 bins)", side(&file.output));
        out.push_str(&lengths(&what, &file.all.lengths, columns));
        if file.unreadable > 0 {
            let text = format!("{WARN}{} lines of {} are not rows{WARN:#}", rows(file.unreadable), file.output);
            out.push_str(&format!("  {}\n", wrapped(&text, 2, 4, columns)));
        }
    }
    if let Some(why) = &recipe.tokens_unknown {
        let text = format!("{WARN}tokens unknown{WARN:#}: {why}");
        out.push_str(&format!("  {}\n", wrapped(&text, 2, 4, columns)));
    }
    for SideTokens { side, all, .. } in &recipe.tokens {
        let share = 100.0 * all.trained as f64 / all.tokens.max(1) as f64;
        let text = format!("{} tokens: {}, {share:.1}% trained on", side.word(), rows(all.tokens));
        out.push_str(&lengths(&format!("{text}; length (log2 bins)"), &all.lengths, columns));
        if let Some(roles) = &all.roles {
            out.push_str(&format!("  {}\n", wrapped(&by_role(side.word(), roles), 2, 4, columns)));
        }
    }
    for source in &recipe.sources {
        let mut parts = Vec::new();
        if source.mixed && recipe.sources.iter().filter(|source| source.mixed).count() > 1 {
            let (asked, realised) = (100.0 * source.asked, 100.0 * source.realised);
            parts.push(format!("requested {asked:.2}%, actual {realised:.2}%"));
        }
        if source.repeats > 0 {
            parts.push(format!("{} repeats", rows(source.repeats)));
        }
        parts.extend(source.filters.iter().map(|filter| {
            format!("{}\u{a0}{}\u{a0}->\u{a0}{}", filter.filter, rows(filter.rows_in), rows(filter.rows_out))
        }));
        let rejects =
            source.rejects.iter().map(|(reason, count)| format!("rejected\u{a0}{}\u{a0}{reason}", rows(*count)));
        parts.extend(rejects);
        if !parts.is_empty() {
            out.push_str(&format!("  {}\n", wrapped(&format!("{}: {}", source.name, parts.join(", ")), 2, 4, columns)));
        }
    }
    out
}

/// Says what the tokens of a side stand for.
fn by_role(side: &str, roles: &RoleNumbers) -> String {
    let RoleNumbers { system, user, assistant, tool, template, unknown_samples } = *roles;
    let all = (system + user + assistant + tool + template).max(1);
    let named = [("system", system), ("user", user), ("assistant", assistant), ("tool", tool), ("template", template)];
    let share = |(name, tokens): (&str, u64)| format!("{name}\u{a0}{:.1}%", 100.0 * tokens as f64 / all as f64);
    let shares: Vec<String> = named.into_iter().filter(|(_, tokens)| *tokens > 0).map(share).collect();
    let mut text = format!("{side} tokens by role: {}", shares.join(", "));
    if unknown_samples > 0 {
        text.push_str(&format!("; not known of {} samples", rows(unknown_samples)));
    }
    text
}

/// Lays out one line per file, and one per source if there are several.
fn table(recipe: &RecipeStats, columns: Option<usize>) -> String {
    let is_narrow = columns.is_some_and(|columns| columns < 90);
    let is_narrowest = columns.is_some_and(|columns| columns < 60);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut head = vec!["", "rows"];
    if !is_narrowest {
        head.extend(["characters", "repeated"]);
    }
    if !is_narrow {
        head.extend(["words", "turns", "size"]);
    }
    table.set_header(head);
    let mut line = |name: String, numbers: &Numbers, size: String| {
        // Rows of ids hold no text.
        let is_text = numbers.rows == 0 || !numbers.lengths.lengths.is_empty();
        let of_text = |count: u64| if is_text { rows(count) } else { String::new() };
        let mut cells = vec![name, rows(numbers.rows)];
        if !is_narrowest {
            cells.extend([of_text(numbers.characters), of_text(numbers.repeated_prompts)]);
        }
        if !is_narrow {
            cells.extend([of_text(numbers.words), of_text(numbers.turns), size]);
        }
        table.add_row(cells.into_iter().map(Cell::new).collect::<Vec<_>>());
    };
    for file in &recipe.files {
        let name = if is_narrowest { side(&file.output).to_owned() } else { file.output.clone() };
        line(name, &file.all, bytes(file.bytes));
        for (source, numbers) in file.sources.iter().filter(|_| file.sources.len() > 1) {
            let share = format!("{:.1}%", 100.0 * numbers.rows as f64 / file.all.rows.max(1) as f64);
            line(format!("  {source}"), numbers, share);
        }
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    let left_out: &[&str] = match (is_narrowest, is_narrow) {
        (true, _) => &["characters", "repeated", "words", "turns", "size"],
        (false, true) => &["words", "turns", "size"],
        (false, false) => return table.trim_fmt(),
    };
    let left_out = format!("{FAINT}no room for {}: widen the terminal, or use --json{FAINT:#}", left_out.join(", "));
    format!("{}\n{}", table.trim_fmt(), wrapped(&left_out, 2, 2, columns))
}

/// Returns the last word of a file's name, `train` or `val`; of a shape's file, its place in the recipe's folder.
fn side(output: &str) -> &str {
    if let Some((_, of_shape)) = output.split_once('/') {
        return of_shape;
    }
    output.trim_end_matches(".jsonl").rsplit('_').next().unwrap_or(output)
}

/// Draws a histogram of row lengths with one column per power of two.
fn lengths(what: &str, numbers: &Lengths, columns: Option<usize>) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(first) = numbers.lengths.iter().position(|count| *count > 0) else { return String::new() };
    let most = numbers.lengths.iter().copied().max().unwrap_or(1).max(1);
    let height = |count: &u64| match count {
        0 => ' ',
        count => HEIGHTS[((count * 8).div_ceil(most) as usize).clamp(1, 8) - 1],
    };
    let plot: String = numbers.lengths[first..].iter().map(height).collect();
    let shortest = if first == 0 { 0 } else { 1_u64 << (first - 1) };
    let text = format!(
        "{what}  {} {plot} {}  {FAINT}median {}{FAINT:#}",
        rows(shortest),
        rows(numbers.longest),
        rows(numbers.median)
    );
    format!("  {}\n", wrapped(&text, 2, 4, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_drawn_from_the_first_to_the_last() {
        let mut all = Lengths::default();
        (all.lengths, all.longest, all.median) = (vec![0, 0, 1, 0, 8, 4], 30, 9);
        let text = anstream::adapter::strip_str(&lengths("val length", &all, None)).to_string();
        assert_eq!(text, "  val length  2 ▁ █▄ 30  median 9\n");
        assert_eq!(side("sft_a_val.jsonl"), "val");
    }
}
