//! The outputs against an independent computation in Python, and read back by the library trainers use.
//!
//! Skips, saying why, where Python, pyarrow, `datasets` or the real rows are missing.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test sets up files, runs programs, and says why it skips"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The exit code with which the scripts say that they cannot judge here.
const SKIPPED: i32 = 77;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds all recipes below `config` from `hub`; returns the workspace, which holds `dataset/`.
fn built(hub: &Path, config: &Path) -> tempfile::TempDir {
    let workspace = tempfile::tempdir().unwrap();
    for entry in walkdir::WalkDir::new(config) {
        let entry = entry.unwrap();
        let to = workspace.path().join("config").join(entry.path().strip_prefix(config).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(to).unwrap();
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    let output = Command::new(env!("CARGO_BIN_EXE_datac"))
        .args(["build", "--hub"])
        .arg(hub)
        .current_dir(workspace.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    workspace
}

/// Runs a script of `tests/oracle/`; false if it could not judge.
fn judged(script: &str, arguments: &[&Path]) -> bool {
    let script = project().join("tests/oracle").join(script);
    let run = match Command::new("python3").arg(&script).args(arguments).output() {
        Ok(run) => run,
        Err(error) => {
            eprintln!("skipped: no python3 ({error})");
            return false;
        }
    };
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    if run.status.code() == Some(SKIPPED) {
        eprintln!("skipped: {text}");
        return false;
    }
    assert!(run.status.success(), "{text}");
    eprintln!("{text}");
    true
}

fn compare(hub: &Path) {
    let workspace = built(hub, &project().join("config"));
    let (outputs, recipes) = (workspace.path().join("dataset"), project().join("config/data/posttrain"));
    let lock = workspace.path().join("datac.lock");
    let arguments = [hub, &outputs, Path::new("--recipes"), &recipes, Path::new("--lock"), &lock];
    judged("oracle.py", &arguments);
    judged("load_outputs.py", &[&outputs, Path::new("--files"), Path::new("16")]);
}

#[test]
fn sample_rows() {
    compare(&project().join("assets/sample"));
}

/// Recipes with what those of the project do not use.
#[test]
fn sides_and_samples() {
    let (hub, recipes) = (project().join("assets/sample"), project().join("tests/oracle/recipes"));
    let workspace = built(&hub, &recipes);
    judged("oracle.py", &[&hub, &workspace.path().join("dataset"), Path::new("--recipes"), &recipes]);
}

#[test]
fn real_rows() {
    let shared = std::env::var_os("DATAC_SHARED").map_or_else(|| project().join("../shared"), PathBuf::from);
    let maker = shared.join("tools/make_hub.py");
    if !maker.exists() {
        eprintln!("skipped: no real rows at {}", shared.display());
        return;
    }
    let hub = tempfile::tempdir().unwrap();
    match Command::new("python3").arg(&maker).arg(hub.path()).output() {
        Ok(made) if made.status.success() => compare(hub.path()),
        Ok(made) => eprintln!("skipped: {}", String::from_utf8_lossy(&made.stderr)),
        Err(error) => eprintln!("skipped: no python3 ({error})"),
    }
}
