//! Which folder is the workspace, where none was named: the current one, one above it, or that of a recipe named by path.

use std::path::{Component, Path, PathBuf};

use super::recipe_folder::{looks_like_recipe, walk};
use crate::system;
use datac_core::{
    config::{MAX_BYTES, SETTINGS_FILE},
    failure::{Failure, FailureKind},
};

/// A workspace that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// Its folder: `.` for the current folder, else from the root of the file system on.
    pub root: PathBuf,
    /// The words that were given, with paths relative to the workspace.
    pub words: Vec<String>,
}

impl Discovered {
    /// Returns whether the workspace is another folder than the current one.
    pub fn is_elsewhere(&self) -> bool {
        self.root != Path::new(".")
    }
}

/// How many YAML files below a `config/` above are read to find out whether one is a recipe.
const LOOKED_AT: usize = 64;

/// Finds the workspace for a command that is called in the folder `here`; `words` may name recipes by path.
///
/// A recipe outside `here` that is named by path decides: its workspace is the folder above its `config/`. Otherwise `here`
/// is the workspace if it has `config/`, `datac.toml` or `datac.lock`; else the nearest folder above that has `datac.toml`,
/// `datac.lock`, or recipes below `config/`; else `here` again.
pub fn discover(here: &Path, words: &[String]) -> Result<Discovered, Failure> {
    let mut named: Vec<PathBuf> = words.iter().filter_map(|word| workspace_of(here, word)).collect();
    named.dedup();
    let root = match &named[..] {
        [] if has_any(here) => here.to_owned(),
        [] => here.ancestors().skip(1).find(|above| is_workspace(above)).unwrap_or(here).to_owned(),
        [one] => one.clone(),
        [one, other, ..] => {
            let (one, other) = (one.display(), other.display());
            let message = format!("the recipes are in different workspaces, `{one}` and `{other}`");
            return Err(Failure::plain(FailureKind::Config, message).hint("build one after the other"));
        }
    };
    let words = words.iter().map(|word| within(here, &root, word)).collect();
    Ok(Discovered { root: if root == here { PathBuf::from(".") } else { root }, words })
}

/// Returns the workspace of a recipe that is named by a path outside `here`: the folder above its `config/`.
fn workspace_of(here: &Path, word: &str) -> Option<PathBuf> {
    let is_path = word.starts_with('/') || word.starts_with("../");
    let path = plain(&here.join(word));
    let is_recipe = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if !is_path || path.starts_with(here) || !(is_recipe || system::is_dir(&path)) || !system::exists(&path) {
        return None;
    }
    let config = path.ancestors().find(|above| above.file_name().is_some_and(|name| name == "config"))?;
    config.parent().map(Path::to_owned)
}

/// Returns a word as the workspace at `root` has it: a path that was given from `here` becomes one within the workspace.
fn within(here: &Path, root: &Path, word: &str) -> String {
    let is_elsewhere = root != here || word.starts_with('/');
    let path = plain(&here.join(word));
    match path.strip_prefix(root) {
        Ok(inner) if is_elsewhere && !inner.as_os_str().is_empty() && system::exists(&path) => {
            inner.to_string_lossy().into_owned()
        }
        _ => word.to_owned(),
    }
}

/// Returns whether a folder has what every workspace has.
fn has_any(folder: &Path) -> bool {
    system::is_dir(&folder.join("config")) || is_marked(folder)
}

/// Returns whether a folder has a file of datac's.
fn is_marked(folder: &Path) -> bool {
    [SETTINGS_FILE, "datac.lock"].iter().any(|name| system::exists(&folder.join(name)))
}

/// Returns whether a folder is a workspace beyond doubt: many programs have a `config/` of their own.
fn is_workspace(folder: &Path) -> bool {
    let is_recipe = |path: &PathBuf| {
        system::read_up_to(&folder.join(path), MAX_BYTES as u64).is_ok_and(|text| looks_like_recipe(&text))
    };
    is_marked(folder)
        || system::is_dir(&folder.join("config"))
            && walk(folder, Path::new("config")).is_ok_and(|paths| paths.iter().take(LOOKED_AT).any(is_recipe))
}

/// Returns a path without `.` and `..`, by its words alone.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(here: &Path, words: &[&str]) -> (PathBuf, Vec<String>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let Discovered { root, words } = discover(here, &words).unwrap();
        (root, words)
    }

    #[test]
    fn the_workspace_is_here_above_or_where_the_recipe_is() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for path in ["one/config/sft/a.yaml", "two/config/b.yaml", "other/config/app.yaml"] {
            let text: &[u8] = if path.contains("app") { b"port: 80\n" } else { b"metadata: {}\ndatasets: []\n" };
            let path = top.join(path);
            system::create_dir(path.parent().unwrap()).unwrap();
            system::replace(&path, text).unwrap();
        }
        for path in ["one/data/deep", "other/sub", "none"] {
            system::create_dir(&top.join(path)).unwrap();
        }
        let one = top.join("one");
        let here = (PathBuf::from("."), vec!["sft/a".to_owned()]);
        assert_eq!(found(&one, &["sft/a"]), here);
        assert_eq!(found(&one.join("data/deep"), &["sft/a"]), (one.clone(), vec!["sft/a".into()]));
        assert_eq!(found(&one.join("config/sft"), &["a.yaml"]), (one.clone(), vec!["config/sft/a.yaml".into()]));
        assert_eq!(found(&top.join("none"), &["x"]).0, Path::new("."), "nothing is found, so nothing is changed");
        assert_eq!(found(&top.join("other/sub"), &[]).0, Path::new("."), "a config of another program is no workspace");
        system::create_dir(&top.join("set/deep")).unwrap();
        system::replace(&top.join("set/datac.toml"), b"").unwrap();
        assert_eq!(found(&top.join("set/deep"), &[]).0, top.join("set"));
        let path = one.join("config/sft/a.yaml").to_string_lossy().into_owned();
        assert_eq!(found(&top.join("none"), &[&path]), (one.clone(), vec!["config/sft/a.yaml".into()]));
        assert_eq!(found(&top.join("two"), &["../one/config/sft/a.yaml"]).0, one);
        assert_eq!(found(&one, &[&path]), (PathBuf::from("."), vec!["config/sft/a.yaml".into()]));
        let words = [path, "../two/config/b.yaml".to_owned()];
        assert!(discover(&top.join("none"), &words).unwrap_err().message.contains("different workspaces"));
    }
}
