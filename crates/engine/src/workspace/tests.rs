//! Tests rows that yield several samples or none: what is selected, where each sample goes, and what is counted.

use datac_core::convert;

use super::{BuildOptions, Fate, Journey, SampleOf, Settings, Workspace, several::Several};
use crate::system;

/// Creates and builds a workspace with one recipe that reads one file.
fn built(rows: &[String], more: &str) -> (tempfile::TempDir, Workspace) {
    convert::ONE_MORE.get_or_init(|| &Several);
    let folder = tempfile::tempdir().unwrap();
    let recipe = format!(
        "metadata: {{ phase: rlaif }}\ndatasets:\n  - name: own\n    source: data/own.jsonl\n    format: jsonl\n    \
         converter: several\n    mix_ratio: 1.0\n{more}"
    );
    for (path, text) in [("data/own.jsonl", rows.concat()), ("config/rlaif/one.yaml", recipe)] {
        let path = folder.path().join(path);
        system::create_dir(path.parent().unwrap()).unwrap();
        system::replace(&path, text.as_bytes()).unwrap();
    }
    let workspace = Workspace::open(Settings::new(folder.path()));
    let report = workspace.build(&[], &BuildOptions::default()).unwrap();
    assert!(report.recipes[0].failure.is_none(), "{:?}", report.recipes[0].failure);
    (folder, workspace)
}

fn row(parts: &str) -> String {
    format!("{{\"parts\":\"{parts}\"}}\n")
}

/// Returns the texts of both sides, sorted, and the number of lines in the quarantine file.
fn texts(folder: &tempfile::TempDir) -> (Vec<String>, usize) {
    let read = |name: &str| {
        system::read(&folder.path().join("dataset").join(name)).map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let both = read("rlaif_one_train.jsonl").unwrap() + &read("rlaif_one_val.jsonl").unwrap();
    let text = |line: &str| {
        line.strip_prefix("{\"conversations\":[{\"role\":\"user\",\"content\":\"")
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    let mut texts: Vec<String> = both.lines().map(text).collect();
    texts.sort();
    (texts, read("quarantine/rlaif_one.jsonl").map_or(0, |text| text.lines().count()))
}

fn journey(workspace: &Workspace, row: u64) -> Journey {
    workspace.outputs().trace_source("own", "data/own.jsonl", row).unwrap()
}

#[test]
fn every_sample_of_a_row_is_selected_written_and_found_again() {
    let rows = ["a", "b|c|d", "", "!", "e|f"].map(row);
    let (folder, workspace) = built(&rows, "");
    assert_eq!(texts(&folder), (["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec(), 1));
    let stats = workspace.outputs().stats(&[]).unwrap();
    assert_eq!(stats.recipes[0].files.iter().map(|file| file.all.rows).sum::<u64>(), 6);
    let source = &stats.recipes[0].sources[0];
    assert_eq!((source.rows_read, source.kept, source.rows), (5, 6, 6));
    assert_eq!(source.rejects.values().sum::<u64>(), 1);

    let fates = journey(&workspace, 1).fates;
    let samples: Vec<_> = fates.iter().map(|fate| fate.sample).collect();
    assert_eq!(samples, [1, 2, 3].map(|nth| Some(SampleOf { nth, of: 3 })));
    for (fate, text) in fates.iter().zip(["b", "c", "d"]) {
        let Fate::Written { lines } = &fate.fate else { panic!("{:?}", fate.fate) };
        let origin = workspace.outputs().trace(&lines[0].output, lines[0].line).unwrap();
        assert_eq!((origin.sample, origin.source.row), (fate.sample, 1));
        assert_eq!(
            origin.row.get(),
            format!("{{\"conversations\":[{{\"role\":\"user\",\"content\":\"{text}\"}}],\"source\":\"own\"}}")
        );
    }
    let fate = |row| {
        let fates = journey(&workspace, row).fates;
        assert_eq!((fates.len(), fates[0].sample), (1, None));
        fates.into_iter().next().unwrap().fate
    };
    assert!(matches!(fate(0), Fate::Written { .. }));
    assert!(matches!(fate(2), Fate::NoSample));
    assert!(matches!(fate(3), Fate::Rejected { .. }));
}

#[test]
fn a_maximum_counts_samples_and_may_end_within_a_row() {
    let rows = ["a", "!", "b|c|d", "!", "e"].map(row);
    let (folder, workspace) = built(&rows, "    max_samples: 3\n");
    assert_eq!(texts(&folder), (["a", "b", "c"].map(str::to_owned).to_vec(), 1), "a reject behind it does not count");
    let source = &workspace.outputs().stats(&[]).unwrap().recipes[0].sources[0];
    assert_eq!((source.rows_read, source.kept), (3, 3));
    let fates = journey(&workspace, 2).fates;
    assert!(matches!(fates[1].fate, Fate::Written { .. }));
    assert!(matches!(fates[2].fate, Fate::NotReached { max_samples: Some(3) }), "{:?}", fates[2].fate);
}

#[test]
fn a_maximum_is_found_however_many_samples_rows_yield() {
    // Several chunks, with rows of no samples and of many, so that no chunk has as many samples as rows.
    let long = "x".repeat(400);
    let part = |number: usize| format!("{number} {long}");
    let parts = |at: usize| match at % 3 {
        0 => String::new(),
        1 => (0..at % 4).map(|i| part(at * 10 + i)).collect::<Vec<_>>().join("|"),
        _ => part(at * 10),
    };
    let rows: Vec<String> = (0..6000).map(|at| row(&parts(at))).collect();
    let expected = || {
        (0..6000)
            .flat_map(|at| parts(at).split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>())
    };
    let all = expected().count();
    for max in [1, 700, 2500, all - 1, all, all + 10] {
        let (folder, workspace) = built(&rows, &format!("    max_samples: {max}\n"));
        let mut wanted: Vec<String> = expected().take(max).collect();
        wanted.sort();
        assert!(texts(&folder).0 == wanted, "{max} samples");
        assert_eq!(workspace.outputs().stats(&[]).unwrap().recipes[0].sources[0].kept, wanted.len() as u64);
    }
}
