//! Classifies files by their names.

pub use datac_decode::{Compression, FileKind, RowFormat};

/// Returns the loader of `datasets` for a format; formats with the same loader may be mixed in a split.
pub(super) fn loader(format: RowFormat) -> &'static str {
    match format {
        RowFormat::Jsonl | RowFormat::Json => "json",
        RowFormat::Csv | RowFormat::Tsv => "csv",
        RowFormat::Zip | RowFormat::Tar => "archive",
        other => other.name(),
    }
}

/// Extensions of row files, in the order in which `datasets` prefers them if several are equally frequent.
pub(super) const EXTENSIONS: &[(&str, RowFormat)] = &[
    ("parquet", RowFormat::Parquet),
    ("arrow", RowFormat::Arrow),
    ("jsonl", RowFormat::Jsonl),
    ("json", RowFormat::Json),
    ("csv", RowFormat::Csv),
    ("tsv", RowFormat::Tsv),
    ("ndjson", RowFormat::Jsonl),
    ("gpq", RowFormat::Parquet),
    ("geoparquet", RowFormat::Parquet),
    ("txt", RowFormat::Txt),
    ("zip", RowFormat::Zip),
    ("tar", RowFormat::Tar),
    ("tgz", RowFormat::Tar),
    ("tbz2", RowFormat::Tar),
    ("txz", RowFormat::Tar),
    ("tzst", RowFormat::Tar),
];

/// Text files that describe a repository or a program, and hold no rows.
const NOTES: &[&str] = &[
    "license",
    "licence",
    "readme",
    "requirements",
    "changelog",
    "notice",
    "citation",
    "copying",
    "authors",
    "contributing",
];

/// Compression formats and archives that are not supported.
const SEALED: &[&str] = &["lz4", "7z", "rar", "lzma", "br", "Z"];

/// Endings of archives that are not supported.
const CLOSED: &[&str] = &["7z", "rar"];

/// Returns whether a path names an archive, readable or not.
pub(crate) fn is_archive(path: &str) -> bool {
    judge(path).format().is_some_and(RowFormat::is_archive) || is_closed(path)
}

/// Returns whether a path names an archive of a kind that is not read.
pub(super) fn is_closed(path: &str) -> bool {
    let last = basename(path).rsplit_once('.').map_or("", |(_, last)| last);
    CLOSED.iter().any(|ending| ending.eq_ignore_ascii_case(last))
}

/// JSON files that describe a program or the columns of rows, and hold no rows.
const SETTINGS: &[&str] = &["package", "package-lock", "tsconfig", "jsconfig", "schema"];

/// Classification of a file by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'n> {
    /// Rows that can be read; `extension` is the index in [`EXTENSIONS`].
    Rows { kind: FileKind, extension: usize },
    /// Rows in a compression format or archive that is not supported.
    Sealed { wrapping: &'n str, extension: usize },
    /// Anything else.
    Other,
}

impl Name<'_> {
    /// Returns the format of the rows, if the name gives one.
    pub(super) fn format(self) -> Option<RowFormat> {
        match self {
            Self::Rows { extension, .. } | Self::Sealed { extension, .. } => Some(EXTENSIONS[extension].1),
            Self::Other => None,
        }
    }
}

/// Explains why a compressed or archived file of `format` is not supported.
pub(super) fn why_sealed(wrapping: &str, format: RowFormat) -> String {
    let advice = match format {
        RowFormat::Parquet | RowFormat::Arrow => "columnar files must not be compressed again",
        RowFormat::Zip => "zip archives must not be compressed again",
        _ => "datac reads .gz, .zst, .xz and .bz2; unpack it",
    };
    format!("is compressed as .{wrapping}: {advice}")
}

/// Returns the compression that a path's last extension names.
pub(super) fn compression_of(path: &str) -> Compression {
    let Some((_, last)) = path.rsplit_once('.') else { return Compression::None };
    match last.to_ascii_lowercase().as_str() {
        "gz" | "gzip" | "tgz" => Compression::Gzip,
        "zst" | "zstd" | "tzst" => Compression::Zstd,
        "xz" | "txz" => Compression::Xz,
        "bz2" | "tbz2" => Compression::Bzip2,
        _ => Compression::None,
    }
}

/// Classifies a path by its last extensions, in capitals or not.
pub(super) fn judge(path: &str) -> Name<'_> {
    let base = basename(path);
    let Some((stem, last)) = base.rsplit_once('.') else { return Name::Other };
    let position = |name: &str| EXTENSIONS.iter().position(|(extension, _)| extension.eq_ignore_ascii_case(name));
    let inner = stem.rsplit_once('.').and_then(|(_, inner)| position(inner));
    let compression = compression_of(base);
    match (compression, position(last), inner) {
        (Compression::None, Some(extension), _) if EXTENSIONS[extension].1 == RowFormat::Txt && is_note(stem) => {
            Name::Other
        }
        (Compression::None, Some(_), _) if last == "json" && SETTINGS.contains(&stem) => Name::Other,
        // Compressed tar files have an extension of their own.
        (_, Some(extension), _) => {
            Name::Rows { kind: FileKind { format: EXTENSIONS[extension].1, compression }, extension }
        }
        (Compression::None, None, Some(extension)) if SEALED.contains(&last) => {
            Name::Sealed { wrapping: last, extension }
        }
        (Compression::None, ..) => Name::Other,
        (_, _, Some(extension)) => match EXTENSIONS[extension].1 {
            // Columnar files need random access, which is impossible if they are compressed as a whole.
            RowFormat::Parquet | RowFormat::Arrow | RowFormat::Zip => Name::Sealed { wrapping: last, extension },
            format => Name::Rows { kind: FileKind { format, compression }, extension },
        },
        _ => Name::Other,
    }
}

fn is_note(stem: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let is = |note: &&str| {
        stem.get(..note.len()).is_some_and(|start| start.eq_ignore_ascii_case(note)) && !goes_on(&stem[note.len()..])
    };
    NOTES.iter().any(is)
}

/// Returns whether a path names rows, readable or not. A lock pins all such files of a repository.
pub fn is_data(path: &str) -> bool {
    judge(path) != Name::Other
}

/// Returns the `format` that a recipe for a file of this name needs; `None` if the name does not give a readable
/// format.
pub fn format_of(path: &str) -> Option<RowFormat> {
    match judge(path) {
        // Recipes have one word for both kinds of delimited values.
        Name::Rows { kind: FileKind { format: RowFormat::Tsv, .. }, .. } => Some(RowFormat::Csv),
        // The names in an archive give it.
        Name::Rows { kind, .. } => Some(kind.format).filter(|format| !format.is_archive()),
        Name::Sealed { .. } | Name::Other => None,
    }
}

/// Returns the last part of a path.
pub(super) fn basename(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, base)| base)
}
