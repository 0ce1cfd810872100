//! What a module in Python imports from the workspace, as its text says it.
//!
//! A key has to hold all files that decide what a function does, and making it must not take an interpreter. So imports are read off
//! the text, wherever they stand, and looked for where the interpreter would: beside the module, and in the workspace. That finds too
//! much rather than too little, such as the words of a docstring. What a module finds by other means, the worker that runs it
//! reports, and the build refuses: see `driver/python`.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use super::SourceError;
use crate::system;

/// The files of the workspace that a module imports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// The files, relative to the workspace.
    pub(super) files: BTreeSet<PathBuf>,
    /// Where files would be found that are not there now.
    pub(super) absent: BTreeSet<PathBuf>,
}

/// Returns what the module at a path of the workspace imports, and what that imports; also the `__init__.py` of its own folders.
pub(super) fn imports_of(root: &Path, module: &Path) -> Result<Imports, SourceError> {
    let folder = module.parent().unwrap_or(Path::new(""));
    let bases: BTreeSet<&Path> = [folder, Path::new("")].into();
    let mut imports = Imports::default();
    let mut queue = vec![module.to_owned()];
    for folder in folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
        imports.look_for(root, folder.join("__init__.py"), &mut queue);
    }
    let mut read = BTreeSet::new();
    while let Some(path) = queue.pop() {
        if !read.insert(path.clone()) || !system::exists(&root.join(&path)) {
            continue;
        }
        let text = system::read(&root.join(&path))?;
        let own = path.parent().unwrap_or(Path::new(""));
        for Import { level, parts } in imported(&String::from_utf8_lossy(&text)) {
            if level == 0 {
                bases.iter().for_each(|base| imports.look_along(root, base, &parts, &mut queue));
            } else if let Some(base) = own.ancestors().nth(level - 1) {
                imports.look_along(root, base, &parts, &mut queue);
            }
        }
    }
    imports.files.remove(module);
    Ok(imports)
}

impl Imports {
    /// Looks for a module below `base`, and for the packages that it lies in.
    fn look_along(&mut self, root: &Path, base: &Path, parts: &[String], queue: &mut Vec<PathBuf>) {
        let mut place = base.to_owned();
        for part in parts {
            self.look_for(root, place.join(format!("{part}.py")), queue);
            place.push(part);
            self.look_for(root, place.join("__init__.py"), queue);
            if !system::is_dir(&root.join(&place)) {
                return;
            }
        }
    }

    fn look_for(&mut self, root: &Path, path: PathBuf, queue: &mut Vec<PathBuf>) {
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || self.files.contains(&path) {
            return;
        }
        if system::exists(&root.join(&path)) {
            self.files.insert(path.clone());
            queue.push(path);
        } else {
            self.absent.insert(path);
        }
    }
}

/// A module that a text imports, or a name that may be one.
#[derive(Debug, PartialEq, Eq)]
struct Import {
    /// Number of dots before it: 0 for one that is looked for everywhere.
    level: usize,
    parts: Vec<String>,
}

/// Returns everything that a text imports.
fn imported(text: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for statement in statements(text) {
        let statement = statement.trim_start();
        let Some(rest) = statement.strip_prefix("from") else {
            let names = statement.trim_start_matches("import").split(',');
            found.extend(names.filter_map(|name| path_of(name.split_whitespace().next()?)));
            continue;
        };
        let is_apart = |char: char| !(char.is_alphanumeric() || char == '_');
        let mut words = rest.match_indices("import").map(|(at, word)| (&rest[..at], &rest[at + word.len()..]));
        let split = words.find(|(from, names)| from.ends_with(is_apart) && names.starts_with(is_apart));
        let Some((from, names)) = split else { continue };
        // The dots of `from . import x` may stand apart.
        let Some(base) = path_of(&from.split_whitespace().collect::<String>()) else { continue };
        // Each name may be a module of the package.
        let names = names.split([',', '(', ')']).filter_map(|name| name.split_whitespace().next());
        let within = |name: &str| {
            let parts = base.parts.iter().cloned().chain([name.to_owned()]).collect();
            Import { level: base.level, parts }
        };
        found.extend(names.filter(|name| is_name(name)).map(within));
        found.push(base);
    }
    found
}

/// Returns a module of the form `a.b` or `..a.b`.
fn path_of(text: &str) -> Option<Import> {
    let plain = text.trim_start_matches('.');
    let level = text.len() - plain.len();
    let parts: Vec<String> = plain.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    (parts.iter().all(|part| is_name(part)) && level + parts.len() > 0).then_some(Import { level, parts })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || char == '_')
}

/// Returns the statements that begin with `import` or `from`, without comments, each on one line.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        for (number, part) in line.split(';').enumerate() {
            // What stands behind the colon of `if x: import y` is a statement, too.
            let part = match part.split_once(':') {
                Some((_, after)) if !begins(part) => after,
                _ => part,
            };
            if !begins(part) {
                continue;
            }
            let mut statement = without_comment(part).to_owned();
            let is_last = number + 1 == line.split(';').count();
            while is_last && goes_on(&statement) {
                let Some(line) = lines.next() else { break };
                statement.truncate(statement.trim_end().trim_end_matches('\\').len());
                statement.push(' ');
                statement.push_str(without_comment(line));
            }
            found.push(statement);
        }
    }
    found
}

fn begins(part: &str) -> bool {
    let part = part.trim_start();
    let is_apart = |rest: &str| rest.starts_with(|char: char| char.is_whitespace() || char == '.');
    ["import", "from"].iter().any(|word| part.strip_prefix(word).is_some_and(is_apart))
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default()
}

/// Whether a statement has an open bracket, or ends with a backslash.
fn goes_on(statement: &str) -> bool {
    statement.trim_end().ends_with('\\') || (statement.contains('(') && !statement.contains(')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let shown = |import: Import| format!("{}{}", ".".repeat(import.level), import.parts.join("."));
        let mut shown: Vec<String> = imported(text).into_iter().map(shown).collect();
        shown.sort();
        shown
    }

    #[test]
    fn imports_are_read_off_the_text() {
        for (text, expected) in [
            ("import a", &["a"][..]),
            ("import a.b as c, d  # why\n", &["a.b", "d"]),
            ("from a.b import c as d, e\n", &["a.b", "a.b.c", "a.b.e"]),
            ("from . import x\n", &[".", ".x"]),
            ("from.x import(y)\nfrom .import z\n", &[".", ".x", ".x.y", ".z"]),
            ("from important.imports import it\n", &["important.imports", "important.imports.it"]),
            ("from .. pkg.y import (\n    z,  # comment\n    w as v,\n)\n", &["..pkg.y", "..pkg.y.w", "..pkg.y.z"]),
            ("from a import \\\n    b\n", &["a", "a.b"]),
            ("def f():\n    import late; import later\n", &["late", "later"]),
            ("try: import fast\nexcept ImportError: import slow\n", &["fast", "slow"]),
            ("if x:\n\tfrom a import *\n", &["a"]),
            ("important = 1\nfromage = 2\n# import a\nx = 'import'\n", &[]),
            ("from", &[]),
            ("import", &[]),
            ("from a", &[]),
            ("import (", &[]),
            ("from x import (\n", &["x"]),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn modules_are_followed_beside_the_module_and_in_the_workspace() {
        let root = system::temporary_folder().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            system::create_dir(path.parent().unwrap()).unwrap();
            system::replace(&path, text.as_bytes()).unwrap();
        };
        write("py/chat.py", "import json, helper\nfrom shared.text import clean\nfrom .pkg import deep\n");
        write("py/helper.py", "import chat\n");
        write("py/pkg/__init__.py", "");
        write("py/pkg/deep.py", "from ..helper import x\nfrom .... import outside\n");
        write("shared/text.py", "def clean(t): return t\n");
        write("shared/other.py", "");
        let imports = imports_of(root.path(), Path::new("py/chat.py")).unwrap();
        let files: Vec<&str> = imports.files.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(files, ["py/helper.py", "py/pkg/__init__.py", "py/pkg/deep.py", "shared/text.py"]);
        let is_absent = |path: &str| imports.absent.contains(Path::new(path));
        assert!(is_absent("json.py") && is_absent("py/json.py") && is_absent("py/__init__.py"), "{imports:?}");
        assert!(!is_absent("py/helper.py") && is_absent("helper.py"));
    }
}
