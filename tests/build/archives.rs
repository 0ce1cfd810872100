//! Archives as sources: their files are read as those of a folder, and every place names the archive and the file.

use std::io::Write;

use datac::workspace::BuildOptions;

use crate::{
    sources::{AB, answers, one, refusal},
    space::{Space, count, of},
    zip::zip,
};

/// Rows `from` to `to`, with the number of each.
fn rows(from: usize, to: usize) -> Vec<u8> {
    let row = |at: usize| format!("{{\"instruction\":\"q{at}\",\"output\":\"{at} {}\"}}\n", "word ".repeat(40));
    (from..to).flat_map(|at| row(at).into_bytes()).collect()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn log(space: &Space, recipe: &str) -> String {
    space.text(&format!("dataset/quarantine/sft_{recipe}.jsonl"))
}

#[test]
fn archives_have_the_rows_that_a_folder_of_their_files_has() {
    let space = Space::new();
    let parquet = std::fs::read("assets/sample/tatsu-lab/alpaca/data/train-00000-of-00001-a09b74b3ef9c3b56.parquet");
    let parquet = parquet.unwrap();
    let (a, b) = (rows(0, 900), rows(900, 1000));
    let packed = gzip(&b);
    let files: [(&str, &[u8]); 4] =
        [("x/a.jsonl", &a), ("x/b.jsonl.gz", &packed), ("README.md", b"# rows"), ("__MACOSX/x/a.jsonl", b"junk")];
    for (name, bytes) in files {
        space.write(&format!("data/folder/{name}"), bytes);
    }
    space.write("data/deflated.zip", zip(&files.map(|(name, bytes)| (name, bytes, 8))));
    space.write("data/stored.zip", zip(&files.map(|(name, bytes)| (name, bytes, 0))));
    space.write("data/plain.tar", tar(&files));
    space.write("data/packed.tgz", gzip(&tar(&files)));
    space.write("data/columns.zip", zip(&[("a.parquet", &parquet, 8)]));
    space.write("data/columns.tar.gz", gzip(&tar(&[("a.parquet", &parquet)])));
    space.write("data/columns/a.parquet", &parquet);
    for name in
        ["folder", "deflated.zip", "stored.zip", "plain.tar", "packed.tgz", "columns", "columns.zip", "columns.tar.gz"]
    {
        one(&space, &name.replace('.', "_"), &format!("source: data/{name}"));
    }
    space.build();
    let text = |name: &str| space.text(&format!("dataset/sft_{name}_train.jsonl"));
    assert_eq!(text("folder").lines().count(), 1000);
    for name in ["deflated_zip", "stored_zip", "plain_tar", "packed_tgz"] {
        assert!(text(name) == text("folder"), "{name}");
    }
    for name in ["columns_zip", "columns_tar_gz"] {
        assert!(text(name) == text("columns"), "{name}");
    }
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn what_is_passed_over_in_an_archive_is_named() {
    let space = Space::new();
    let files: [(&str, &[u8]); 5] = [
        ("a/1.jsonl", b"{\"instruction\":\"q1\",\"output\":\"a\"}\n"),
        ("a/2.jsonl", b"{\"instruction\":\"q2\",\"output\":\"b\"}\n"),
        ("b/p.csv", b"instruction,output\nq3,c\n"),
        ("README.md", b"# rows"),
        ("__MACOSX/a/1.jsonl", b"junk"),
    ];
    for (name, bytes) in files {
        space.write(&format!("data/mix/{name}"), bytes);
    }
    space.write("data/mix.tar.gz", gzip(&tar(&files)));
    space.write("data/mix.zip", zip(&files.map(|(name, bytes)| (name, bytes, 8))));
    one(&space, "zip", "source: data/mix.zip");
    one(&space, "again", "source: data/mix.zip, max_samples: 1");
    one(&space, "tar", "source: data/mix.tar.gz");
    let said = |words: &[&str]| {
        let output = space.command(words).output().unwrap();
        assert!(output.status.success());
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let built = said(&["build"]);
    for archive in ["data/mix.zip", "data/mix.tar.gz"] {
        let words = format!("`{archive}`: 2 files read, passed over: {archive}/b/p.csv\n");
        assert_eq!(built.matches(&words).count(), 1, "{built}");
        let seen = said(&["inspect", archive]);
        assert!(seen.contains(&format!("not read: {archive}/b/p.csv\n")), "{seen}");
    }
    // The format chooses another file, and those before are passed over.
    one(&space, "csv", "source: data/mix.zip, format: csv");
    let built = said(&["build"]);
    assert!(
        built.contains("`data/mix.zip`: 1 file read, passed over: data/mix.zip/a/1.jsonl, data/mix.zip/a/2.jsonl\n"),
        "{built}"
    );
    assert_eq!(answers(&space, "csv"), ["c"]);
}

#[test]
fn places_name_the_archive_and_the_file() {
    for (archive, bytes) in [
        ("d.zip", zip(&[("deep/a.jsonl", b"{\"instruction\":\"q1\",\"output\":\"a\"}\nnot json\n", 8)])),
        ("d.tar.gz", gzip(&tar(&[("deep/a.jsonl", b"{\"instruction\":\"q1\",\"output\":\"a\"}\nnot json\n")]))),
    ] {
        let space = Space::new();
        space.write(&format!("data/{archive}"), bytes);
        one(&space, "places", &format!("source: data/{archive}"));
        space.build();
        let file = format!("data/{archive}/deep/a.jsonl");
        let rejected: serde_json::Value = serde_json::from_str(log(&space, "places").trim()).unwrap();
        assert_eq!((rejected["file"].as_str(), rejected["line"].as_u64()), (Some(file.as_str()), Some(2)));
        assert_eq!(rejected["raw"].as_str(), Some("not json"));
        let trace = |words: &[&str]| {
            String::from_utf8(space.command(&[&["trace"], words].concat()).output().unwrap().stdout).unwrap()
        };
        let back = trace(&["sft_places_train.jsonl:1"]);
        assert!(back.contains(&format!("{file}:0 (line 1, byte 0)")), "{back}");
        assert!(back.contains("\"output\":\"a\""), "the row is read again: {back}");
        let forward = trace(&["--source", "rows", &format!("{file}:0")]);
        assert!(forward.contains("sft_places_train.jsonl"), "{forward}");
    }
}

#[test]
fn names_within_say_of_which_split_a_file_is_unless_that_of_the_archive_does() {
    let space = Space::new();
    let line = |answer: &str| format!("{{\"instruction\":\"q\",\"output\":\"{answer}\"}}\n").into_bytes();
    let (train, test, more) = (line("train"), line("test"), line("more"));
    let both = zip(&[("x/train.jsonl", &train, 8), ("x/test.jsonl", &test, 8)]);
    space.write("data/open.zip", &both);
    space.write("data/named/train.zip", zip(&[("a.jsonl", &more, 8), ("x/train.jsonl", &train, 8)]));
    one(&space, "train", "source: data/open.zip");
    one(&space, "test", "source: data/open.zip, splits: [test]");
    one(&space, "both", "source: data/open.zip, splits: [train, test]");
    one(&space, "named", "source: data/named");
    one(&space, "folder", "source: data/two, splits: [test]");
    space.write("data/two/1.zip", &both);
    space.write("data/two/2.zip", zip(&[("train.jsonl", &more, 8)]));
    space.build();
    assert_eq!(answers(&space, "train"), ["train"]);
    assert_eq!(answers(&space, "test"), ["test"]);
    assert_eq!(answers(&space, "both"), ["test", "train"]);
    assert_eq!(answers(&space, "named"), ["more", "train"]);
    assert_eq!(answers(&space, "folder"), ["test"], "not every archive need have the split");
    one(&space, "none", "source: data/open.zip, splits: [validation]");
    assert!(refusal(&space, "none").contains("no split `validation` in `data/open.zip`; available: train, test"));
}

#[test]
fn a_file_that_is_added_to_an_archive_converts_no_other_again() {
    let (a, b) = (rows(0, 6000), rows(6000, 6100));
    for (name, pack) in [("z.zip", true), ("t.tar", false)] {
        let space = Space::new();
        let write = |files: &[(&str, &[u8])]| {
            let packed: Vec<_> = files.iter().map(|(name, bytes)| (*name, *bytes, 8)).collect();
            space.write(&format!("data/{name}"), if pack { zip(&packed) } else { tar(files) });
        };
        let recipe = &name[..1];
        write(&[("a.jsonl", &a)]);
        one(&space, recipe, &format!("source: data/{name}"));
        space.build();
        assert_eq!(answers(&space, recipe).len(), 6000);
        write(&[("a.jsonl", &a), ("b.jsonl", &b)]);
        let why = space.state(&format!("sft/{recipe}"));
        assert!(why.contains(&format!("data/{name}")) && !why.contains("decoder"), "{why}");
        let report = space.build();
        assert_eq!(count(&report, "convert"), 1, "{name}");
        assert_eq!(answers(&space, recipe).len(), 6100);
        space.assert_settled();
        space.assert_clean();
    }
}

#[test]
fn an_archive_that_cannot_be_read_whole_is_refused_with_what_to_do() {
    let space = Space::new();
    let archive = zip(&[("a.jsonl", AB.as_bytes(), 8), ("b.jsonl", AB.as_bytes(), 8)]);
    space.write("data/cut.zip", &archive[..archive.len() - 40]);
    space.write("data/none.zip", zip(&[("a.png", b"x", 0), ("notes.md", b"x", 0)]));
    space.write("data/nested.tar", tar(&[("inner.zip", &archive)]));
    space.write("data/method.zip", zip(&[("a.jsonl", AB.as_bytes(), 14)]));
    let mut locked = archive.clone();
    let entry = locked.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    locked[entry + 8] |= 1;
    space.write("data/locked.zip", locked);
    let mut wrong = archive;
    wrong[entry + 16] ^= 1;
    space.write("data/wrong.zip", wrong);
    for (name, says) in [
        (
            "cut.zip",
            "failed to read `data/cut.zip`: list its files: its directory, which is at the end, is missing: pack it again",
        ),
        ("none.zip", "no rows in `data/none.zip`: it only contains .md, .png"),
        ("nested.tar", "`data/nested.tar` only contains archives, and one in another is not read: unpack it"),
        (
            "method.zip",
            "`a.jsonl` in `data/method.zip` is compressed by a method that is not read (14, LZMA): pack it again",
        ),
        ("locked.zip", "`a.jsonl` in `data/locked.zip` is encrypted: pack it again without a password"),
        (
            "wrong.zip",
            "failed to read `data/wrong.zip/a.jsonl`: read at byte 68 of the decompressed file: it does not have the checksum",
        ),
    ] {
        let recipe = name.replace('.', "_");
        one(&space, &recipe, &format!("source: data/{name}"));
        let found = refusal(&space, &recipe);
        assert!(found.contains(says), "{found}");
        space.remove(&format!("config/sft/{recipe}.yaml"));
    }
}

#[test]
fn archives_of_a_hub_are_read_like_those_of_the_workspace() {
    let mut space = Space::new();
    space.hub = "hub".into();
    space.write("hub/org/packed/train.zip", zip(&[("a.jsonl", AB.as_bytes(), 8)]));
    space.write("hub/org/packed/test.jsonl", rows(0, 3));
    one(&space, "packed", "source: org/packed");
    space.build();
    assert_eq!(answers(&space, "packed"), ["a", "b"]);
    space.assert_settled();
    let report = space.try_build(&BuildOptions::default()).unwrap();
    assert!(of(&report, "sft/packed").failure.is_none());
}
