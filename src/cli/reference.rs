//! Generates `docs/commands.md` from the definition of the command line; a test checks that the file is current.

use std::{fmt::Write as _, path::Path};

use clap::{Arg, Command, CommandFactory};

use super::args::Arguments;
use crate::system;

const HEAD: &str = "\
# Commands

Every command with its options, as `datac COMMAND --help` has them. This page is written by
`SNAPSHOTS=overwrite cargo test --release --lib reference`.
";

fn commands() -> Command {
    let mut command = Arguments::command();
    command.build();
    command
}

fn below(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| below.get_name() != "help")
}

/// Returns the subcommands of a command, at all levels, with their full names, such as `log diff`.
fn all_below(command: &Command, above: &str) -> Vec<(String, Command)> {
    let named = |below: &Command| {
        let name = format!("{above}{}", below.get_name());
        [(name.clone(), below.clone())].into_iter().chain(all_below(below, &format!("{name} "))).collect::<Vec<_>>()
    };
    below(command).flat_map(named).collect()
}

fn reference(command: &Command) -> String {
    let mut out = HEAD.to_owned();
    let all = all_below(command, "");
    out.push_str("\n| command | |\n|---|---|\n");
    for (name, below) in &all {
        let about = below.get_about().unwrap_or_default().to_string();
        writeln!(out, "| [`{name}`](#datac-{}) | {} |", name.replace(' ', "-"), cell(&about)).unwrap();
    }
    for (name, below) in &all {
        section(&mut out, name, below);
    }
    out.push_str("\n## Options of every command\n\n");
    table(&mut out, command.get_arguments().filter(|arg| arg.is_global_set()));
    writeln!(out, "\n```text\n{}\n```", command.get_after_help().unwrap_or_default()).unwrap();
    out
}

fn section(out: &mut String, name: &str, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    let about = command.get_about().unwrap_or_default();
    writeln!(out, "\n## datac {name}\n\n{about}.\n\n```text\n{usage}\n```\n").unwrap();
    table(out, command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help"));
    if let Some(after) = command.get_after_help() {
        writeln!(out, "\n```text\n{after}\n```").unwrap();
    }
}

fn table<'a>(out: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let rows: Vec<String> = arguments.map(row).collect();
    if !rows.is_empty() {
        writeln!(out, "| | |\n|---|---|\n{}", rows.join("\n")).unwrap();
    }
}

fn row(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("`-{short}`")));
    let takes_value = arg.get_action().takes_values();
    let value = arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
    match arg.get_long() {
        Some(long) if takes_value => names.push(format!("`--{long} <{value}>`")),
        Some(long) => names.push(format!("`--{long}`")),
        None => names.push(format!("`{value}`")),
    }
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes_value && !values.is_empty() {
        write!(help, ": {}", values.join(", ")).unwrap();
    }
    format!("| {} | {} |", cell(&names.join(", ")), cell(&help))
}

/// Escapes text for a table cell, so that nothing outside of code is read as HTML.
fn cell(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 0 { part.replace('<', "\\<") } else { format!("`{part}`") });
    parts.collect::<String>().replace('|', "\\|")
}

#[test]
fn the_reference_is_what_the_command_line_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let text = reference(&commands());
    if system::env("SNAPSHOTS").as_deref() == Some("overwrite") {
        system::replace(&path, text.as_bytes()).unwrap();
    }
    let present = String::from_utf8(system::read(&path).unwrap_or_default()).unwrap();
    assert!(present == text, "docs/commands.md is not what the command line says; to write it: SNAPSHOTS=overwrite");
}

#[test]
fn every_command_shows_examples_and_describes_its_options() {
    let all = all_below(&commands(), "");
    let after = |command: &Command| command.get_after_help().unwrap_or_default().to_string();
    for (name, command) in &all {
        // The examples of a subcommand may be among those of its parent.
        let above = name.rsplit_once(' ').and_then(|(above, _)| all.iter().find(|(name, _)| name == above));
        let is_shown_above = above.is_some_and(|(_, above)| after(above).contains(&format!("\n  datac {name}")));
        let has_examples = after(command).contains("Examples:\n  datac ") || is_shown_above;
        assert!(has_examples, "`datac {name} --help` has no examples");
        let about = command.get_about().unwrap_or_default().to_string();
        assert!(!about.is_empty() && !about.ends_with('.'), "`datac {name}` is not described");
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "`datac {name}`: `{}` is not described", arg.get_id());
        }
    }
}
