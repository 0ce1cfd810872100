//! Files of bare token ids: their bytes, read by a computation of its own, against the rows of `tokens`.

use std::path::Path;

use datac::workspace::BuildOptions;
use serde_json::Value;

use crate::space::{Space, count, files, ran};

/// Texts of many lengths.
fn texts(count: usize) -> String {
    let text = |number: usize| format!("{{\"text\":\"Text {number}.{}\"}}\n", " word".repeat(number * number % 37));
    (0..count).map(text).collect()
}

fn space(more: &str) -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", texts(600));
    let text = format!(
        "metadata: {{ phase: pretrain }}\ndatasets:\n  - {{ name: texts, source: data/a.jsonl }}\nmodel: datac/sample\nvalidation: {{ ratio: \
         0.1, seed: 42 }}\noutput: [{{ shape: tokens, container: jsonl }}, {more}]\n"
    );
    space.write("config/a.yaml", text);
    space
}

/// Dialogues, half of which have a message that is not trained on.
fn dialogues() -> String {
    let dialogue = |number: usize| {
        let own = if number.is_multiple_of(2) { "" } else { ",\"train\":false" };
        format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"What is {number}?\"}},{{\"role\":\"assistant\",\"content\":\"It is \
             {number}.\"{own}}},{{\"role\":\"user\",\"content\":\"Yes?\"}},{{\"role\":\"assistant\",\"content\":\"Yes.\"}}]}}\n"
        )
    };
    (0..60).map(dialogue).collect()
}

/// The ids and labels of the rows of a side.
fn wanted(space: &Space, stem: &str, side: &str) -> Vec<(Vec<u32>, Vec<i64>)> {
    let text = space.text(&format!("dataset/{stem}/tokens/{side}.jsonl"));
    let numbers = |row: &Value, column: &str| -> Vec<i64> {
        row[column].as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
    };
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        (numbers(&row, "input_ids").into_iter().map(|id| id as u32).collect(), numbers(&row, "labels"))
    };
    text.lines().map(row).collect()
}

/// The files of a folder that begin and end so, in order.
fn named(space: &Space, folder: &str, begin: &str, end: &str) -> Vec<String> {
    let mut found: Vec<String> = files(&space.path(folder))
        .into_iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name.starts_with(begin) && name.ends_with(end))
        .collect();
    found.sort();
    found
}

fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..at + width].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Reads an indexed dataset: the code of its type, and its documents.
fn indexed(ids: &[u8], index: &[u8]) -> (u8, Vec<Vec<u32>>) {
    assert_eq!((&index[..9], number(index, 9, 8)), (&b"MMIDIDX\0\0"[..], 1));
    let width = match index[17] {
        8 => 2,
        4 => 4,
        other => panic!("{other} is no type of ids"),
    };
    let (count, documents) = (number(index, 18, 8) as usize, number(index, 26, 8) as usize);
    assert_eq!((documents, index.len()), (count + 1, 34 + count * (4 + 8) + documents * 8));
    let mut end = 0;
    let read = (0..count).map(|row| {
        let (length, begin) = (number(index, 34 + 4 * row, 4) as usize, number(index, 34 + 4 * count + 8 * row, 8));
        assert_eq!(begin as usize, end, "a document begins where the one before ends");
        end += length * width;
        (0..length).map(|id| number(ids, begin as usize + id * width, width) as u32).collect()
    });
    let read: Vec<Vec<u32>> = read.collect();
    assert_eq!(end, ids.len());
    let bounds = (0..documents).map(|document| number(index, 34 + 12 * count + 8 * document, 8) as usize);
    assert!(bounds.eq(0..=count), "a document is one sequence");
    (index[17], read)
}

#[test]
fn indexed_datasets_have_the_ids_of_the_shape_tokens() {
    let space = space("{ shape: megatron, shards: 3 }");
    space.build();
    let folder = "dataset/pretrain_a/megatron";
    for side in ["train", "val"] {
        let (ids, index) = (named(&space, folder, side, ".bin"), named(&space, folder, side, ".idx"));
        assert_eq!(ids.len(), 3, "{ids:?}");
        let mut read = Vec::new();
        for (number, (ids, index)) in ids.iter().zip(&index).enumerate() {
            assert!(ids.starts_with(&format!("{side}-{number:05}-of-00003-")), "{ids}");
            assert_eq!(ids.strip_suffix("bin"), index.strip_suffix("idx"));
            let file = |name: &str| space.read(&format!("{folder}/{name}"));
            let (code, documents) = indexed(&file(ids), &file(index));
            // The sample model has some hundred tokens.
            assert_eq!(code, 8);
            read.extend(documents);
        }
        let wanted: Vec<Vec<u32>> = wanted(&space, "pretrain_a", side).into_iter().map(|(ids, _)| ids).collect();
        assert!(wanted.len() > 30 && read == wanted, "{} documents for {} rows", read.len(), wanted.len());
        let arguments = space.text(&format!("{folder}/megatron.args"));
        let option = if side == "train" { "--train-data-path " } else { "--valid-data-path " };
        let line = arguments.lines().find_map(|line| line.strip_prefix(option)).unwrap();
        let names: Vec<String> = line.split(' ').map(|name| format!("{name}.bin")).collect();
        assert_eq!(names, ids);
    }
    space.assert_clean();
}

/// Builds again after nothing, an edit, and harm to the smallest of the files of a side.
fn holds_through_edits(space: &Space, folder: &str, part: &str) {
    space.build();
    let again = space.build();
    assert_eq!(ran(&again), "", "nothing has changed");
    let before = named(space, folder, "", part);
    space.edit("data/a.jsonl", "Text 77.", "Another text 77.");
    let report = space.build();
    assert_eq!((count(&report, "render"), count(&report, "output")), (1, 2), "{}", ran(&report));
    let after = named(space, folder, "", part);
    assert!(before != after && before.len() == after.len(), "{before:?} {after:?}");
    space.assert_settled();
    space.assert_clean();
    let path = format!("{folder}/{}", after.last().unwrap());
    let (bytes, settled) = (space.read(&path), space.state("config/a"));
    for harm in [None, Some(&bytes[..bytes.len() - 1])] {
        match harm {
            None => space.remove(&path),
            Some(less) => space.write(&path, less),
        }
        assert_ne!(space.state("config/a"), settled);
        space.build();
        assert_eq!((space.read(&path), space.state("config/a")), (bytes.clone(), settled.clone()));
    }
}

#[test]
fn indexed_datasets_are_built_once_and_mended() {
    holds_through_edits(&space("megatron"), "dataset/pretrain_a/megatron", ".idx");
}

#[test]
fn arrays_are_built_once_and_mended() {
    holds_through_edits(&space("olmo"), "dataset/pretrain_a/olmo", ".csv.gz");
}

#[test]
fn arrays_have_ids_masks_and_bounds() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write(
        "config/a.yaml",
        "metadata: { phase: sft }\ndatasets:\n  - { name: chat, source: data/a.jsonl }\nmodel: datac/sample\noutput: [{ shape: tokens, \
         container: jsonl, id: true }, { shape: olmo, id: true, shards: 2 }]\n",
    );
    space.build();
    let folder = "dataset/sft_a/olmo";
    for side in ["train", "val"] {
        let arrays = named(&space, folder, side, ".npy");
        assert_eq!(arrays.len(), 2, "{arrays:?}");
        let (mut read, mut names) = (Vec::new(), Vec::new());
        for name in &arrays {
            let (ids, mask) =
                (space.read(&format!("{folder}/{name}")), space.read(&format!("{folder}/labels_mask_{name}")));
            // The sample model has more than 256 ids, and fewer than 65,536.
            assert_eq!(ids.len(), 2 * mask.len());
            let packed = space.read(&format!("{folder}/{}", name.replace(".npy", ".csv.gz")));
            let mut text = String::new();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text).unwrap();
            let mut last = 0;
            for line in text.lines() {
                let [begin, end, id] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
                let (begin, end): (usize, usize) = (begin.parse().unwrap(), end.parse().unwrap());
                assert_eq!(begin, last);
                last = end;
                let own: Vec<u32> = (begin..end).map(|at| number(&ids, 2 * at, 2) as u32).collect();
                read.push((own, mask[begin..end].to_vec()));
                names.push(id.to_owned());
            }
            assert_eq!(last, mask.len());
        }
        let wanted: Vec<(Vec<u32>, Vec<u8>)> = wanted(&space, "sft_a", side)
            .into_iter()
            .map(|(ids, labels)| (ids, (0..labels.len()).map(|at| u8::from(at > 0 && labels[at] != -100)).collect()))
            .collect();
        assert!(!wanted.is_empty() && read == wanted, "{read:?} instead of {wanted:?}");
        let of_rows = space.text(&format!("dataset/sft_a/tokens/{side}.jsonl"));
        let ids: Vec<String> = of_rows.lines().map(|line| line.split('"').nth(3).unwrap().to_owned()).collect();
        assert_eq!(names, ids);
        let told = space.text(&format!("{folder}/olmo.yaml"));
        assert!(
            arrays
                .iter()
                .all(|name| told.contains(&format!("- {name}\n")) && told.contains(&format!("- labels_mask_{name}\n"))),
            "{told}"
        );
    }
    // A row is shown as it stands in all three files.
    let name = &named(&space, folder, "train", ".npy")[0];
    let shown = space.datac(&["show", &format!("{folder}/{name}:3"), "--json"]);
    let shown = String::from_utf8_lossy(&shown.stdout).replace(' ', "");
    let (ids, labels) = &wanted(&space, "sft_a", "train")[2];
    assert!(shown.contains(&serde_json::to_string(ids).unwrap()) && shown.contains("label_mask"), "{shown}");
    assert!(labels.contains(&-100) && shown.contains("row-"), "{shown}");
    space.assert_clean();
}

#[test]
fn threads_and_little_memory_change_no_byte() {
    let made = |jobs: usize, memory: u64| {
        let space = space("{ shape: megatron, shards: 2 }, { shape: olmo, id: true }");
        space.build_with(&BuildOptions { jobs, memory, ..BuildOptions::default() });
        let read = |path: &Path| (path.file_name().unwrap().to_owned(), std::fs::read(path).unwrap());
        files(&space.path("dataset/pretrain_a/megatron")).iter().map(|path| read(path)).collect::<Vec<_>>()
    };
    let one = made(1, 0);
    assert!(one.len() >= 8, "{one:?}");
    assert!(made(4, 0) == one && made(2, 1) == one);
}

#[test]
fn what_is_trained_on_in_part_has_no_place_without_a_mask() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    let recipe = |train_on: &str| {
        format!(
            "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: chat, source: data/a.jsonl }}\nmodel: {{ source: datac/sample, \
             train_on: {train_on} }}\noutput: [{{ shape: tokens, container: jsonl }}, megatron]\n"
        )
    };
    space.write("config/a.yaml", recipe("all"));
    space.build();
    let folder = "dataset/sft_a/megatron";
    let (mut whole, mut part) = (0, 0);
    for side in ["train", "val"] {
        let rows = wanted(&space, "sft_a", side);
        let is_whole = |(_, labels): &&(Vec<u32>, Vec<i64>)| labels[1..].iter().all(|label| *label != -100);
        let expected: Vec<Vec<u32>> = rows.iter().filter(is_whole).map(|(ids, _)| ids.clone()).collect();
        let (ids, index) = (named(&space, folder, side, ".bin"), named(&space, folder, side, ".idx"));
        let file = |names: &[String]| space.read(&format!("{folder}/{}", names[0]));
        assert_eq!(indexed(&file(&ids), &file(&index)).1, expected);
        (whole, part) = (whole + expected.len(), part + rows.len() - expected.len());
    }
    let told = space.text(&format!("{folder}/unfit.jsonl"));
    assert_eq!(told.lines().count(), part);
    assert!(told.lines().all(|line| line.contains("\"no_place_for\":\"tokens that are not trained on\"")), "{told}");
    println!("{whole} samples are trained on as a whole, {part} in part");
    // Nothing is left of answers alone, and that is an error, not an empty file.
    space.write("config/a.yaml", recipe("assistant"));
    let built = space.datac(&["build", "config/a.yaml"]);
    let told = String::from_utf8_lossy(&built.stderr).into_owned();
    assert_eq!(built.status.code(), Some(5), "{told}");
    assert!(told.contains("it has no loss mask") && told.contains("train_on: all"), "{told}");
}

#[test]
fn commands_read_files_of_bare_ids() {
    let space = space("megatron");
    space.build();
    let folder = "dataset/pretrain_a/megatron";
    let file = format!("{folder}/{}", named(&space, folder, "train", ".bin")[0]);
    let run = |arguments: &[&str]| {
        let ran = space.datac(arguments);
        (ran.status.code(), format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)))
    };
    let rows = wanted(&space, "pretrain_a", "train");
    let (code, shown) = run(&["show", &format!("{file}:7"), "--json"]);
    assert_eq!(code, Some(0), "{shown}");
    let ids = serde_json::to_string(&rows[6].0).unwrap();
    assert!(shown.replace(' ', "").contains(&ids), "{shown} instead of {ids}");
    let (code, stats) = run(&["stats", "a", "--json"]);
    assert_eq!(code, Some(0), "{stats}");
    let stats: Value = serde_json::from_str(&stats).unwrap();
    let of_file = stats["recipes"][0]["files"].as_array().unwrap().iter();
    let of_file: Vec<_> = of_file.filter(|of| of["output"].as_str().unwrap().contains("megatron/train")).collect();
    assert_eq!((of_file.len(), of_file[0]["all"]["rows"].as_u64()), (1, Some(rows.len() as u64)), "{of_file:?}");
    let (code, traced) = run(&["trace", &format!("{file}:7")]);
    let (other, same) = run(&["trace", "dataset/pretrain_a/tokens/train.jsonl:7"]);
    assert_eq!((code, other), (Some(0), Some(0)), "{traced}");
    let place = |text: &str| text.lines().find(|line| line.contains("data/a.jsonl")).map(str::to_owned);
    assert!(place(&traced).is_some() && place(&traced) == place(&same), "{traced} instead of {same}");
    let path = space.path(&file);
    let (code, compared) = run(&["diff", path.to_str().unwrap(), "--vs", path.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{compared}");
    assert!(compared.contains("files of ids are not compared"), "{compared}");
    let index = file.replace(".bin", ".idx");
    let (code, told) = run(&["trace", &format!("{index}:1")]);
    assert_ne!(code, Some(0));
    assert!(told.contains("unknown output"), "{told}");
}

#[test]
fn bare_ids_have_no_columns_and_no_layout_of_the_hub() {
    let space = space("megatron");
    for (output, told) in [
        ("{ shape: megatron, id: true }", "`megatron` rows cannot have an `id`"),
        ("{ shape: megatron, pack: 64 }", "`megatron` rows cannot be packed"),
        ("{ shape: megatron, layout: hub }", "`load_dataset` does not open"),
        ("{ shape: megatron, container: parquet }", "`megatron` rows cannot be written as parquet"),
        ("{ shape: messages, container: bin }", "cannot be written as bin"),
    ] {
        let text = format!(
            "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: chat, source: data/a.jsonl }}\nmodel: datac/sample\noutput: {output}\n"
        );
        space.write("config/b.yaml", text);
        let checked = space.datac(&["validate", "config/b.yaml"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(!checked.status.success() && said.contains(told), "{output}: {said}");
    }
}
