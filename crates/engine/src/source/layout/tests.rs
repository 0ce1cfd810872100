//! Tests which files of a repository belong to which split, by its card, its folders and its file names.

use super::*;

/// The request of one test; everything else is as in a recipe that does not say.
#[derive(Clone, Copy, Default)]
struct Ask<'a> {
    readme: Option<&'a str>,
    config: Option<&'a str>,
    folders: &'a [&'a str],
    splits: &'a [&'a str],
    default_config: Option<&'a str>,
}

fn ask(files: &[&str], ask: Ask<'_>) -> Result<Vec<String>, String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let splits = if ask.splits.is_empty() { owned(&["train"]) } else { owned(ask.splits) };
    let want = Want {
        repo: "x/y",
        config_name: ask.config,
        data_dir: &owned(ask.folders),
        splits: &splits,
        default_config: ask.default_config,
    };
    resolve(files, ask.readme, &want)
        .map(|files| files.iter().map(|file| format!("{} {} {}", file.split, file.path, file.kind)).collect())
        .map_err(|error| error.to_string().trim_start_matches("find rows: ").to_owned())
}

fn plain(files: &[&str], splits: &[&str]) -> Result<Vec<String>, String> {
    ask(files, Ask { splits, ..Ask::default() })
}

const ALPACA: &[&str] = &[".gitattributes", "README.md", "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"];
const GSM8K: &[&str] = &[
    ".gitattributes",
    "README.md",
    "main/test-00000-of-00001.parquet",
    "main/train-00000-of-00001.parquet",
    "socratic/test-00000-of-00001.parquet",
    "socratic/train-00000-of-00001.parquet",
];
const GSM8K_CARD: &str = "---\nlicense: [mit]\nconfigs:\n\
    - config_name: main\n  data_files:\n  - split: train\n    path: main/train-*\n  - split: test\n    path: main/test-*\n\
    - config_name: socratic\n  data_files:\n  - split: train\n    path: socratic/train-*\n  - split: test\n    path: socratic/test-*\n\
    ---\n# GSM8K\n";
const HH: &[&str] = &[
    "README.md",
    "harmless-base/test.jsonl.gz",
    "harmless-base/train.jsonl.gz",
    "helpful-base/test.jsonl.gz",
    "helpful-base/train.jsonl.gz",
    "helpful-online/test.jsonl.gz",
    "helpful-online/train.jsonl.gz",
    "red-team-attempts/red_team_attempts.jsonl.gz",
];

#[test]
fn alpaca() {
    let file = "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet";
    assert_eq!(plain(ALPACA, &[]), Ok(vec![format!("train {file} parquet")]));
    assert_eq!(plain(ALPACA, &["test"]), Err("no split `test` in `x/y`; available: train".into()));
    let config = ask(ALPACA, Ask { config: Some("default"), ..Ask::default() });
    assert_eq!(config, Ok(vec![format!("train {file} parquet")]));
}

#[test]
fn code_alpaca() {
    let files = [".gitattributes", "README.md", "code_alpaca_20k.json"];
    assert_eq!(plain(&files, &[]), Ok(vec!["train code_alpaca_20k.json json".into()]));
}

#[test]
fn gsm8k_by_its_card() {
    let card = Ask { readme: Some(GSM8K_CARD), ..Ask::default() };
    let main = Ok(vec!["train main/train-00000-of-00001.parquet parquet".to_owned()]);
    assert_eq!(ask(GSM8K, Ask { config: Some("main"), ..card }), main);
    assert_eq!(ask(GSM8K, Ask { default_config: Some("main"), ..card }), main);
    assert_eq!(ask(GSM8K, card), Err("`x/y` has configs main, socratic: set `config_name:`".into()));
    assert_eq!(
        ask(GSM8K, Ask { config: Some("socratic"), splits: &["test", "train"], ..card }),
        Ok(vec![
            "test socratic/test-00000-of-00001.parquet parquet".into(),
            "train socratic/train-00000-of-00001.parquet parquet".into()
        ])
    );
    assert_eq!(
        ask(GSM8K, Ask { config: Some("mian"), ..card }),
        Err("no config `mian` in `x/y`; did you mean `main`?".into())
    );
    assert_eq!(
        ask(GSM8K, Ask { config: Some("zzz"), ..card }),
        Err("no config `zzz` in `x/y`; available: main, socratic".into())
    );
    assert_eq!(
        ask(GSM8K, Ask { config: Some("main"), splits: &["val"], ..card }),
        Err("no split `val` in config `main` of `x/y`; available: train, test".into())
    );
}

#[test]
fn gsm8k_without_its_card() {
    let main = Ok(vec!["train main/train-00000-of-00001.parquet parquet".to_owned()]);
    assert_eq!(ask(GSM8K, Ask { default_config: Some("main"), ..Ask::default() }), main);
    assert_eq!(ask(GSM8K, Ask { config: Some("main"), ..Ask::default() }), main);
    assert_eq!(plain(GSM8K, &[]).unwrap().len(), 2, "as in `datasets`, folders are no configs by themselves");
    assert_eq!(
        ask(GSM8K, Ask { config: Some("socrates"), ..Ask::default() }),
        Err("no config `socrates` in `x/y`, which declares none: did you mean `socratic`?".into())
    );
    assert_eq!(
        ask(GSM8K, Ask { config: Some("q"), ..Ask::default() }),
        Err("no config `q` in `x/y`, which declares none: omit `config_name:`".into())
    );
}

#[test]
fn a_folder_asked_for_needs_no_config_and_overrules_the_card() {
    let card = Ask { readme: Some(GSM8K_CARD), folders: &["socratic/"], ..Ask::default() };
    let socratic = Ok(vec!["train socratic/train-00000-of-00001.parquet parquet".to_owned()]);
    assert_eq!(ask(GSM8K, card), socratic);
    assert_eq!(ask(GSM8K, Ask { config: Some("main"), ..card }), socratic);
}

#[test]
fn hh_rlhf_by_folder_in_the_order_asked() {
    assert_eq!(
        ask(HH, Ask { folders: &["helpful-online", "./helpful-base/"], splits: &["train", "test"], ..Ask::default() }),
        Ok(vec![
            "train helpful-online/train.jsonl.gz jsonl.gz".into(),
            "train helpful-base/train.jsonl.gz jsonl.gz".into(),
            "test helpful-online/test.jsonl.gz jsonl.gz".into(),
            "test helpful-base/test.jsonl.gz jsonl.gz".into(),
        ])
    );
    assert_eq!(
        ask(HH, Ask { folders: &["red-team-attempts"], ..Ask::default() }),
        Ok(vec!["train red-team-attempts/red_team_attempts.jsonl.gz jsonl.gz".into()])
    );
    assert_eq!(plain(HH, &["test"]).unwrap().len(), 3, "all folders, but not the file that names no split");
    let missing = |folder| ask(HH, Ask { folders: &[folder], ..Ask::default() }).unwrap_err();
    assert_eq!(missing("harmless"), "no folder `harmless` in `x/y`; did you mean `harmless-base`?");
    assert_eq!(
        missing("zz"),
        "no folder `zz` in `x/y`; available: harmless-base, helpful-base, helpful-online, red-team-attempts"
    );
    assert_eq!(missing("../other"), "folder `../other` is outside `x/y`");
}

#[test]
fn a_folder_asked_for_twice_is_read_once() {
    let twice = Ask { folders: &["helpful-base", "helpful-base/"], ..Ask::default() };
    assert_eq!(ask(HH, twice).unwrap().len(), 1);
}

#[test]
fn every_folder_must_have_the_split() {
    let asked = Ask { folders: &["helpful-base", "red-team-attempts"], splits: &["test"], ..Ask::default() };
    assert_eq!(ask(HH, asked), Err("no split `test` in folder `red-team-attempts` of `x/y`; available: train".into()));
}

#[test]
fn words_of_file_names() {
    let split_of = |file: &str| {
        ["train", "validation", "test"].into_iter().find(|split| plain(&[file, "data/x"], &[split]).is_ok())
    };
    for (file, split) in [
        ("train.csv", "train"),
        ("my_training_set.csv", "train"),
        ("a-dev.jsonl", "validation"),
        ("val2.jsonl", "validation"),
        ("x/valid.json", "validation"),
        ("validation 1.json", "validation"),
        ("9test9.json", "test"),
        ("eval.tsv", "test"),
        ("evaluation.tsv.gz", "test"),
        ("trainer.json", "train"),
        ("latest.json", "train"),
        ("testtrain.json", "train"),
        ("developers.json", "train"),
    ] {
        assert_eq!(split_of(file), Some(split), "{file}");
    }
}

#[test]
fn a_name_with_no_word_is_left_out_once_another_has_one() {
    assert_eq!(plain(&["extra.csv", "train.csv"], &[]), Ok(vec!["train train.csv csv".into()]));
    assert_eq!(plain(&["b.csv", "a.csv"], &[]), Ok(vec!["train a.csv csv".into(), "train b.csv csv".into()]));
}

#[test]
fn folder_names_come_before_file_names() {
    let files = ["train/test.jsonl", "train/b/0.jsonl", "dev set/x.jsonl", "test.jsonl"];
    assert_eq!(
        plain(&files, &["validation", "train"]),
        Ok(vec![
            "validation dev set/x.jsonl jsonl".into(),
            "train train/b/0.jsonl jsonl".into(),
            "train train/test.jsonl jsonl".into()
        ])
    );
    assert_eq!(plain(&files, &["test"]), Err("no split `test` in `x/y`; available: train, validation".into()));
}

#[test]
fn words_rank_before_names() {
    let files = ["val_a.json", "dev.json", "validation.json", "b_valid.json", "valid_c.json"];
    let order: Vec<_> = plain(&files, &["validation"]).unwrap();
    let order: Vec<_> = order.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(order, ["validation.json", "valid_c.json", "b_valid.json", "dev.json", "val_a.json"]);
}

#[test]
fn shards_under_data_may_have_any_split_name() {
    let files = [
        "data/train-00001-of-00002.parquet",
        "data/train-00000-of-00002.parquet",
        "data/train_sft-00000-of-00001-0123abcd.parquet",
        "data/test-00000-of-00001.parquet",
        "validation.parquet",
    ];
    assert_eq!(
        plain(&files, &["train_sft", "train"]),
        Ok(vec![
            "train_sft data/train_sft-00000-of-00001-0123abcd.parquet parquet".into(),
            "train data/train-00000-of-00002.parquet parquet".into(),
            "train data/train-00001-of-00002.parquet parquet".into()
        ])
    );
    assert_eq!(plain(&files, &["val"]), Err("no split `val` in `x/y`; available: train, test, train_sft".into()));
}

#[test]
fn the_commonest_extension_decides_and_parquet_wins_a_draw() {
    assert_eq!(plain(&["a.json", "b.jsonl.gz", "c.parquet"], &[]), Ok(vec!["train c.parquet parquet".into()]));
    assert_eq!(
        plain(&["a.jsonl", "b.jsonl", "c.json", "d.parquet"], &[]),
        Ok(vec!["train a.jsonl jsonl".into(), "train b.jsonl jsonl".into(), "train c.json json".into()])
    );
    assert_eq!(plain(&["a.csv", "b.tsv"], &[]), Ok(vec!["train a.csv csv".into(), "train b.tsv tsv".into()]));
    assert_eq!(
        plain(&["a.geoparquet", "b.gpq"], &[]),
        Ok(vec!["train a.geoparquet parquet".into(), "train b.gpq parquet".into()])
    );
}

#[test]
fn hidden_special_and_describing_files_are_left_out() {
    let files =
        [".cache/a.json", "__x/b.json", "c.json", "config.json", "dataset_infos.json", "dataset_info.json", ".d.json"];
    assert_eq!(plain(&files, &[]), Ok(vec!["train c.json json".into()]));
    let hidden = Ask { folders: &[".cache"], ..Ask::default() };
    assert_eq!(ask(&files, hidden), Ok(vec!["train .cache/a.json json".into()]));
}

#[test]
fn files_without_rows_decide_nothing() {
    let files = ["images/test/a.png", "train.py", "LICENSE", "rows.jsonl"];
    assert_eq!(plain(&files, &[]), Ok(vec!["train rows.jsonl jsonl".into()]));
}

#[test]
fn repositories_without_rows_say_what_they_have() {
    let reason = |files: &[&str]| plain(files, &[]).unwrap_err();
    assert_eq!(
        reason(&["README.md", "y.py"]),
        "`x/y` is a loading script (`y.py`), which datac does not run; the repository itself contains no rows"
    );
    assert!(
        reason(&["a.png", "b.png", "c.pdf"]).starts_with("no rows in `x/y`: it only contains .png, .pdf; datac reads")
    );
    assert_eq!(reason(&[]), "`x/y` has no files");
    assert!(reason(&["README.md"]).contains("only contains a description"));
    assert!(reason(&["rows.7z"]).contains("only contains .7z; archives of this kind are not unpacked"));
    let inside = ask(&["a/b.png", "c.csv"], Ask { folders: &["a"], ..Ask::default() });
    assert!(inside.unwrap_err().starts_with("no rows in folder `a` of `x/y`: it only contains .png"));
}

#[test]
fn unread_wrappings_are_named() {
    assert_eq!(
        plain(&["rows.zip.gz"], &[]),
        Err("`rows.zip.gz` in `x/y` is compressed as .gz: zip archives must not be compressed again".into())
    );
    assert_eq!(
        plain(&["a.parquet.gz"], &[]),
        Err("`a.parquet.gz` in `x/y` is compressed as .gz: columnar files must not be compressed again".into())
    );
    assert_eq!(plain(&["test.jsonl.7z", "train.jsonl"], &[]), Ok(vec!["train train.jsonl jsonl".into()]));
    assert_eq!(plain(&["train.jsonl.XZ"], &[]), Ok(vec!["train train.jsonl.XZ jsonl.xz".into()]));
    assert_eq!(plain(&["a.txt", "b.txt"], &[]), Ok(vec!["train a.txt txt".into(), "train b.txt txt".into()]));
    assert_eq!(plain(&["a.txt", "b.txt", "c.jsonl"], &[]), Ok(vec!["train c.jsonl jsonl".into()]), "notes");
    assert_eq!(plain(&["requirements.txt", "A.JSONL"], &[]), Ok(vec!["train A.JSONL jsonl".into()]));
}

#[test]
fn archives_are_read_where_nothing_else_has_rows() {
    let zip = |split: &str, path: &str| Ok(vec![format!("{split} {path} zip")]);
    assert_eq!(plain(&["train.jsonl.zip"], &[]), zip("train", "train.jsonl.zip"));
    assert_eq!(plain(&["data.tgz"], &[]), Ok(vec!["train data.tgz tar.gz".into()]));
    assert_eq!(plain(&["data.tar.ZST"], &[]), Ok(vec!["train data.tar.ZST tar.zst".into()]));
    assert_eq!(plain(&["images.zip", "train.jsonl"], &[]), Ok(vec!["train train.jsonl jsonl".into()]));
    assert_eq!(plain(&["images.zip", "rows.jsonl"], &[]), Ok(vec!["train rows.jsonl jsonl".into()]));
    assert_eq!(plain(&["a.zip", "lines.txt"], &[]), Ok(vec!["train lines.txt txt".into()]));
    assert_eq!(plain(&["train.zip", "test.jsonl"], &["train"]), zip("train", "train.zip"));
    assert_eq!(plain(&["data.zip"], &["test"]), zip("test", "data.zip"), "the names within may say so");
    assert!(plain(&["train.zip"], &["test"]).unwrap_err().contains("no split `test`"));
}

#[test]
fn files_of_archives_are_those_of_folders() {
    let within = |paths: &[&str], wanted| {
        let found = files_of("a.zip", paths, wanted).map_err(|error| error.to_string());
        found.map(|files| files.iter().map(|(path, kind)| format!("{path} {kind}")).collect::<Vec<_>>())
    };
    let all =
        ["x/train.jsonl", "x/test.jsonl", "__MACOSX/x/train.jsonl", "x/.hidden.jsonl", "x/README.md", "b.jsonl.gz"];
    let lines = |lines: &[&str]| Ok(lines.iter().map(|line| (*line).to_owned()).collect());
    assert_eq!(within(&all, Files::OfSplit("test")), lines(&["x/test.jsonl jsonl"]));
    let expected = ["b.jsonl.gz jsonl.gz", "x/test.jsonl jsonl", "x/train.jsonl jsonl"];
    assert_eq!(within(&all, Files::All), lines(&expected));
    assert_eq!(
        within(&["a.jsonl", "b.csv", "c.jsonl"], Files::OfSplit("train")),
        lines(&["a.jsonl jsonl", "c.jsonl jsonl"])
    );
    assert!(
        within(&["a.png", "b.wav"], Files::All)
            .unwrap_err()
            .contains("no rows in `a.zip`: it only contains .png, .wav")
    );
}

fn card(configs: &str) -> String {
    format!("---\nconfigs:\n{configs}\n---\n")
}

#[test]
fn the_default_config_of_a_card() {
    let files = ["a/0.csv", "b/0.csv"];
    let pick = |configs: &str| ask(&files, Ask { readme: Some(&card(configs)), ..Ask::default() });
    let b = Ok(vec!["train b/0.csv csv".to_owned()]);
    assert_eq!(pick("- {config_name: b, data_files: b/*}"), b, "the only one");
    assert_eq!(pick("- {config_name: a, data_dir: a}\n- {config_name: default, data_dir: b}"), b, "by its name");
    assert_eq!(
        pick("- {config_name: a, data_dir: a}\n- {config_name: b, data_dir: b, default: true}"),
        b,
        "by its flag"
    );
    assert_eq!(
        pick("- {config_name: default, data_dir: a}\n- {config_name: b, data_dir: b, default: true}"),
        Err("`x/y` has several default configs, default, b: set `config_name:`".into())
    );
}

#[test]
fn patterns_of_a_card_in_their_order() {
    let files = ["d/p1/b.jsonl", "d/p1/a.jsonl", "d/p2/a.jsonl", "d/p2/.h.jsonl", "d/p2/__s/x.jsonl", "e.jsonl"];
    let readme = card("- {config_name: c, data_dir: d, data_files: {all: [p2/**, '*/a.jsonl', p1/b.jsonl]}}");
    assert_eq!(
        ask(&files, Ask { readme: Some(&readme), splits: &["all"], ..Ask::default() }),
        Ok(vec!["all d/p2/a.jsonl jsonl".into(), "all d/p1/a.jsonl jsonl".into(), "all d/p1/b.jsonl jsonl".into()])
    );
    let readme = card("- {config_name: c, data_files: [d/p2/__s/*, d/p2/.h*]}");
    assert_eq!(
        ask(&files, Ask { readme: Some(&readme), ..Ask::default() }),
        Ok(vec!["train d/p2/__s/x.jsonl jsonl".into(), "train d/p2/.h.jsonl jsonl".into()])
    );
}

#[test]
fn patterns_that_lead_nowhere() {
    let fault = |files: &str| {
        let readme = card(&format!("- {{config_name: c, data_files: {files}}}"));
        ask(&["a.csv", "pic.png"], Ask { readme: Some(&readme), ..Ask::default() }).unwrap_err()
    };
    assert_eq!(fault("b.csv"), "config `c` of `x/y` names `b.csv`, which does not exist");
    assert_eq!(
        fault("'hf://datasets/o/p/a.csv'"),
        "config `c` of `x/y` names `hf://datasets/o/p/a.csv`, which is not in the repository"
    );
    assert_eq!(fault("b*"), "no file for split `train` in config `c` of `x/y`: its patterns match no data files");
    assert!(fault("[[x]]").starts_with("the card of `x/y` cannot be used: `data_files` of config `c`"));
}

#[test]
fn a_describing_file_is_read_when_a_card_names_it() {
    let readme = card("- {config_name: c, data_files: config.json}");
    let files = ["config.json", "a.json"];
    assert_eq!(ask(&files, Ask { readme: Some(&readme), ..Ask::default() }), Ok(vec!["train config.json json".into()]));
}

#[test]
fn listing_order_does_not_matter() {
    let mut files = HH.to_vec();
    let forward = plain(&files, &["train"]);
    files.reverse();
    assert_eq!(plain(&files, &["train"]), forward);
}
