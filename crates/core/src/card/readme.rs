//! `README.md`: front matter for `datasets` and the Hub, then prose and tables for people.

use std::fmt::Write as _;

use super::{AboutModel, AboutSource, Card, CardFile};
use crate::{
    hash::Hasher,
    id::FileHash,
    license::{License, Together},
    outputs::{Container, IdType, Layout, UNFIT},
    sample::SampleKind,
    shape::facts::{Column, Type},
};

/// Returns the card as text.
pub(super) fn readme(card: &Card<'_>) -> String {
    let licenses = card.about.licenses();
    let mut text = String::from("---\n");
    front_matter(card, licenses.one, &mut text);
    text.push_str("---\n\n");
    introduction(card, &mut text);
    files(card, &mut text);
    sources(card, &mut text);
    rejects(card, &mut text);
    filters(card, &mut text);
    compared(card, &mut text);
    unfit(card, &mut text);
    the_licenses(card, &licenses, &mut text);
    text
}

fn front_matter(card: &Card<'_>, license: Option<&License>, out: &mut String) {
    if let Some(license) = license {
        match license.ids.as_slice() {
            [id] if license.is_known() => line(out, &format!("license: {}", scalar(id))),
            ids if license.is_known() => {
                line(out, "license:");
                ids.iter().for_each(|id| line(out, &format!("- {}", scalar(id))));
            }
            ids => {
                line(out, "license: other");
                let name = license.name.clone().unwrap_or_else(|| ids.join(", "));
                line(out, &format!("license_name: {}", scalar(&name)));
            }
        }
        if let Some(link) = &license.link {
            line(out, &format!("license_link: {}", scalar(link)));
        }
    }
    if card.target.container.is_of_ids() {
        // Nothing here is for `datasets`.
        return;
    }
    line(out, "configs:");
    line(out, "- config_name: default");
    // `datasets` (4.0 to 5.2) keys its cache of a folder with a card by the last part of the path and by what the card says, not
    // by the bytes: without this, it would give the rows of another recipe, or those of the build before.
    line(out, &format!("  description: files {}", digest(card)));
    line(out, "  data_files:");
    for (side, files) in card.sides() {
        line(out, &format!("  - split: {}", side.word()));
        match files.as_slice() {
            [file] => line(out, &format!("    path: {}", scalar(&file.name))),
            files => {
                line(out, "    path:");
                files.iter().for_each(|file| line(out, &format!("    - {}", scalar(&file.name))));
            }
        }
    }
    line(out, "dataset_info:");
    line(out, "  features:");
    for Column { name, of } in card.columns {
        feature(name, of, "  ", out);
    }
}

/// Returns a hash of the bytes of all files of rows.
fn digest(card: &Card<'_>) -> String {
    let mut hasher = Hasher::default();
    for CardFile { name, sha256, .. } in card.files {
        hasher.update(format!("{name} {sha256}\n").as_bytes());
    }
    FileHash::new(hasher.finish()).to_string()[..16].to_owned()
}

/// Writes a feature as an item of a list, as `datasets` does.
fn feature(name: &str, of: &Type, indent: &str, out: &mut String) {
    line(out, &format!("{indent}- name: {}", scalar(name)));
    typed(of, &format!("{indent}  "), out);
}

/// Writes what a feature, or the item of a list, is.
fn typed(of: &Type, indent: &str, out: &mut String) {
    match of {
        Type::List(item) => match dtype(item) {
            Some(dtype) => line(out, &format!("{indent}list: {dtype}")),
            None => {
                line(out, &format!("{indent}list:"));
                match &**item {
                    Type::Struct(keys) => keys.iter().for_each(|(name, of)| feature(name, of, indent, out)),
                    other => typed(other, &format!("{indent}  "), out),
                }
            }
        },
        Type::Struct(keys) => {
            line(out, &format!("{indent}struct:"));
            keys.iter().for_each(|(name, of)| feature(name, of, indent, out));
        }
        other => line(out, &format!("{indent}dtype: {}", dtype(other).unwrap_or("json"))),
    }
}

/// Returns the name that `datasets` has for a type that is not made of others.
fn dtype(of: &Type) -> Option<&'static str> {
    Some(match of {
        Type::Text => "string",
        Type::Json => "json",
        Type::Bool => "bool",
        Type::Integer => "int64",
        Type::Int32 => "int32",
        Type::Int8 => "int8",
        Type::Number => "float64",
        Type::List(_) | Type::Struct(_) => return None,
    })
}

/// Says for which model rows are: ids are worth nothing without it.
fn model(model: &AboutModel, out: &mut String) {
    let commit = model.commit.as_ref().map_or_else(String::new, |commit| format!(" at `{commit}`"));
    let settings: String = model.settings.iter().map(|setting| format!(", `{setting}`")).collect();
    line(out, "");
    line(out, &format!("Rendered and encoded for the model `{}`{commit}{settings}.", model.from));
}

fn introduction(card: &Card<'_>, out: &mut String) {
    let (about, target) = (card.about, card.target);
    line(out, &format!("# {}", card.title()));
    line(out, "");
    if let Some(description) = about.description.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        line(out, description);
        line(out, "");
    }
    let sources = about.sources.iter().filter(|source| source.all_rows() > 0).count();
    let what = match about.kind {
        SampleKind::Conversation => "dialogues for supervised fine-tuning",
        SampleKind::Preference => "answers ranked by preference",
        SampleKind::Prompt => "prompts for reinforcement learning",
        SampleKind::Text => "running text for pre-training",
        SampleKind::Labelled => "answers that are labelled good or bad",
        SampleKind::Stepwise => "solutions whose steps are labelled",
    };
    let in_rows = match target.pack {
        Some(tokens) => format!(", several in each row of at most {tokens} tokens"),
        None => String::new(),
    };
    let of = if sources == 1 { "1 source".to_owned() } else { format!("{sources} sources") };
    line(
        out,
        &format!(
            "{} rows of {what}{in_rows} (phase `{}`) from {of}, in the shape `{}` as {}. Made by datac from a recipe and a lock: the same recipe \
             and the same lock give the same bytes.",
            card.rows(),
            about.phase,
            target.shape,
            match target.container {
                Container::Jsonl => "JSON Lines",
                Container::JsonlZst => "JSON Lines compressed with Zstandard",
                Container::Parquet => "Parquet",
                Container::Arrow => "Arrow streams",
                Container::Bin => "indexed datasets of Megatron-LM",
                Container::Npy => "arrays of OLMo-core",
            }
        ),
    );
    about.model.iter().for_each(|of| model(of, out));
    line(out, "");
    line(out, "```python");
    example(card, out);
    line(out, "```");
    line(out, "");
    if target.container == Container::JsonlZst {
        line(out, "Reading `.jsonl.zst` takes the package `zstandard`.");
        line(out, "");
    }
    if target.layout == Layout::Hub {
        line(out, "The folder can be uploaded to the Hub as it is.");
        line(out, "");
    }
}

/// Writes how a program opens the rows.
fn example(card: &Card<'_>, out: &mut String) {
    let first = card.files.first().map_or("", |file| file.name.as_str());
    match card.target.container {
        Container::Jsonl | Container::JsonlZst | Container::Parquet | Container::Arrow => {
            line(out, "from datasets import load_dataset");
            line(out, "");
            line(out, "dataset = load_dataset(\"path/to/this/folder\")");
        }
        Container::Bin => {
            let prefix = first.strip_suffix(".bin").unwrap_or(first);
            line(out, "from megatron.core.datasets.indexed_dataset import IndexedDataset");
            line(out, "");
            line(out, &format!("dataset = IndexedDataset(\"path/to/this/folder/{prefix}\")"));
        }
        Container::Npy => {
            let vocabulary = card.about.model.as_ref().map_or(u64::MAX, |model| model.vocabulary);
            let of = card.target.container.id_type(vocabulary).map_or("uint32", IdType::name);
            line(out, "import numpy");
            line(out, "");
            line(out, &format!("ids = numpy.memmap(\"path/to/this/folder/{first}\", dtype=\"{of}\", mode=\"r\")"));
        }
    }
}

fn files(card: &Card<'_>, out: &mut String) {
    line(out, "## Files");
    line(out, "");
    let rows = card.sides().map(|(side, files)| {
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let names: Vec<String> = match files.as_slice() {
            [first, .., last] if files.len() > 4 => {
                vec![format!("{} to {} ({} files)", code(&first.name), code(&last.name), files.len())]
            }
            files => files.iter().map(|file: &&CardFile| code(&file.name)).collect(),
        };
        vec![side.word().to_owned(), rows.to_string(), names.join(", ")]
    });
    table(&["side", "rows", "files"], rows, out);
}

fn sources(card: &Card<'_>, out: &mut String) {
    let sources = &card.about.sources;
    line(out, "## Sources");
    line(out, "");
    let origin = |source: &AboutSource| {
        let part = if source.part.is_empty() { String::new() } else { format!(" ({})", source.part.join(", ")) };
        format!("{}{part}", code(&source.from))
    };
    let rows = sources.iter().map(|source| {
        vec![
            code(&source.name),
            origin(source),
            source.commit.as_deref().map_or_else(|| "file of the workspace".to_owned(), code),
            source.license.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string),
        ]
    });
    table(&["source", "from", "commit", "licence"], rows, out);
    let all: u64 = sources.iter().filter(|source| source.share.is_some()).map(|source| source.units).sum();
    let rows = sources.iter().map(|source| {
        let rejected: u64 = source.rejects.iter().map(|(_, count)| count).sum();
        let realised = match source.share {
            Some(_) if all > 0 => percent(source.units as f64 / all as f64),
            _ => source.role.to_owned(),
        };
        vec![
            code(&source.name),
            source.read.to_string(),
            rejected.to_string(),
            source.kept.to_string(),
            source.share.map_or_else(|| source.role.to_owned(), percent),
            realised,
            source.rows.train.to_string(),
            source.rows.validation.to_string(),
            source.rows.test.to_string(),
        ]
    });
    let heads =
        ["source", "rows read", "rejected", "kept", "share asked", "share realised", "train", "validation", "test"];
    table(&heads, rows, out);
    line(out, &format!("Shares count {}.", card.about.unit));
    let repeated: Vec<String> = sources
        .iter()
        .filter(|source| source.repeats > 0)
        .map(|source| format!("{} of {}", source.repeats, code(&source.name)))
        .collect();
    if !repeated.is_empty() {
        line(
            out,
            &format!(
                "To reach its share, a source that is too small is repeated: rows that are repeats: {}.",
                repeated.join(", ")
            ),
        );
    }
    line(out, "");
}

fn rejects(card: &Card<'_>, out: &mut String) {
    let sources = card.about.sources.iter();
    let rows: Vec<Vec<String>> = sources
        .flat_map(|source| {
            source.rejects.iter().map(|(reason, count)| vec![code(&source.name), code(reason), count.to_string()])
        })
        .collect();
    if !rows.is_empty() {
        line(out, "## Rejected rows");
        line(out, "");
        table(&["source", "reason", "rows"], rows.into_iter(), out);
    }
}

fn filters(card: &Card<'_>, out: &mut String) {
    let sources = card.about.sources.iter();
    let rows: Vec<Vec<String>> = sources
        .flat_map(|source| {
            let of = |(filter, before, after): &(String, u64, u64)| {
                vec![code(&source.name), code(filter), before.to_string(), after.to_string()]
            };
            source.filters.iter().map(of)
        })
        .collect();
    if !rows.is_empty() {
        line(out, "## Filters");
        line(out, "");
        table(&["source", "filter", "rows before", "rows after"], rows.into_iter(), out);
    }
}

fn compared(card: &Card<'_>, out: &mut String) {
    let sources = card.about.sources.iter();
    let rows: Vec<Vec<String>> = sources
        .flat_map(|source| {
            source.left.iter().map(|(why, count)| vec![code(&source.name), (*why).to_owned(), count.to_string()])
        })
        .collect();
    if !rows.is_empty() {
        line(out, "## Rows left out when sources were compared");
        line(out, "");
        table(&["source", "because", "rows"], rows.into_iter(), out);
    }
}

fn unfit(card: &Card<'_>, out: &mut String) {
    if card.unfit.is_empty() {
        return;
    }
    let all: u64 = card.unfit.iter().map(|(.., count)| count).sum();
    line(out, "## Samples that do not fit");
    line(out, "");
    let are = if all == 1 { "1 sample is".to_owned() } else { format!("{all} samples are") };
    line(
        out,
        &format!(
            "{are} counted above and not in the files, because the shape has no place for them; {} lists them.",
            code(UNFIT)
        ),
    );
    line(out, "");
    let rows = card.unfit.iter().map(|(source, what, count)| vec![code(source), what.clone(), count.to_string()]);
    table(&["source", "no place for", "samples"], rows, out);
}

fn the_licenses(card: &Card<'_>, licenses: &Together<'_>, out: &mut String) {
    line(out, "## Licences");
    line(out, "");
    let Together { one, strictest, notes } = licenses;
    match (one, strictest) {
        (Some(one), _) => line(out, &format!("All rows come from sources under one licence: {}.", shown(one))),
        (None, Some(strictest)) => line(
            out,
            &format!(
                "The sources are under different licences, or some state none. The most restrictive that is stated: {}.",
                shown(strictest)
            ),
        ),
        (None, None) => line(out, "What the rows may be used for is not known."),
    }
    line(out, "");
    if !notes.is_empty() {
        notes.iter().for_each(|note| line(out, &format!("- {note}")));
        line(out, "");
    }
    for source in &card.about.sources {
        let words = match &source.license {
            Some(license) => format!("{}, stated by {}", shown(license), license.stated),
            None => "no licence is stated".to_owned(),
        };
        let unused = if source.all_rows() == 0 { "; none of its rows are written" } else { "" };
        line(out, &format!("- {}: {words}{unused}.", code(&source.name)));
    }
    line(out, "");
    line(
        out,
        "Licences are those that the sources state. datac compares them by their names; that is no legal advice.",
    );
}

fn shown(license: &License) -> String {
    let ids: Vec<String> = license.ids.iter().map(|id| code(id)).collect();
    let name = license.name.as_ref().map_or_else(String::new, |name| format!(" ({})", plain(name)));
    let link = license.link.as_ref().map_or_else(String::new, |link| format!(" <{}>", plain(link)));
    format!("{}{name}{link}", ids.join(", "))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Writes a table; columns whose values are all digits stand at the right.
fn table<const N: usize>(heads: &[&str; N], rows: impl Iterator<Item = Vec<String>>, out: &mut String) {
    let rows: Vec<Vec<String>> = rows.collect();
    let is_number = |at: usize| {
        let is_digits = |row: &Vec<String>| row[at].trim_end_matches('%').parse::<f64>().is_ok();
        rows.iter().all(is_digits)
    };
    line(out, &format!("| {} |", heads.join(" | ")));
    out.push('|');
    (0..N).for_each(|at| out.push_str(if is_number(at) { "---:|" } else { "---|" }));
    out.push('\n');
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|").replace(['\n', '\r'], " ")).collect();
        line(out, &format!("| {} |", cells.join(" | ")));
    }
    line(out, "");
}

fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('`', "'"))
}

fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// Returns a share in percent, with one digit behind the point.
fn percent(share: f64) -> String {
    let mut text = format!("{:.1}", share * 100.0);
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    text.push('%');
    text
}

/// Returns a text as a scalar that every reader of YAML takes for a string.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    // JSON is YAML; all but ASCII is escaped for readers that refuse some of it.
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            ' '..='~' => quoted.push(c),
            _ if u32::from(c) > 0xffff => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
            _ => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}
