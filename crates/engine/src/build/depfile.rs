//! Writes depfiles for make and ninja, in the syntax that both read.
//!
//! A depfile is a make rule without a recipe, as `gcc -MD -MP` writes it. make and ninja agree on how spaces, `#`,
//! `$` and `:` are quoted. Some other characters are special to one of them however they are quoted, so a name with
//! such a character cannot be written.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::BuildReport;
use crate::{
    cache::Access,
    selector::recipe_folders,
    site::{Site, WorkspaceError},
    system,
};
use datac_core::{
    config::SETTINGS_FILE,
    failure::{Failure, FailureKind},
    outputs,
};

/// The outputs of a build and their dependencies, relative to the current folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// The training and validation files of the recipes.
    pub outputs: Vec<PathBuf>,
    /// Recipes, folders of recipes, `datac.lock`, `datac.toml`, local source files and their folders; sorted.
    pub inputs: Vec<PathBuf>,
}

/// Returns the files that `make` and `ninja` must watch to know when the recipes of `report` are out of date.
///
/// `selectors` are the arguments of the build. Folders are listed because adding or removing a file changes only its
/// folder.
pub(crate) fn dependencies(
    site: &Site,
    selectors: &[String],
    report: &BuildReport,
) -> Result<Dependencies, WorkspaceError> {
    let mut last = site.cache.record(Access::Read)?.recipes()?;
    let mut inputs: Vec<PathBuf> = recipe_folders(site, selectors)?;
    let mut outputs = Vec::new();
    for recipe in &report.recipes {
        inputs.push(PathBuf::from(&recipe.before.path));
        let Some(last) = last.remove(&recipe.before.path) else { continue };
        inputs.extend(last.locals.into_iter().map(|(path, _)| PathBuf::from(path)));
        let files = last.outputs.into_iter().filter(|output| !outputs::is_quarantine(&output.name));
        outputs.extend(files.map(|output| from_here(&site.outputs.file(&output.name))));
    }
    // A YAML file that is not a recipe may become one.
    inputs.extend(report.others.iter().map(PathBuf::from));
    inputs.extend(["datac.lock", SETTINGS_FILE].map(PathBuf::from));
    let mut inputs: Vec<PathBuf> = inputs.iter().map(|path| from_here(&site.root().join(path))).collect();
    // make and ninja always count a missing file as changed.
    inputs.retain(|path| system::exists(path));
    // A file that one recipe writes and another reads is both input and output; listing it as an input would make a
    // target depend on itself.
    let made: HashSet<&Path> =
        outputs.iter().flat_map(|path: &PathBuf| [Some(&**path), path.parent()]).flatten().collect();
    inputs.retain(|path| !made.contains(&**path));
    inputs.sort();
    inputs.dedup();
    Ok(Dependencies { outputs, inputs })
}

/// Returns a path without redundant `./`.
fn from_here(path: &Path) -> PathBuf {
    let short: PathBuf = path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
    if short.as_os_str().is_empty() { PathBuf::from(".") } else { short }
}

/// The text of a depfile, and the inputs missing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depfile {
    /// The text of the depfile.
    pub text: Vec<u8>,
    /// Inputs whose names cannot be written in a depfile.
    pub unnamed: Vec<PathBuf>,
}

impl Dependencies {
    /// Returns a depfile that makes `targets` depend on the inputs.
    ///
    /// Like `gcc -MP`, the depfile has an empty rule for each input, so that a deleted input causes a build rather
    /// than an error. Names with `=` or `%` have no such rule, since make would misread it.
    ///
    /// ```
    /// use datac_engine::workspace::Dependencies;
    ///
    /// let inputs = vec!["config/a b.yaml".into(), "data/$5.jsonl".into()];
    /// let depfile = Dependencies { inputs, ..Dependencies::default() }.depfile(&["out.stamp".into()]).unwrap();
    /// let text = "out.stamp: \\\n  config/a\\ b.yaml \\\n  data/$$5.jsonl\n\nconfig/a\\ b.yaml:\ndata/$$5.jsonl:\n";
    /// assert_eq!(String::from_utf8(depfile.text).unwrap(), text);
    /// ```
    pub fn depfile(&self, targets: &[PathBuf]) -> Result<Depfile, WorkspaceError> {
        let (mut text, mut unnamed) = (Vec::new(), Vec::new());
        for (number, target) in targets.iter().enumerate() {
            let name = quoted(target).filter(|name| is_target(name)).ok_or_else(|| unnameable(target))?;
            text.extend_from_slice(if number == 0 { b"" } else { b" \\\n" });
            text.extend_from_slice(&name);
        }
        let mut inputs: Vec<Vec<u8>> = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            match quoted(input) {
                Some(name) => inputs.push(name),
                None => unnamed.push(input.clone()),
            }
        }
        // make reads `target: name=value` as a variable of the target if that comes first, so such names go last.
        inputs.sort_by_key(|name| !is_target(name));
        text.push(b':');
        for input in &inputs {
            text.extend_from_slice(b" \\\n  ");
            text.extend_from_slice(input);
        }
        text.extend_from_slice(b"\n\n");
        for input in inputs.iter().filter(|name| is_target(name)) {
            text.extend_from_slice(input);
            text.extend_from_slice(b":\n");
        }
        Ok(Depfile { text, unnamed })
    }
}

fn unnameable(target: &Path) -> Failure {
    let message = format!("write a depfile: the name `{}` cannot be expressed for make or ninja", target.display());
    Failure::new(FailureKind::Config, message)
        .hint("for `--stamp`, use a name of letters, digits, `.`, `_`, `-` and `/`")
}

/// Returns whether a quoted name can be a target: make reads `=` as an assignment and `%` as a pattern.
fn is_target(quoted: &[u8]) -> bool {
    !quoted.iter().any(|byte| matches!(byte, b'=' | b'%'))
}

/// Quotes a name so that make and ninja read it alike; `None` if that is impossible.
fn quoted(path: &Path) -> Option<Vec<u8>> {
    let name = path.as_os_str().as_encoded_bytes();
    let mut out = Vec::with_capacity(name.len() + 2);
    if name.starts_with(b"~") {
        // make expands `~` to a home folder.
        out.extend_from_slice(b"./");
    }
    let mut rest = name.iter().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b' ' | b'#' => out.extend_from_slice(&[b'\\', *byte]),
            // ninja takes a colon at the end of a name for the end of a target.
            b':' => {
                rest.peek()?;
                out.extend_from_slice(b"\\:");
            }
            b'$' => out.extend_from_slice(b"$$"),
            // make and ninja count backslashes before a quoted character differently.
            b'\\' if rest.peek().is_none_or(|next| b" #:$%*?[\\".contains(next)) => return None,
            b'\\' | 0x80.. | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(*byte),
            // ninja's parser takes these for part of a word; any other character ends the word.
            _ if b"+,/_.~(){}%=@[]!-".contains(byte) => out.push(*byte),
            _ => return None,
        }
    }
    if name.ends_with(b")") && name.contains(&b'(') {
        // make reads `a(b)` as a member of an archive. `/.` avoids that, but is only possible for a folder.
        if !system::is_dir(path) {
            return None;
        }
        out.extend_from_slice(b"/.");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str) -> Option<String> {
        quoted(Path::new(name)).map(|name| String::from_utf8(name).unwrap())
    }

    #[test]
    fn names_are_quoted_or_refused() {
        for (name, wanted) in [
            ("config/sft.yaml", Some("config/sft.yaml")),
            ("a b#c$d", Some("a\\ b\\#c$$d")),
            ("c:d", Some("c\\:d")),
            ("c:", None),
            ("zürich/é.jsonl", Some("zürich/é.jsonl")),
            ("~me/x", Some("./~me/x")),
            ("back\\slash", Some("back\\slash")),
            ("back\\ slash", None),
            ("end\\", None),
            ("a;b", None),
            ("a*b", None),
            ("it's", None),
            ("line\nbreak", None),
            ("lib(member)", None),
        ] {
            assert_eq!(written(name).as_deref(), wanted, "{name:?}");
        }
    }

    #[test]
    fn a_target_that_would_be_an_assignment_is_refused() {
        let none = Dependencies::default();
        for target in ["a=b", "a%b", "x;y"] {
            assert!(none.depfile(&[target.into()]).is_err(), "{target}");
        }
        let inputs = vec!["a=1/x".into(), "b".into()];
        let text = Dependencies { inputs, ..none }.depfile(&["out".into()]).unwrap().text;
        assert_eq!(String::from_utf8(text).unwrap(), "out: \\\n  b \\\n  a=1/x\n\nb:\n");
    }
}
