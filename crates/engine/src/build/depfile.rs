//! Writes depfiles for make and ninja, in the one syntax that both read.
//!
//! A depfile is a make rule without a recipe, as `gcc -MD -MP` writes it. make and ninja agree on how spaces, `#`, `$`
//! and `:` are quoted; a few other characters mean something to one of them whatever is put before them, and a name that
//! holds one cannot be written down.

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
    failure::{Failure, FailureKind},
    outputs,
};

/// The outputs of a build and what they depend on, relative to the current folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// The train and validation files of the recipes.
    pub outputs: Vec<PathBuf>,
    /// Recipes, folders of recipes, `datac.lock`, local source files and their folders; sorted.
    pub inputs: Vec<PathBuf>,
}

/// Returns what `make` and `ninja` have to watch to know when the recipes of `report` must be built again.
///
/// `selectors` are those that the build was asked for. Folders are listed because a file that comes or goes changes
/// nothing but its folder.
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
    // What is no recipe today may be one after the next edit.
    inputs.extend(report.others.iter().map(PathBuf::from));
    inputs.push(PathBuf::from("datac.lock"));
    let mut inputs: Vec<PathBuf> = inputs.iter().map(|path| from_here(&site.root().join(path))).collect();
    // A file that is not there would count as changed for ever.
    inputs.retain(|path| system::exists(path));
    // What one recipe writes and another reads is made on the way: no target hangs on itself.
    let made: HashSet<&Path> =
        outputs.iter().flat_map(|path: &PathBuf| [Some(&**path), path.parent()]).flatten().collect();
    inputs.retain(|path| !made.contains(&**path));
    inputs.sort();
    inputs.dedup();
    Ok(Dependencies { outputs, inputs })
}

/// Returns a path without a redundant `./`.
fn from_here(path: &Path) -> PathBuf {
    let short: PathBuf = path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
    if short.as_os_str().is_empty() { PathBuf::from(".") } else { short }
}

/// A depfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depfile {
    /// The text of the depfile.
    pub text: Vec<u8>,
    /// Files that cannot be named in a depfile.
    pub unnamed: Vec<PathBuf>,
}

impl Dependencies {
    /// Writes that `targets` depend on the inputs, with an empty rule for each input, as `gcc -MP` does: one that is
    /// deleted is then a reason to build, not an error. A name with `=` or `%` has none: make would read something else.
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
        // make takes `target: name=value` for a variable of the target, if that comes first.
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

/// Returns whether a quoted name can stand before the colon: `=` would assign, and `%` would make a pattern.
fn is_target(quoted: &[u8]) -> bool {
    !quoted.iter().any(|byte| matches!(byte, b'=' | b'%'))
}

/// Quotes a name as both make and ninja read it; `None`: there is no way to write it.
fn quoted(path: &Path) -> Option<Vec<u8>> {
    let name = path.as_os_str().as_encoded_bytes();
    let mut out = Vec::with_capacity(name.len() + 2);
    if name.starts_with(b"~") {
        // A home folder to make.
        out.extend_from_slice(b"./");
    }
    let mut rest = name.iter().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b' ' | b'#' => out.extend_from_slice(&[b'\\', *byte]),
            // At the end ninja takes it for the end of a target.
            b':' => {
                rest.peek()?;
                out.extend_from_slice(b"\\:");
            }
            b'$' => out.extend_from_slice(b"$$"),
            // Before what is quoted the two count backslashes differently.
            b'\\' if rest.peek().is_none_or(|next| b" #:$%*?[\\".contains(next)) => return None,
            b'\\' | 0x80.. | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(*byte),
            // What ninja's parser takes for part of a word; anything else ends one.
            _ if b"+,/_.~(){}%=@[]!-".contains(byte) => out.push(*byte),
            _ => return None,
        }
    }
    if name.ends_with(b")") && name.contains(&b'(') {
        // A member of an archive to make; a folder can be called otherwise.
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
