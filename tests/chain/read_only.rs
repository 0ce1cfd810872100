//! Workspaces that whoever builds may read but not write: of a colleague, or mounted so.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use super::place::{Place, recipe, rows};

/// Somebody who is not root, whom permissions do not stop.
const NOBODY: u32 = 65534;

/// A workspace that somebody else uses, with a copy of datac that they may run.
struct Lent {
    place: Place,
    programs: tempfile::TempDir,
    is_root: bool,
}

impl Lent {
    /// Returns the workspace; `None`, with the reason printed, if nobody but root can get at it.
    fn new() -> Option<Self> {
        let (place, programs) = (Place::new(), tempfile::tempdir().unwrap());
        fs::copy(env!("CARGO_BIN_EXE_datac"), programs.path().join("datac")).unwrap();
        allow(programs.path(), Access::Read);
        let lent = Self { place, programs, is_root: may_write_anywhere() };
        lent.lend("", Access::Write);
        let could_run = lent.command(&["--version"]).output().is_ok_and(|output| output.status.success());
        if !could_run {
            println!("skipped: other users cannot reach the temporary folder");
        }
        could_run.then_some(lent)
    }

    /// Sets what others may do with all that is below `path`.
    fn lend(&self, path: &str, access: Access) {
        allow(&self.place.path(path), access);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(self.programs.path().join("datac").to_str().unwrap());
        command.args(args);
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs datac; returns what it prints and its exit code.
    fn datac(&self, args: &[&str]) -> (String, i32) {
        let output = self.command(args).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&printed).into_owned(), output.status.code().unwrap_or(-1))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Or the folders could not be removed.
        self.lend("", Access::Write);
        allow(self.programs.path(), Access::Write);
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

fn allow(path: &Path, access: Access) {
    let is_dir = path.is_dir();
    let mode = match access {
        Access::Read => 0o555,
        Access::Write => 0o777,
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if is_dir {
        fs::read_dir(path).unwrap().for_each(|entry| allow(&entry.unwrap().path(), access));
    }
}

fn may_write_anywhere() -> bool {
    let folder = tempfile::tempdir().unwrap();
    allow(folder.path(), Access::Read);
    let could_write = fs::write(folder.path().join("file"), "").is_ok();
    allow(folder.path(), Access::Write);
    could_write
}

#[test]
fn sources_and_recipes_need_not_be_writable() {
    let Some(lent) = Lent::new() else { return };
    ["config", "data"].iter().for_each(|path| lent.lend(path, Access::Read));
    let (printed, code) = lent.datac(&["build"]);
    assert_eq!(code, 0, "{printed}");
    assert!(lent.place.read("dataset/sft_one_train.jsonl").lines().count() > 0);
}

#[test]
fn a_workspace_that_cannot_be_written_can_be_looked_at() {
    let Some(lent) = Lent::new() else { return };
    let (printed, code) = lent.datac(&["build"]);
    assert_eq!(code, 0, "{printed}");
    lent.lend("", Access::Read);
    for (args, says) in [
        (&["build"][..], "up to date"),
        (&["status"], "up to date"),
        (&["show", "sft/one", "--rows", "1"], "one question"),
        (&["trace", "sft_one_train.jsonl:1"], "data/one.jsonl"),
        (&["why", "sft/one"], "is fresh"),
        (&["log"], "run 1"),
        (&["cache", "size"], "all"),
        (&["stats"], ""),
    ] {
        let (printed, code) = lent.datac(args);
        assert!(code == 0 && printed.contains(says), "{args:?}: {code}\n{printed}");
    }
}

#[test]
fn what_cannot_be_written_can_go_elsewhere() {
    let Some(lent) = Lent::new() else { return };
    lent.lend("", Access::Read);
    let (printed, code) = lent.datac(&["build"]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("Permission denied") && printed.contains("`--cache-dir` and `--output-dir`"), "{printed}");
    let (printed, code) = lent.datac(&["status"]);
    assert!(code == 0 && printed.contains("never built"), "{printed}");

    let elsewhere = tempfile::tempdir().unwrap();
    allow(elsewhere.path(), Access::Write);
    let [cache, outputs] = ["cache", "out"].map(|name| elsewhere.path().join(name).to_str().unwrap().to_owned());
    let (printed, code) = lent.datac(&["build", "--cache-dir", &cache, "--output-dir", &outputs]);
    assert_eq!(code, 0, "{printed}");
    assert!(elsewhere.path().join("out/sft_one_train.jsonl").exists(), "{printed}");
    assert!(!lent.place.path("cache").exists() && !lent.place.path("dataset").exists());
}

#[test]
fn a_stale_output_that_cannot_be_written_stays() {
    let Some(lent) = Lent::new() else { return };
    let (printed, code) = lent.datac(&["build"]);
    assert_eq!(code, 0, "{printed}");
    let before = lent.place.read("dataset/sft_one_train.jsonl");
    lent.place.write("config/sft/one.yaml", recipe("one", "data/one.jsonl").replace("seed: 1", "seed: 2"));
    lent.place.write("data/two/b.jsonl", rows("more", 0..9));
    lent.lend("", Access::Read);
    let (printed, code) = lent.datac(&["build"]);
    assert!(code == 1 && printed.contains("`--cache-dir`"), "{code}\n{printed}");
    assert_eq!(lent.place.read("dataset/sft_one_train.jsonl"), before);
}
