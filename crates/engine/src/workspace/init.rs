//! Creates a new workspace: example recipes, and the files around them. Existing files are never touched.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

use crate::{
    site::{WorkspaceError, vocabulary},
    system,
};
use datac_core::config;

macro_rules! files {
    ($($path:literal from $source:literal,)*) => { &[$(($path, include_str!(concat!("../../../../", $source)))),*] };
}

/// The files of a new workspace, by path. The schema of recipes is added to them.
const FILES: &[(&str, &str)] = files! {
    ".github/workflows/data.yml" from "assets/init/data.yml",
    ".gitignore" from "assets/init/gitignore",
    "Makefile" from "assets/init/Makefile",
    "config/data/posttrain/dpo/README.md" from "config/data/posttrain/dpo/README.md",
    "config/data/posttrain/dpo/helpfulness.yaml" from "config/data/posttrain/dpo/helpfulness.yaml",
    "config/data/posttrain/dpo/safety.yaml" from "config/data/posttrain/dpo/safety.yaml",
    "config/data/posttrain/rlaif/README.md" from "config/data/posttrain/rlaif/README.md",
    "config/data/posttrain/rlaif/grpo.yaml" from "config/data/posttrain/rlaif/grpo.yaml",
    "config/data/posttrain/rlaif/ppo.yaml" from "config/data/posttrain/rlaif/ppo.yaml",
    "config/data/posttrain/rlaif/spo.yaml" from "config/data/posttrain/rlaif/spo.yaml",
    "config/data/posttrain/sft/README.md" from "config/data/posttrain/sft/README.md",
    "config/data/posttrain/sft/code.yaml" from "config/data/posttrain/sft/code.yaml",
    "config/data/posttrain/sft/general.yaml" from "config/data/posttrain/sft/general.yaml",
    "config/data/posttrain/sft/reasoning.yaml" from "config/data/posttrain/sft/reasoning.yaml",
};

/// Path of the schema that recipes name for editors. The file is JSON, so it is never taken for a recipe.
pub const SCHEMA_PATH: &str = "config/recipe.schema.json";

/// Path of the workflow in a new workspace.
pub const WORKFLOW: &str = ".github/workflows/data.yml";

/// What `init` did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Placed {
    /// The file was written.
    Written,
    /// The file exists with the same content.
    Same,
    /// The file exists with other content, and was not changed.
    Kept,
}

/// A file that a workspace should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InitFile {
    /// Path relative to the workspace.
    pub path: String,
    /// What was done with the file.
    pub outcome: Placed,
}

/// Returns the JSON Schema of recipes, with the registered converters.
pub fn recipe_schema() -> Value {
    config::schema(&vocabulary())
}

/// Returns the text of the schema file.
pub(super) fn schema_text() -> String {
    serde_json::to_string_pretty(&recipe_schema()).expect("a schema is plain data") + "\n"
}

/// Writes the files of a new workspace, and creates its folder. Existing files are not changed.
pub(super) fn init(root: &Path) -> Result<Vec<InitFile>, WorkspaceError> {
    let schema = schema_text();
    let mut files: Vec<(&str, &str)> = FILES.to_vec();
    files.push((SCHEMA_PATH, &schema));
    files.sort_unstable();
    files.into_iter().map(|(path, text)| put_new(root, path, text)).collect()
}

/// Writes a file of the workspace unless it exists.
pub(super) fn put_new(root: &Path, path: &str, text: &str) -> Result<InitFile, WorkspaceError> {
    let place = root.join(path);
    let outcome = if system::write_new(&place, text.as_bytes())? {
        Placed::Written
    } else if system::read(&place).is_ok_and(|present| present == text.as_bytes()) {
        Placed::Same
    } else {
        Placed::Kept
    };
    Ok(InitFile { path: path.to_owned(), outcome })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{site::Settings, workspace::Workspace};

    fn repository() -> &'static std::path::Path {
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn every_file_of_the_repositorys_recipes_is_written() {
        let written: Vec<&str> =
            FILES.iter().map(|(path, _)| *path).filter(|path| path.starts_with("config/")).collect();
        let mut there: Vec<String> = walkdir::WalkDir::new(repository().join("config"))
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.path().strip_prefix(repository()).unwrap().to_str().unwrap().to_owned())
            .filter(|path| path != SCHEMA_PATH)
            .collect();
        there.sort();
        assert_eq!(written, there);
    }

    #[test]
    fn the_repositorys_schema_is_that_of_the_checker() {
        let schema = schema_text();
        let path = repository().join(SCHEMA_PATH);
        if system::env("SNAPSHOTS").as_deref() == Some("overwrite") {
            system::replace(&path, schema.as_bytes()).unwrap();
        }
        let present = String::from_utf8(system::read(&path).unwrap()).unwrap();
        assert_eq!(present, schema, "to write it: SNAPSHOTS=overwrite");
    }

    #[test]
    fn what_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(Settings::new(folder.path()));
        let (makefile, recipe) = ("Makefile", "config/data/posttrain/sft/code.yaml");
        assert!(system::write_new(&folder.path().join(makefile), b"mine:\n").unwrap());
        assert!(
            workspace
                .recipes()
                .init()
                .unwrap()
                .iter()
                .all(|file| (file.outcome == Placed::Kept) == (file.path == makefile))
        );
        system::remove(&folder.path().join(recipe)).unwrap();
        let outcome = |path: &str| match path {
            path if path == makefile => Placed::Kept,
            path if path == recipe => Placed::Written,
            _ => Placed::Same,
        };
        assert!(workspace.recipes().init().unwrap().iter().all(|file| file.outcome == outcome(&file.path)));
        assert_eq!(system::read(&folder.path().join(makefile)).unwrap(), b"mine:\n");
    }
}
