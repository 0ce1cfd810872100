//! Lists the files of a repository at a commit, page by page, and checks the names that a hub returns.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Client, Response, Url, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    endpoint::authorization,
    errors::{About, Fault, read_body},
};
use crate::source::{FileDigest, RemoteFile};

/// Maximum number of pages of a listing. The Hub has a thousand entries per page.
const MOST_PAGES: usize = 1000;
/// Maximum size of a response in bytes.
const LONGEST_ANSWER: usize = 32 << 20;

/// An entry of `/api/datasets/{id}/tree/{commit}`.
#[derive(Deserialize)]
struct TreeEntry {
    r#type: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

/// Details of a large file; the entry's own `oid` is then that of the pointer.
#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// A page, and the URL of the next one.
pub(super) struct Page {
    entries: Vec<TreeEntry>,
    pub(super) next: Option<Url>,
}

/// The part of `/api/datasets/{id}/revision/{revision}` that is needed.
#[derive(Deserialize)]
pub(super) struct Info {
    /// The repository's own name, which may differ from the requested one.
    pub(super) id: String,
    /// The commit of the revision.
    pub(super) sha: Option<String>,
}

/// Requests the commit of a revision.
pub(super) async fn info(client: &Client, about: &About<'_>, url: Url) -> Result<Info, Fault> {
    let request = client.get(url).headers(authorization(about.token));
    let response = about.success(request.send().await.map_err(|error| about.transport(&error))?).await?;
    json(response, about, "what it says of the dataset").await
}

/// Reads the JSON body of a response.
async fn json<T: DeserializeOwned>(response: Response, about: &About<'_>, what: &str) -> Result<T, Fault> {
    let body = read_body(response, LONGEST_ANSWER).await.map_err(|error| match error {
        Some(error) => about.transport(&error),
        None => about.malformed(&format!("{what} is too long")),
    })?;
    serde_json::from_slice(&body).map_err(|error| about.malformed(&format!("{what} is not as expected: {error}")))
}

/// Requests one page.
pub(super) async fn page(client: &Client, about: &About<'_>, url: Url) -> Result<Page, Fault> {
    let request = client.get(url).headers(authorization(about.token));
    let response = about.success(request.send().await.map_err(|error| about.transport(&error))?).await?;
    let next = match next_link(response.headers()) {
        None => None,
        Some(link) => {
            let next = response.url().join(&link).map_err(|_| about.malformed("its next page has no address"))?;
            // The token must not be sent to another host.
            if !about.endpoint.is_origin_of(&next) {
                return Err(about.malformed("its next page is on another host"));
            }
            Some(next)
        }
    };
    let entries = json(response, about, "its file list").await?;
    Ok(Page { entries, next })
}

/// Collects pages into a checked list of files.
#[derive(Default)]
pub(super) struct Files {
    files: BTreeMap<String, RemoteFile>,
    /// Lower-case names, since some file systems ignore case.
    names: BTreeSet<String>,
    pages: usize,
}

impl Files {
    /// Adds a page.
    pub(super) fn add(&mut self, page: Page) -> Result<(), String> {
        self.pages += 1;
        if self.pages > MOST_PAGES {
            return Err(format!("its file list has more than {MOST_PAGES} pages"));
        }
        for entry in page.entries {
            if entry.r#type != "file" {
                continue;
            }
            check_path(&entry.path).map_err(|reason| format!("it lists {:?}, {reason}", entry.path))?;
            if !self.names.insert(entry.path.to_lowercase()) {
                return Err(format!("it lists `{}` twice, but for case", entry.path));
            }
            let (size, digest) = match &entry.lfs {
                Some(lfs) => (lfs.size, format!("sha256:{}", lfs.oid)),
                None => (entry.size, format!("git:{}", entry.oid)),
            };
            let digest: FileDigest =
                digest.parse().map_err(|_| format!("it lists `{}` with a digest that is none", entry.path))?;
            if entry.lfs.is_some() && entry.size != size {
                return Err(format!("it lists `{}` with two sizes", entry.path));
            }
            self.files.insert(entry.path.clone(), RemoteFile { path: entry.path, size, digest, etag: None });
        }
        Ok(())
    }

    /// Returns the files, sorted by path.
    pub(super) fn finish(self) -> Vec<RemoteFile> {
        self.files.into_values().collect()
    }
}

/// Checks that a path of a repository is plain and relative, since it may be written to disk or shown to people.
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    const LONGEST: usize = 1024;
    const LONGEST_SEGMENT: usize = 255;
    if path.is_empty() {
        return Err("which is empty");
    }
    if path.len() > LONGEST || path.split('/').any(|segment| segment.len() > LONGEST_SEGMENT) {
        return Err("which is too long");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return Err("which has a backslash or a control character in it");
    }
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("which is not a plain relative path");
    }
    Ok(())
}

/// Returns whether a text is the name of a repository: `org/name`, or also `name` if `short` is set.
pub(super) fn is_repo_id(id: &str, short: bool) -> bool {
    const LONGEST: usize = 96;
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= LONGEST
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match id.split_once('/') {
        Some((owner, name)) => plain(owner) && plain(name),
        None => short && plain(id),
    }
}

/// Returns whether a text is a commit: 40 lower-case hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the target of the `rel="next"` link.
fn next_link(headers: &header::HeaderMap) -> Option<String> {
    headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|value| {
        let mut rest = value;
        while let Some((_, link)) = rest.split_once('<') {
            let (target, after) = link.split_once('>')?;
            let (parameters, more) = after.split_once(",").map_or((after, ""), |(ours, more)| (ours, more));
            let is_next = parameters.split(';').any(|parameter| {
                parameter.trim().split_once('=').is_some_and(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"') == "next"
                })
            });
            if is_next {
                return Some(target.to_owned());
            }
            rest = more;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(values: &[&'static str]) -> Option<String> {
        next_link(&values.iter().map(|v| (header::LINK, header::HeaderValue::from_static(v))).collect())
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        assert_eq!(link(&[]), None);
        assert_eq!(link(&["<https://a/x?cursor=1>; rel=\"next\""]).as_deref(), Some("https://a/x?cursor=1"));
        assert_eq!(link(&["</x>; title=t; rel=next"]).as_deref(), Some("/x"));
        assert_eq!(link(&["</p>; rel=\"prev\", </n>; rel=\"next\""]).as_deref(), Some("/n"));
        assert_eq!(link(&["</p>; rel=\"prev\"", "</n>; rel=\"next\""]).as_deref(), Some("/n"));
        assert_eq!(link(&["</p>; rel=\"prev\""]), None);
        assert_eq!(link(&["</p; rel=\"next\""]), None);
    }

    #[test]
    fn only_plain_relative_paths_are_taken() {
        let (long, deep) = ("a".repeat(256), vec!["a".repeat(200); 6].join("/"));
        for path in ["a.json", "data/train-00000-of-00001.parquet", "ä/b c#d?.json", ".gitattributes", "..a"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in
            ["", "/etc/passwd", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "a\\b", "a\0b", "a\nb", &long, &deep]
        {
            assert!(check_path(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn ids_and_commits_are_plain() {
        for (id, short, plain) in [
            ("openai/gsm8k", false, true),
            ("Anthropic/hh-rlhf", false, true),
            ("gsm8k", true, true),
            ("gsm8k", false, false),
            ("a/b/c", true, false),
            ("../b", true, false),
            ("a/..", true, false),
            ("a/b?x", true, false),
            ("a/b#", true, false),
            ("a/", true, false),
            ("", true, false),
        ] {
            assert_eq!(is_repo_id(id, short), plain, "{id}");
        }
        assert!(is_commit(&"0a".repeat(20)));
        assert!(!is_commit(&"0A".repeat(20)) && !is_commit("main") && !is_commit(&"../".repeat(20)));
    }

    fn files(json: &str) -> Result<Vec<RemoteFile>, String> {
        let mut files = Files::default();
        files.add(Page { entries: serde_json::from_str(json).expect("entries"), next: None })?;
        Ok(files.finish())
    }

    #[test]
    fn entries_are_checked_and_sorted() {
        let (git, sha) = ("ab".repeat(20), "cd".repeat(32));
        let entry = |path: &str| format!(r#"{{"type":"file","oid":"{git}","size":3,"path":"{path}"}}"#);
        let lfs = format!(
            r#"{{"type":"file","oid":"{git}","size":9,"path":"a.parquet","lfs":{{"oid":"{sha}","size":9,"pointerSize":130}},"xetHash":"x"}}"#
        );
        let folder = r#"{"type":"directory","oid":"x","size":0,"path":"data"}"#;
        let got = files(&format!("[{},{folder},{lfs}]", entry("data/b.json"))).expect("files");
        let got: Vec<_> = got.iter().map(|file| format!("{} {} {}", file.path, file.size, file.digest)).collect();
        assert_eq!(got, [format!("a.parquet 9 sha256:{sha}"), format!("data/b.json 3 git:{git}")]);

        for (json, word) in [
            (format!("[{},{}]", entry("a.json"), entry("A.json")), "but for case"),
            (format!("[{}]", entry("../a.json")), "plain relative"),
            (format!("[{}]", entry("a.json").replace(&git, "main")), "a digest that is none"),
            (format!("[{}]", lfs.replace(&sha, &git)), "a digest that is none"),
            (format!("[{}]", lfs.replacen("\"size\":9", "\"size\":8", 1)), "two sizes"),
        ] {
            let error = files(&json).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_listing_ends() {
        let mut files = Files::default();
        for _ in 0..MOST_PAGES {
            files.add(Page { entries: Vec::new(), next: None }).expect("a page");
        }
        assert!(files.add(Page { entries: Vec::new(), next: None }).is_err());
    }
}
