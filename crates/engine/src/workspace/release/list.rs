//! Lists the releases in the shared cache.

use schemars::JsonSchema;
use serde::Serialize;

use super::{failure_of, names_of_keys, rows_of};
use crate::{
    build::shared::Shared,
    remote::{
        Release, ReleaseError, ReleaseName,
        release::{self, SignedRelease},
    },
    site::{Site, WorkspaceError},
};

/// The releases in a shared cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReleaseList {
    /// The shared cache.
    pub remote: String,
    /// The releases, by name and version.
    pub releases: Vec<ListedRelease>,
}

/// A release in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListedRelease {
    /// Name and version of the release.
    pub release: String,
    /// Name of the key that signed it, in `datac.keys` or that of the user; `null` if the release is not used.
    pub key: Option<String>,
    /// Number of files.
    pub files: Option<u64>,
    /// Number of rows, in however many formats they are written.
    pub rows: Option<u64>,
    /// Size of the files in bytes.
    pub bytes: Option<u64>,
    /// Why it is not used: its document is damaged, or signed with an unknown key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What its document says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Release>,
}

/// Lists the releases in the shared cache; with `wanted`, those of a name, or one alone.
pub(in crate::workspace) fn list(site: &Site, wanted: Option<&str>) -> Result<ReleaseList, WorkspaceError> {
    let shared = Shared::named(site)?;
    let remote = shared.remote();
    let failed = |error: ReleaseError| failure_of(&error, &remote.name, "list the releases");
    let names = match wanted {
        // One alone is found behind a web server, too, which lists nothing.
        Some(one) if one.contains('@') => vec![ReleaseName::parse(one).map_err(failed)?],
        _ => release::list(remote).map_err(failed)?,
    };
    let is_wanted = |name: &ReleaseName| wanted.is_none_or(|wanted| wanted.contains('@') || wanted == name.name());
    let keys = names_of_keys(site, shared.own())?;
    let mut releases = Vec::new();
    for name in names.into_iter().filter(is_wanted) {
        let listed = ListedRelease {
            release: name.to_string(),
            key: None,
            files: None,
            rows: None,
            bytes: None,
            refused: None,
            content: None,
        };
        releases.push(match release::find(remote, &name, |key| shared.trusts(key)) {
            Ok(None) if wanted.is_some_and(|wanted| wanted.contains('@')) => {
                return Err(super::pull::absent(remote, &name).into());
            }
            // It has been removed by hand since it was listed.
            Ok(None) => continue,
            Ok(Some(SignedRelease { release, key })) => ListedRelease {
                key: keys.get(&key).cloned(),
                files: Some(release.files().count() as u64),
                rows: Some(rows_of(&release)),
                bytes: Some(release.files().map(|file| file.stored.bytes).sum()),
                content: Some(release),
                ..listed
            },
            Err(error @ (ReleaseError::Fault(_) | ReleaseError::Interrupted)) => return Err(failed(error).into()),
            Err(error) => ListedRelease { refused: Some(error.to_string()), ..listed },
        });
    }
    Ok(ReleaseList { remote: remote.name.clone(), releases })
}
