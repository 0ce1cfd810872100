//! Creates a recipe file: commented, valid, and never in place of an existing file.

use std::{fmt::Write as _, path::Path};

use super::init::{InitFile, Placed, SCHEMA_PATH, put_new, schema_text};
use crate::{
    site::{Site, WorkspaceError},
    source,
};
use datac_core::{
    config::{self, RowFormat, Vocabulary},
    convert,
    failure::{Failure, FailureKind},
    sample::SampleKind,
};

/// Description of a new recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecipe {
    /// Name of the recipe: a file name, or a path below `config/`.
    pub name: String,
    /// Phase: `sft`, `dpo`, `reward`, `kto`, `prm`, `rlaif`, `pretrain` or `midtrain`.
    pub phase: String,
    /// A Hub id, or a file or folder of the workspace.
    pub source: String,
    /// `format` of the recipe, where `Some(None)` is the Hub; `None` to infer the format from the file's extension,
    /// or else use the Hub.
    pub format: Option<Option<RowFormat>>,
    /// Name of a converter; `None` to choose it when the recipe is built.
    pub converter: Option<String>,
}

/// Writes a new recipe, and the schema that it names for editors if that does not exist.
///
/// Nothing is written if the recipe would be invalid, if another recipe writes the same outputs, or if the file
/// exists.
pub(super) fn create(site: &Site, new: &NewRecipe) -> Result<Vec<InitFile>, WorkspaceError> {
    let path = path_of(new)?;
    let text = template(site.recipes.vocabulary(), new, &path);
    let recipe = site.recipes.load(&path, text.as_bytes()).map_err(|problems| {
        let problem = problems.into_iter().next().expect("what is refused has a problem");
        refuse(format!("{} [{}]", problem.message, problem.code), problem.hint)
    })?;
    let all = site.recipes.find_all()?;
    let others: Vec<_> = all
        .recipes
        .iter()
        .filter(|other| other.path != path)
        .filter_map(|other| Some((other, site.recipes.load(&other.path, &other.text).ok()?)))
        .collect();
    let written = others.iter().map(|(other, recipe)| (other.path.as_str(), recipe, other.text.as_slice()));
    let written: Vec<_> = written.chain([(path.as_str(), &recipe, text.as_bytes())]).collect();
    if let Some(problem) = config::check_collisions(&written).into_iter().find(|problem| problem.path == path) {
        let hint = Some("choose another name: outputs are named after phase and file name".to_owned());
        return Err(refuse(format!("{} [{}]", problem.message, problem.code), hint));
    }
    let root = site.root();
    let placed = put_new(root, &path, &text)?;
    if placed.outcome != Placed::Written {
        return Err(refuse(format!("`{path}` already exists"), Some("choose another name".to_owned())));
    }
    let schema = put_new(root, SCHEMA_PATH, &schema_text())?;
    Ok([placed].into_iter().chain((schema.outcome == Placed::Written).then_some(schema)).collect())
}

fn template(vocabulary: &Vocabulary, new: &NewRecipe, path: &str) -> String {
    let name = Path::new(&new.source).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = name.split('.').next().unwrap_or_default();
    let stem = Path::new(path).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let kind = config::kind_of(&new.phase).unwrap_or(SampleKind::Conversation);
    let what = match kind {
        SampleKind::Conversation => "Conversations",
        SampleKind::Preference => "Preference pairs",
        SampleKind::Labelled => "Labelled answers",
        SampleKind::Stepwise => "Labelled steps",
        SampleKind::Prompt => "Prompts",
        SampleKind::Text => "Text",
    };
    let field = kind.default_field();
    let up = "../".repeat(path.matches('/').count() - 1);
    let schema = Path::new(SCHEMA_PATH).file_name().expect("it has a name").to_string_lossy();
    let format = new.format.unwrap_or_else(|| source::format_of(&new.source));
    let (source, phase) = (scalar(&new.source), &new.phase);
    let mut text = format!(
        "# yaml-language-server: $schema={up}{schema}\n\
         # {what} from {}.\n\
         # Writes dataset/{phase}_{stem}_train.jsonl and dataset/{phase}_{stem}_val.jsonl.\n\
         metadata:\n  phase: {phase}\n\n\
         datasets:\n  - name: {} # the `source` of every row\n    source: {source}\n",
        new.source.escape_debug(),
        scalar(name),
    );
    if format.is_some() {
        writeln!(text, "    format: {}", config::format_word(format)).expect("a String takes every write");
    }
    text.push_str("    mix_ratio: 1.0 # share of the mixture; all shares sum to 1.0\n");
    let fitting = vocabulary.converters.iter().filter(|word| word.kind == kind);
    let fitting: Vec<&str> = fitting.map(|word| word.name.as_str()).collect();
    match &new.converter {
        Some(converter) => writeln!(text, "    converter: {}", scalar(converter)),
        None => {
            let own =
                convert::CONVERTERS.iter().find(|of| of.kind() == kind && of.repos().contains(&new.source.as_str()));
            let own = own.map_or(fitting[0], |of| of.name());
            writeln!(text, "    # converter: {own} # default: chosen by the columns; one of {}", fitting.join(", "))
        }
    }
    .expect("a String takes every write");
    write!(
        text,
        "    # splits: [train]\n    \
             # max_samples: 10000 # the first rows that pass the filters\n    \
             # text_field: {field} # what filters measure\n    \
             # filters:\n    \
             #   - {{ type: length, min_length: 20, max_length: 2000 }} # characters\n    \
             #   - {{ type: deduplication, method: exact }}\n\n\
         validation:\n  ratio: 0.05\n  seed: 42\n\n\
         # max_rejects: 1% # of the rows read; without it any number\n"
    )
    .expect("a String takes every write");
    text
}

/// Returns the path of the new recipe, relative to the workspace.
fn path_of(new: &NewRecipe) -> Result<String, WorkspaceError> {
    let name = new.name.strip_suffix(".yaml").or(new.name.strip_suffix(".yml")).unwrap_or(&new.name);
    let name = name.strip_prefix("config/").filter(|rest| rest.contains('/')).unwrap_or(name);
    let fault = name.split('/').find_map(|part| match part {
        "" => Some("has an empty part".to_owned()),
        ".." => Some("points outside `config/`".to_owned()),
        part => config::file_name_fault(part).map(|what| what.into_owned()),
    });
    match fault {
        Some(what) => {
            let hint = "use letters, digits, `.`, `_` and `-`; with `/` the name is a path below `config/`".to_owned();
            Err(refuse(format!("invalid recipe name `{}`: it {what}", new.name.escape_debug()), Some(hint)))
        }
        None if name.contains('/') => Ok(format!("config/{name}.yaml")),
        None => Ok(format!("config/data/posttrain/{}/{name}.yaml", new.phase)),
    }
}

fn refuse(message: String, hint: Option<String>) -> WorkspaceError {
    let failure = Failure::plain(FailureKind::Config, message);
    hint.into_iter().fold(failure, Failure::hint).into()
}

/// Returns a value as YAML, quoted if YAML would read a plain value differently.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
        && text.parse::<f64>().is_err()
        && !["true", "false", "null"].contains(&text.to_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::to_string(text).expect("text is plain data") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{site::Settings, system, workspace::Workspace};

    fn recipe(name: &str, phase: &str, source: &str) -> NewRecipe {
        NewRecipe { name: name.into(), phase: phase.into(), source: source.into(), format: None, converter: None }
    }

    #[test]
    fn whatever_is_written_is_sound_and_says_which_files_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(Settings::new(folder.path()));
        for (new, path) in [
            (recipe("a", "sft", "org/name"), "config/data/posttrain/sft/a.yaml"),
            (recipe("b.yaml", "dpo", "Anthropic/hh-rlhf"), "config/data/posttrain/dpo/b.yaml"),
            (recipe("c", "rlaif", "gsm8k"), "config/data/posttrain/rlaif/c.yaml"),
            (recipe("deep/er/d", "sft", "data/own 1.jsonl.gz"), "config/deep/er/d.yaml"),
            (recipe("config/x/e", "sft", "data/12.csv"), "config/x/e.yaml"),
            (recipe("k", "kto", "a/b"), "config/data/posttrain/kto/k.yaml"),
            (recipe("p", "prm", "a/b"), "config/data/posttrain/prm/p.yaml"),
            (
                NewRecipe { converter: Some("prompts".into()), ..recipe("f", "rlaif", "a/b") },
                "config/data/posttrain/rlaif/f.yaml",
            ),
            (
                NewRecipe { format: Some(Some(RowFormat::Parquet)), ..recipe("g", "sft", "data/folder") },
                "config/data/posttrain/sft/g.yaml",
            ),
        ] {
            let placed = workspace.recipes().create(&new).unwrap_or_else(|error| panic!("{new:?}: {error}"));
            assert_eq!(placed[0].path, path);
            let text = String::from_utf8(system::read(&folder.path().join(path)).unwrap()).unwrap();
            let loaded = config::load(path, text.as_bytes(), &crate::site::vocabulary()).unwrap();
            assert_eq!(loaded.datasets[0].location.source(), new.source);
            assert!(text.contains(&format!("dataset/{}_train.jsonl", loaded.outputs(path).stem())), "{text}");
            let schema = text.lines().next().unwrap().split_once("$schema=").unwrap().1;
            assert!(system::exists(&folder.path().join(path).parent().unwrap().join(schema)), "{text}");
            // What is commented out must also be valid.
            let said = |line: &str| match line.strip_prefix("    # ").map(|rest| format!("    {rest}")) {
                Some(rest) if new.converter.is_none() || !rest.contains("converter") => rest,
                _ => line.strip_prefix("# max").map_or(line.to_owned(), |rest| format!("max{rest}")),
            };
            let whole: String = text.lines().map(|line| said(line) + "\n").collect();
            let all = config::load(path, whole.as_bytes(), &crate::site::vocabulary())
                .unwrap_or_else(|problems| panic!("{whole}: {}", problems[0]));
            assert_eq!(
                (all.datasets[0].filters.len(), all.datasets[0].take.first(), all.max_rejects.is_some()),
                (2, Some(10_000), true)
            );
        }
        assert_eq!(workspace.recipes().find(&[]).unwrap().recipes.len(), 9);
    }

    #[test]
    fn nothing_is_written_over_or_outside() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(Settings::new(folder.path()));
        workspace.recipes().create(&recipe("a", "sft", "org/name")).unwrap();
        let before = system::read(&folder.path().join("config/data/posttrain/sft/a.yaml")).unwrap();
        for (new, word) in [
            (recipe("a", "sft", "org/other"), "already exists"),
            (recipe("x/A", "sft", "org/other"), "E0132"),
            (recipe("../a", "sft", "org/name"), "points outside"),
            (recipe("/tmp/a", "sft", "org/name"), "empty part"),
            (recipe("", "sft", "org/name"), "empty part"),
            (recipe("x/.a", "sft", "org/name"), "starts with a dot"),
            (recipe("a:b", "sft", "org/name"), "the character `:`"),
            (recipe("b", "sft", "not an id"), "E0123"),
            (recipe("b", "sft", "../own.jsonl"), "E0123"),
            (NewRecipe { converter: Some("alpacca".into()), ..recipe("b", "sft", "a/b") }, "E0126"),
            (NewRecipe { converter: Some("hh_rlhf".into()), ..recipe("b", "sft", "a/b") }, "E0127"),
        ] {
            let error = workspace.recipes().create(&new).unwrap_err().to_string();
            assert!(error.contains(word), "{new:?}: {error}");
        }
        assert_eq!(workspace.recipes().find(&[]).unwrap().recipes.len(), 1);
        assert_eq!(system::read(&folder.path().join("config/data/posttrain/sft/a.yaml")).unwrap(), before);
    }
}
