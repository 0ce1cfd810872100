//! Maintenance of the record: lists and removes entries, checks them, and compacts the database.

use std::collections::BTreeMap;

use rusqlite::{
    Connection, OptionalExtension, params,
    types::{ToSql, Value},
};

use super::{
    ledger,
    record::{Record, RecordError, unseal},
};

use datac_core::id::ActionKey;

/// An action as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAction {
    /// Key of the action.
    pub key: ActionKey,
    /// Stage of the action.
    pub kind: String,
    /// The outcome; `None` if the entry is damaged.
    pub outcome: Option<Vec<u8>>,
}

/// Why an entry no longer exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The garbage collector removed it.
    Evicted,
    /// The entry, or a blob it named, was damaged.
    Damaged,
}

/// Creates the table of an empty record.
pub(super) const TABLES: &str = "\
DROP TABLE IF EXISTS gone;
CREATE TABLE gone (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, damaged INTEGER NOT NULL);";

/// Number of removed entries that are remembered; only `why` needs them.
const KEPT_GONE: i64 = 20_000;

/// Number of unused pages that the database may keep.
const SLACK_PAGES: i64 = 1024;

impl Record {
    /// Returns all recorded actions, ordered by key.
    pub fn actions(&self) -> Result<Vec<RecordedAction>, RecordError> {
        let found = self.on(|connection| {
            let mut select = connection.prepare("SELECT key, kind, outcome FROM actions ORDER BY key")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<([u8; 32], String, Vec<u8>)>>>()
        })?;
        let action = |(key, kind, sealed): ([u8; 32], String, Vec<u8>)| {
            let outcome = unseal(&key, &sealed).and_then(|value| postcard::from_bytes(value).ok());
            RecordedAction { key: ActionKey::from_bytes(key), kind, outcome }
        };
        Ok(found.unwrap_or_default().into_iter().map(action).collect())
    }

    /// Returns whether an action has an entry, even a damaged one.
    pub fn has_entry(&self, key: &ActionKey) -> Result<bool, RecordError> {
        let found = self.on(|connection| {
            let mut select = connection.prepare_cached("SELECT 1 FROM actions WHERE key = ?1")?;
            select.exists([key.as_bytes()])
        })?;
        Ok(found.unwrap_or(false))
    }

    /// Returns why an action has no entry; `None` if it never had one or that has been forgotten.
    pub fn gone(&self, key: &ActionKey) -> Result<Option<Gone>, RecordError> {
        let found = self.on(|connection| {
            let mut select = connection.prepare_cached("SELECT damaged FROM gone WHERE key = ?1")?;
            select.query_row([key.as_bytes()], |row| row.get::<_, bool>(0)).optional()
        })?;
        Ok(found.flatten().map(|damaged| if damaged { Gone::Damaged } else { Gone::Evicted }))
    }

    /// Forgets the outcomes of actions in one transaction, and remembers why.
    pub fn forget_all(&self, keys: &[ActionKey], why: Gone) -> Result<(), RecordError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.on(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut delete = transaction.prepare_cached("DELETE FROM actions WHERE key = ?1")?;
                for key in keys {
                    delete.execute([key.as_bytes()])?;
                    remember(&transaction, key.as_bytes(), why)?;
                }
            }
            transaction.commit()
        })
        .map(drop)
    }

    /// Forgets the given recipes, and the digests of files whose paths satisfy `is_gone`. Returns the number of
    /// entries removed.
    pub fn forget_paths(
        &self,
        is_gone: &(dyn Fn(&str) -> bool + Sync),
        recipes: &[String],
    ) -> Result<u64, RecordError> {
        let forgotten = self.on(|connection| {
            let transaction = connection.transaction()?;
            let mut count = 0;
            {
                let mut select = transaction.prepare("SELECT path FROM files")?;
                let paths = select.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
                let mut delete = transaction.prepare("DELETE FROM files WHERE path = ?1")?;
                for path in paths.iter().filter(|path| is_gone(path)) {
                    count += delete.execute([path])? as u64;
                }
                let mut delete = transaction.prepare("DELETE FROM recipes WHERE path = ?1")?;
                let mut delete_detail = transaction.prepare("DELETE FROM details WHERE path = ?1")?;
                for path in recipes {
                    count += delete.execute([path])? as u64;
                    delete_detail.execute([path])?;
                }
            }
            transaction.commit()?;
            Ok(count)
        })?;
        Ok(forgotten.unwrap_or(0))
    }

    /// Returns space to the disk that removed entries took up.
    pub fn compact(&self) -> Result<(), RecordError> {
        self.on(|connection| {
            let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            if free > SLACK_PAGES && free > pages / 4 {
                connection.execute_batch("VACUUM")?;
            }
            Ok(())
        })
        .map(drop)
    }

    /// Checks every entry and removes the damaged ones; returns descriptions of them. If the whole database is
    /// damaged, it is set aside with a warning and a new one begun.
    pub fn check(&self) -> Result<Vec<String>, RecordError> {
        let found = self.on(|connection| {
            let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if sound != "ok" {
                let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                return Err(rusqlite::Error::SqliteFailure(code, Some(sound)));
            }
            let transaction = connection.transaction()?;
            let damaged = remove_damaged(&transaction)?;
            transaction.commit()?;
            Ok(damaged)
        })?;
        Ok(found.unwrap_or_default())
    }
}

/// Remembers why an entry was removed, and forgets the oldest such notes.
fn remember(connection: &Connection, key: &[u8], why: Gone) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO gone (key, damaged) VALUES (?1, ?2)")?;
    insert.execute(params![key, why == Gone::Damaged])?;
    let last = connection.last_insert_rowid() - KEPT_GONE;
    connection.prepare_cached("DELETE FROM gone WHERE number <= ?1")?.execute([last]).map(drop)
}

/// Removes every row whose seal is broken; returns descriptions of them.
fn remove_damaged(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // For each table: key columns, sealed columns, and a description. Rows are sealed with their key.
    const TABLES: &[(&str, &[&str], &[&str], &str)] = &[
        ("actions", &["key"], &["outcome"], "the outcome of an action"),
        ("recipes", &["path"], &["fresh"], "the dependencies of a recipe"),
        ("details", &["path"], &["detail"], "the last build of a recipe"),
        ("files", &["path"], &["hashed"], "the digest of a file"),
        ("runs", &["id"], &["detail"], "a run"),
        ("builds", &["run", "path"], &["detail"], "a build"),
    ];
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (table, keys, sealed, words) in TABLES {
        let columns = [*keys, *sealed].concat().join(", ");
        let mut select = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
        let mut rows = select.query([])?;
        let mut broken: Vec<Vec<Value>> = Vec::new();
        while let Some(row) = rows.next()? {
            let key = (0..keys.len()).map(|at| row.get::<_, Value>(at)).collect::<rusqlite::Result<Vec<_>>>()?;
            let is_sound = (keys.len()..keys.len() + sealed.len()).all(|at| {
                let sealed = row.get::<_, Vec<u8>>(at).ok();
                sealed.is_some_and(|sealed| unseal(&bound_to(&key), &sealed).is_some())
            });
            if !is_sound {
                broken.push(key);
            }
        }
        let conditions: Vec<String> = keys.iter().enumerate().map(|(at, key)| format!("{key} = ?{}", at + 1)).collect();
        let mut delete = connection.prepare(&format!("DELETE FROM {table} WHERE {}", conditions.join(" AND ")))?;
        for key in broken {
            if let ("actions", [Value::Blob(key)]) = (*table, &key[..]) {
                remember(connection, key, Gone::Damaged)?;
            }
            let key: Vec<&dyn ToSql> = key.iter().map(|value| value as &dyn ToSql).collect();
            delete.execute(&key[..])?;
            *counts.entry(words).or_default() += 1;
        }
    }
    // Remove index entries of builds that no longer exist.
    connection.execute(
        "DELETE FROM made WHERE NOT EXISTS (SELECT 1 FROM builds WHERE builds.run = made.run AND builds.path = made.path)",
        params![],
    )?;
    Ok(counts.into_iter().map(|(words, count)| format!("{words} ({count} in the record)")).collect())
}

/// Returns the name that a row with this key is sealed with.
fn bound_to(key: &[Value]) -> Vec<u8> {
    match key {
        [Value::Blob(key)] => key.clone(),
        [Value::Text(path)] => path.as_bytes().to_vec(),
        [Value::Integer(run)] => ledger::name(*run, ""),
        [Value::Integer(run), Value::Text(path)] => ledger::name(*run, path),
        // datac writes no rows with other keys.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cache::{Access, Actions};
    use datac_core::stage::Stage;

    #[test]
    fn damaged_entries_are_found_and_removed_and_sound_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::open(folder.path(), Access::Write, Arc::new(|_| {})).unwrap();
        let keys: Vec<ActionKey> = (0..9_u8).map(|i| ActionKey::of(&[i])).collect();
        keys.iter().for_each(|key| record.put(*key, Stage::Convert, vec![1, 2, 3]));
        record.flush().unwrap();
        assert_eq!(record.check().unwrap(), [] as [String; 0]);
        let other = Connection::open(folder.path().join("record.sqlite")).unwrap();
        let broken = "UPDATE actions SET outcome = x'00112233445566778899' WHERE key = ?1";
        assert_eq!(other.execute(broken, [keys[3].as_bytes()]).unwrap(), 1);
        let damaged = record.actions().unwrap().into_iter().filter(|action| action.outcome.is_none());
        assert_eq!(damaged.map(|action| action.key).collect::<Vec<_>>(), [keys[3]]);
        assert_eq!(record.check().unwrap(), ["the outcome of an action (1 in the record)"]);
        assert_eq!(record.check().unwrap(), [] as [String; 0]);
        assert_eq!(record.gone(&keys[3]).unwrap(), Some(Gone::Damaged));
        record.forget_all(&keys[..2], Gone::Evicted).unwrap();
        let why: Vec<_> = keys[..3].iter().map(|key| record.gone(key).unwrap()).collect();
        assert_eq!(why, [Some(Gone::Evicted), Some(Gone::Evicted), None]);
        assert_eq!(record.actions().unwrap().len(), 6);
        assert!(record.actions().unwrap().iter().all(|action| action.outcome == Some(vec![1, 2, 3])));
    }
}
