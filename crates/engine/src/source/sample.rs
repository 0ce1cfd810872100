//! A hub inside the binary: small hand-written replacements for four repositories, in their layouts and file formats.

use std::sync::Arc;

use super::{
    Asked, Bytes, Checked, FileDigest, HubKind, Listing, Opening, RemoteFile, Source, SourceError, folder,
    is_model_repo, known,
};
use datac_core::id::FileHash;

/// A file of the sample: repository, path and bytes.
type Packed = (&'static str, &'static str, &'static [u8]);

macro_rules! packed {
    ($($repo:literal { $($path:literal)* })*) => {
        &[$($(($repo, $path, include_bytes!(concat!("../../../../assets/sample/", $repo, "/", $path)))),*),*]
    };
}

/// All files, sorted by repository and path. `examples/pack_sample.rs` makes them from `assets/rows/`.
const FILES: &[Packed] = packed! {
    "Anthropic/hh-rlhf" {
        "README.md"
        "harmless-base/test.jsonl.gz"
        "harmless-base/train.jsonl.gz"
        "helpful-base/test.jsonl.gz"
        "helpful-base/train.jsonl.gz"
        "helpful-online/test.jsonl.gz"
        "helpful-online/train.jsonl.gz"
        "helpful-rejection-sampled/test.jsonl.gz"
        "helpful-rejection-sampled/train.jsonl.gz"
    }
    "openai/gsm8k" {
        "README.md"
        "main/test-00000-of-00001.parquet"
        "main/train-00000-of-00001.parquet"
        "socratic/test-00000-of-00001.parquet"
        "socratic/train-00000-of-00001.parquet"
    }
    "sahil2801/CodeAlpaca-20k" {
        "README.md"
        "code_alpaca_20k.json"
    }
    "tatsu-lab/alpaca" {
        "README.md"
        "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"
    }
};

macro_rules! packed_model {
    ($repo:literal { $($path:literal)* }) => {
        &[$(($repo, $path, include_bytes!(concat!("../../../model/sample/", $path)))),*]
    };
}

/// The files of a small model, sorted by path: a tokenizer of some hundred tokens and three chat templates.
const MODEL: &[Packed] = packed_model! {
    "models/datac/sample" {
        "additional_chat_templates/plain.jinja"
        "additional_chat_templates/tool_use.jinja"
        "chat_template.jinja"
        "tokenizer.json"
        "tokenizer_config.json"
    }
};

/// Returns the files of a repository.
fn files_of(id: &str) -> impl Iterator<Item = &'static Packed> {
    FILES.iter().chain(MODEL).filter(move |(of, ..)| *of == id)
}

/// The hub inside the binary.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleHub;

impl SampleHub {
    /// Returns the datasets of the sample hub.
    pub fn repos() -> Vec<&'static str> {
        let mut repos: Vec<&str> = FILES.iter().map(|(repo, ..)| *repo).collect();
        repos.dedup();
        repos
    }

    fn no_repo(repo: &str) -> SourceError {
        let models = || MODEL.iter().map(|(repo, ..)| *repo).take(1).collect();
        let there = if is_model_repo(repo) { models() } else { Self::repos() };
        let repos: Vec<String> = there.iter().map(|repo| format!("`{repo}`")).collect();
        SourceError::NoRepo { repo: repo.to_owned(), hub: format!("the sample hub, which has {}", repos.join(", ")) }
    }
}

/// The kind of hub that `--hub sample` names.
pub(super) struct SampleKind;

const NAME: &str = "sample";

impl HubKind for SampleKind {
    fn is_meant(&self, given: &str) -> bool {
        given == NAME
    }

    fn name(&self, _: &str) -> String {
        NAME.to_owned()
    }

    fn open(&self, _: &str, _: &Opening) -> Result<Arc<dyn Source>, SourceError> {
        Ok(Arc::new(SampleHub))
    }

    fn check(&self, _: &str, _: &Opening) -> Checked {
        Checked::Usable("bundled sample data".to_owned())
    }
}

impl Source for SampleHub {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    /// Resolves a branch or tag to the bundled contents; a commit must match them.
    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
        let Asked { source: repo, revision, .. } = *asked;
        let id = known::canonical(repo);
        let files: Vec<RemoteFile> = files_of(id)
            .map(|(_, path, bytes)| RemoteFile {
                path: (*path).to_owned(),
                size: bytes.len() as u64,
                digest: FileDigest::Blake3(FileHash::of(bytes)),
                etag: None,
            })
            .collect();
        if files.is_empty() {
            return Err(Self::no_repo(repo));
        }
        let commit = folder::commit_of(&files);
        match revision {
            Some(revision) if revision != "main" && revision != commit => {
                Err(SourceError::NoRevision { repo: repo.to_owned(), revision: revision.to_owned() })
            }
            _ => Ok(Listing { id: id.to_owned(), commit: Some(commit), files, ..Listing::default() }),
        }
    }

    fn open(&self, repo: &str, _: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        let id = known::canonical(repo);
        let mut of_repo = files_of(id).peekable();
        if of_repo.peek().is_none() {
            return Err(Self::no_repo(repo));
        }
        let Some((_, path, bytes)) = of_repo.find(|(_, path, _)| *path == file.path) else {
            return Err(SourceError::NoFile { repo: repo.to_owned(), path: file.path.clone() });
        };
        // Another version of datac may contain other rows.
        if file.digest != FileDigest::Blake3(FileHash::of(bytes)) {
            return Err(SourceError::Changed {
                repo: repo.to_owned(),
                path: (*path).to_owned(),
                expected: file.digest.to_string(),
            });
        }
        Ok(Bytes::Static(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        path::{Path, PathBuf},
    };

    use arrow_array::{Array, StringArray, cast::AsArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use serde_json::{Map, Value};

    use super::*;
    use crate::{
        source::layout::{Want, resolve},
        system,
    };

    type Rows = Vec<Map<String, Value>>;

    fn assets() -> PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("assets")
    }

    fn text(path: &str) -> String {
        String::from_utf8(system::read(&assets().join("rows").join(path)).unwrap()).unwrap()
    }

    fn rows(path: &str) -> Rows {
        text(path).split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn packed(repo: &str, path: &str) -> &'static [u8] {
        FILES.iter().find(|file| (file.0, file.1) == (repo, path)).unwrap().2
    }

    /// Returns the rows of a Parquet file, its columns, and the number of rows in each row group.
    fn parquet(bytes: &[u8]) -> (Rows, Vec<String>, Vec<i64>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let groups = builder.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        let columns: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut rows = Rows::new();
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            let cells: Vec<&StringArray> = batch.columns().iter().map(|column| column.as_string()).collect();
            for row in 0..batch.num_rows() {
                let cell = |(name, cells): (&String, &&StringArray)| {
                    assert!(!cells.is_null(row));
                    (name.clone(), Value::from(cells.value(row)))
                };
                rows.push(columns.iter().zip(&cells).map(cell).collect());
            }
        }
        (rows, columns, groups)
    }

    fn selected(repo: &str, folders: &[&str], splits: &[&str]) -> Vec<String> {
        let listing = SampleHub.resolve(&Asked::of(repo, None)).unwrap();
        let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let want = Want {
            repo,
            config_name: None,
            data_dir: &owned(folders),
            splits: &owned(splits),
            default_config: known::default_config(repo),
        };
        let readme = std::str::from_utf8(packed(&listing.id, "README.md")).unwrap();
        resolve(&paths, Some(readme), &want).unwrap().into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn every_file_on_disk_is_in_the_table() {
        let listed: Vec<String> = FILES.iter().map(|(repo, path, _)| format!("{repo}/{path}")).collect();
        assert_eq!(listed, folder::walk(&assets().join("sample")).unwrap());
        assert_eq!(
            SampleHub::repos(),
            ["Anthropic/hh-rlhf", "openai/gsm8k", "sahil2801/CodeAlpaca-20k", "tatsu-lab/alpaca"]
        );
    }

    #[test]
    fn alpaca_is_packed_from_its_rows() {
        let (found, columns, groups) =
            parquet(packed("tatsu-lab/alpaca", "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"));
        assert_eq!(columns, ["instruction", "input", "output", "text"]);
        assert!(groups.len() >= 3 && groups.iter().all(|rows| *rows <= 100), "{groups:?}");
        let written = rows("tatsu-lab/alpaca/data/train.jsonl");
        assert_eq!(found.len(), written.len());
        for (mut found, written) in found.into_iter().zip(written) {
            let Some(Value::String(text)) = found.remove("text") else { panic!("no text") };
            assert_eq!(found, written);
            assert!(written.values().all(|value| text.contains(value.as_str().unwrap())));
        }
    }

    #[test]
    fn gsm8k_is_packed_from_its_rows() {
        for config in ["main", "socratic"] {
            for split in ["train", "test"] {
                let (found, columns, _) =
                    parquet(packed("openai/gsm8k", &format!("{config}/{split}-00000-of-00001.parquet")));
                assert_eq!(columns, ["question", "answer"]);
                assert_eq!(found, rows(&format!("openai/gsm8k/{config}/{split}.jsonl")), "{config}/{split}");
            }
        }
    }

    #[test]
    fn hh_rlhf_is_packed_from_its_rows() {
        for folder in ["helpful-base", "helpful-online", "helpful-rejection-sampled", "harmless-base"] {
            for split in ["train", "test"] {
                let bytes = packed("Anthropic/hh-rlhf", &format!("{folder}/{split}.jsonl.gz"));
                let mut found = String::new();
                flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut found).unwrap();
                let path = format!("Anthropic/hh-rlhf/{folder}/{split}.jsonl");
                assert!(found == text(&path), "{path} changed and was not packed");
                for row in rows(&path) {
                    assert_eq!(row.keys().collect::<Vec<_>>(), ["chosen", "rejected"]);
                    assert!(row.values().all(Value::is_string));
                }
            }
        }
    }

    #[test]
    fn code_alpaca_is_one_array() {
        let found: Rows = serde_json::from_slice(packed("sahil2801/CodeAlpaca-20k", "code_alpaca_20k.json")).unwrap();
        assert!(found.len() > 200);
        for row in found {
            let mut keys: Vec<&String> = row.keys().collect();
            keys.sort();
            assert_eq!(keys, ["input", "instruction", "output"]);
            assert!(row.values().all(Value::is_string));
        }
    }

    /// Evaluates a sum of products as annotations write it: numbers, `+-*/`, and a leading sign.
    fn value(expression: &str) -> f64 {
        let mut terms = Vec::new();
        let mut from = 0;
        for (at, byte) in expression.bytes().enumerate() {
            if at > from && matches!(byte, b'+' | b'-') {
                terms.push(&expression[from..at]);
                from = at;
            }
        }
        terms.push(&expression[from..]);
        let product = |term: &str| {
            let (sign, term) = match term.strip_prefix('-') {
                Some(rest) => (-1.0, rest),
                None => (1.0, term.trim_start_matches('+')),
            };
            let mut factors = term.split_inclusive(['*', '/']);
            let mut divide = false;
            let mut product = sign;
            for factor in &mut factors {
                let number: f64 = factor.trim_end_matches(['*', '/']).parse().unwrap();
                product = if divide { product / number } else { product * number };
                divide = factor.ends_with('/');
            }
            product
        };
        terms.into_iter().map(product).sum()
    }

    #[test]
    fn every_calculation_is_right() {
        let mut seen = 0;
        for file in ["main/train", "main/test", "socratic/train", "socratic/test"] {
            for row in rows(&format!("openai/gsm8k/{file}.jsonl")) {
                for part in row["answer"].as_str().unwrap().split("<<").skip(1) {
                    let (expression, result) = part.split_once(">>").unwrap().0.rsplit_once('=').unwrap();
                    let result: f64 = result.parse().unwrap();
                    assert!((value(expression) - result).abs() < 1e-9, "{expression} is not {result}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 500, "{seen}");
    }

    #[test]
    fn the_layouts_resolve_as_the_real_ones_do() {
        assert_eq!(selected("gsm8k", &[], &["train"]), ["main/train-00000-of-00001.parquet"]);
        assert_eq!(selected("sahil2801/CodeAlpaca-20k", &[], &["train"]), ["code_alpaca_20k.json"]);
        assert_eq!(selected("tatsu-lab/alpaca", &[], &["train"]).len(), 1);
        let folders = ["helpful-base", "helpful-online", "helpful-rejection-sampled"];
        assert_eq!(
            selected("Anthropic/hh-rlhf", &folders, &["train"]),
            folders.map(|folder| format!("{folder}/train.jsonl.gz"))
        );
    }

    #[test]
    fn opens_what_it_lists_and_nothing_else() {
        for repo in SampleHub::repos() {
            let listing = SampleHub.resolve(&Asked::of(repo, None)).unwrap();
            assert_eq!(SampleHub.resolve(&Asked::of(repo, listing.commit.as_deref())).unwrap(), listing);
            for file in &listing.files {
                let Bytes::Static(bytes) = SampleHub.open(repo, listing.commit.as_deref(), file).unwrap() else {
                    panic!()
                };
                assert_eq!(bytes.len() as u64, file.size);
            }
        }
        let listing = SampleHub.resolve(&Asked::of("gsm8k", Some("main"))).unwrap();
        assert_eq!(listing.id, "openai/gsm8k");
        let mut file = listing.files[0].clone();
        file.digest = FileDigest::Blake3(FileHash::of(b"other"));
        assert!(matches!(SampleHub.open("gsm8k", None, &file), Err(SourceError::Changed { .. })));
        file.path = "none".into();
        assert!(matches!(SampleHub.open("gsm8k", None, &file), Err(SourceError::NoFile { .. })));
        let commit = format!("blake3:{}", "0".repeat(64));
        assert!(matches!(SampleHub.resolve(&Asked::of("gsm8k", Some(&commit))), Err(SourceError::NoRevision { .. })));
        assert_eq!(
            SampleHub.resolve(&Asked::of("a/b", None)).unwrap_err().to_string(),
            "find dataset `a/b` on the sample hub, which has `Anthropic/hh-rlhf`, `openai/gsm8k`, \
             `sahil2801/CodeAlpaca-20k`, `tatsu-lab/alpaca`"
        );
    }
}
