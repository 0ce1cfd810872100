//! Hashes the source of every module whose code decides bytes, so that changed code is a changed cache key even where
//! nobody raised a version by hand; and says how the command is linked.
#![expect(clippy::disallowed_methods, reason = "`crate::system` is no part of a build script")]

use std::{env, fmt::Write, fs, path::Path};

/// Folders and files whose code decides what an artifact holds.
const DECIDING: &[&str] = &["src/convert", "src/decode", "src/quality", "src/mix", "src/row.rs", "src/sort.rs"];

fn main() {
    link_at_a_fixed_address();
    let mut table = String::from(
        "/// Source file to the first 16 hexadecimal digits of its BLAKE3.\npub(crate) const SOURCES: &[(&str, &str)] = &[\n",
    );
    for place in DECIDING {
        println!("cargo::rerun-if-changed={place}");
        let mut files = Vec::new();
        collect(Path::new(place), &mut files);
        files.sort();
        for file in files {
            let hash = blake3::hash(&fs::read(&file).expect("a listed source file is readable")).to_hex();
            let name = file.trim_start_matches("src/");
            writeln!(table, "    (\"{name}\", \"{}\"),", &hash[..16]).expect("a String takes every write");
        }
    }
    table.push_str("];\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("sources.rs"), table).expect("OUT_DIR is writable");
}

/// A position-independent program has its 99,000 pointers put right at each start: half of what `datac status` takes in a
/// small workspace. At a fixed address there is nothing to put right. Its libraries, stack and heap are placed at random
/// as before.
fn link_at_a_fixed_address() {
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

fn collect(place: &Path, files: &mut Vec<String>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).expect("a source folder is readable") {
            collect(&entry.expect("a source folder is readable").path(), files);
        }
    } else if place.extension().is_some_and(|extension| extension == "rs") {
        files.push(place.to_str().expect("source paths are UTF-8").to_owned());
    }
}
