//! `datac cache`: location, size, garbage collection and verification of the cache.

use std::{path::Path, time::Duration};

use clap::{Args, Subcommand};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::{
    cache_key,
    document::{self, Content},
    errors, exit,
    progress::Progress,
    schema,
    screen::{FAINT, GOOD, HINT, Screen, VERB, WARN, bytes, duration, rows, wrapped},
    shared,
};
use crate::{
    config::{self, size},
    remote::{SharedCollected, SharedSize, SharedVerified},
    system,
    workspace::{CacheBounds, CachePart, CacheSize, Collected, Configuration, Damaged, Removed, Verified, Workspace},
};

/// Options of `cache`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac cache dir            print its location
  datac cache size           size of each part, and how much is in use
  datac cache gc             evict entries unused for 30 days
  datac cache gc --max-age 0 --dry-run     list what no recipe uses
  datac cache verify         check every byte, remove damaged entries")]
pub(super) struct Options {
    /// The operation
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Print the cache folder
    Dir,
    /// Show the size of each part of the cache
    Size(SizeOptions),
    /// Evict entries that no recipe uses, by age and size
    Gc(GcOptions),
    /// Check every byte of the cache and remove damaged entries
    Verify(VerifyOptions),
    /// Make and trust keys for a shared cache
    Key(cache_key::Options),
}

/// Options of `cache size`.
#[derive(Args, Debug)]
struct SizeOptions {
    #[command(flatten)]
    remote: shared::Instead,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// Options of `cache gc`.
#[derive(Args, Debug)]
#[command(after_help = "\
Entries that recipes below config/ use and downloads that datac.lock pins are
always kept. `datac build` also evicts after it has built something, once a day
or when the cache may have exceeded its size; `--no-gc` or DATAC_CACHE_GC=off
turns this off. DATAC_CACHE_MAX_SIZE and DATAC_CACHE_MAX_AGE, or `[cache]` in
datac.toml, set the defaults of the options for both commands.

Examples:
  datac cache gc                        30 days and 10 GB
  datac cache gc --max-size 2GB         least recently used entries first
  datac cache gc --max-age 0            everything that no recipe uses")]
struct GcOptions {
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    remote: shared::Instead,
    /// Show what would be removed, without removing it
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// Options of `cache verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Artifacts and downloads are reread and compared with their digests, and entries
of the record with their checksums. Damaged entries are removed; the next build
that needs one rebuilds it or downloads it again.

Exit codes: 0 all intact, 1 damage was found and removed, 6 damage was found that
cannot be removed.

Examples:
  datac cache verify
  datac cache verify --json | jq '.damaged[].used_by'")]
struct VerifyOptions {
    #[command(flatten)]
    remote: shared::Instead,
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// Limits for cache entries that no current recipe uses.
#[derive(Args, Clone, Debug)]
struct Bounds {
    /// Evict the least recently used above this size: 10GB, 500MB, 2GiB [default: 10GB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Keep unused entries this long: 30d, 12h, 2w, 0 [default: 30d]
    #[arg(long, value_name = "AGE", value_parser = age)]
    max_age: Option<Duration>,
}

/// Cache cleanup after a build.
#[derive(Args, Clone, Debug)]
pub(super) struct Keep {
    /// Skip cache cleanup
    #[arg(long)]
    no_gc: bool,
    /// The bounds that the settings choose; `None` for a cache that may grow.
    #[arg(skip)]
    set: Option<CacheBounds>,
}

impl Keep {
    /// Returns the bounds to keep the cache within; `None` to let the cache grow.
    pub(super) fn bounds(&self) -> Option<CacheBounds> {
        self.set.filter(|_| !self.no_gc)
    }

    /// Takes the bounds that the settings choose.
    pub(super) fn fill_in(&mut self, configuration: &Configuration) {
        let none = Bounds { max_size: None, max_age: None };
        self.set = configuration.cleans_cache().then(|| none.or(configuration));
    }
}

impl Bounds {
    /// Returns the bounds: those that were given, else those that are set, else the defaults.
    fn or(&self, configuration: &Configuration) -> CacheBounds {
        let default = CacheBounds::default();
        CacheBounds {
            max_bytes: self.max_size.or(configuration.cache_max_bytes()).unwrap_or(default.max_bytes),
            max_age: self.max_age.or(configuration.cache_max_age()).unwrap_or(default.max_age),
        }
    }
}

/// Reads an age from the command line.
fn age(text: &str) -> Result<Duration, String> {
    config::age(text).map(Duration::from_secs)
}

impl Content for CacheSize {
    const SCHEMA: &'static str = "datac.cache.size/2";
}

impl Content for Collected {
    const SCHEMA: &'static str = "datac.cache.gc/2";
}

impl Content for Verified {
    const SCHEMA: &'static str = "datac.cache.verify/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMAS: &[schema::Named] = &[
    schema::of::<CacheSize>(),
    schema::of::<Collected>(),
    schema::of::<Verified>(),
    schema::of::<SharedSize>(),
    schema::of::<SharedCollected>(),
    schema::of::<SharedVerified>(),
    cache_key::SCHEMA,
];

impl Content for SharedSize {
    const SCHEMA: &'static str = "datac.cache.shared.size/1";
}

impl Content for SharedCollected {
    const SCHEMA: &'static str = "datac.cache.shared.gc/1";
}

impl Content for SharedVerified {
    const SCHEMA: &'static str = "datac.cache.shared.verify/1";
}

impl Options {
    /// Takes bounds that were not given from the settings.
    pub(super) fn fill_in(&mut self, configuration: &Configuration) {
        if let CacheCommand::Gc(options) = &mut self.command {
            let CacheBounds { max_bytes, max_age } = options.bounds.or(configuration);
            options.bounds = Bounds { max_size: Some(max_bytes), max_age: Some(max_age) };
        }
    }

    /// Returns the option that names the shared cache, of operations that have it.
    pub(super) fn remote_mut(&mut self) -> Option<&mut shared::Instead> {
        match &mut self.command {
            CacheCommand::Size(options) => Some(&mut options.remote),
            CacheCommand::Gc(options) => Some(&mut options.remote),
            CacheCommand::Verify(options) => Some(&mut options.remote),
            CacheCommand::Dir | CacheCommand::Key(_) => None,
        }
    }

    /// Returns whether the command takes long and a person waits for it.
    pub(super) fn is_watched(&self) -> bool {
        matches!(&self.command, CacheCommand::Verify(options) if !options.json)
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen, progress: &Progress) -> u8 {
    match &options.command {
        CacheCommand::Dir => {
            screen.data(&format!("{}\n", workspace.cache().dir().display()));
            exit::OK
        }
        CacheCommand::Size(options) if options.remote.is_meant() => match workspace.cache().shared_size() {
            Ok(size) if options.json => printed(document::text(&size), screen),
            Ok(size) => printed(shared::size(&size), screen),
            Err(error) => errors::report(&error, workspace, screen),
        },
        CacheCommand::Gc(options) if options.remote.is_meant() => {
            let max_age = options.bounds.max_age.unwrap_or(CacheBounds::default().max_age);
            match workspace.cache().shared_collect(max_age, options.dry_run) {
                Ok(collected) if options.json => printed(document::text(&collected), screen),
                Ok(collected) => {
                    screen.say_wrapped(&shared::collected(&collected), 2);
                    exit::OK
                }
                Err(error) => errors::report(&error, workspace, screen),
            }
        }
        CacheCommand::Verify(options) if options.remote.is_meant() => match workspace.cache().shared_verify() {
            Ok(verified) => {
                match options.json {
                    true => document::print(&verified, screen),
                    false => screen.say_wrapped(&shared::verified(&verified), 2),
                }
                match (verified.damaged.is_empty(), &verified.kept) {
                    _ if !verified.damaged_releases.is_empty() => exit::CACHE,
                    (true, _) => exit::OK,
                    (false, None) => exit::FAILED,
                    (false, Some(_)) => exit::CACHE,
                }
            }
            Err(error) => errors::report(&error, workspace, screen),
        },
        CacheCommand::Size(options) => match workspace.cache().size() {
            Ok(size) if options.json => printed(document::text(&size), screen),
            Ok(size) => printed(size_text(&size, screen.data_width()), screen),
            Err(error) => errors::report(&error, workspace, screen),
        },
        CacheCommand::Gc(options) => {
            let bounds = CacheBounds {
                max_bytes: options.bounds.max_size.unwrap_or(CacheBounds::default().max_bytes),
                max_age: options.bounds.max_age.unwrap_or(CacheBounds::default().max_age),
            };
            match workspace.cache().collect(&bounds, options.dry_run) {
                Ok(collected) if options.json => printed(document::text(&collected), screen),
                Ok(collected) => {
                    print_collected(&collected, screen);
                    exit::OK
                }
                Err(error) => errors::report(&error, workspace, screen),
            }
        }
        CacheCommand::Key(options) => cache_key::run(workspace, options, screen),
        CacheCommand::Verify(options) => {
            let verified = workspace.cache().verify();
            progress.finish();
            match verified {
                Ok(verified) => {
                    match options.json {
                        true => document::print(&verified, screen),
                        false => print_verified(&verified, screen),
                    }
                    match (verified.damaged.is_empty(), verified.is_stuck()) {
                        (true, _) => exit::OK,
                        (false, false) => exit::FAILED,
                        (false, true) => exit::CACHE,
                    }
                }
                Err(error) => errors::report(&error, workspace, screen),
            }
        }
    }
}

fn printed(text: String, screen: &Screen) -> u8 {
    screen.data(&text);
    exit::OK
}

fn size_text(size: &CacheSize, columns: Option<usize>) -> String {
    let mut out = String::new();
    if size.count == 0 {
        out.push_str(&format!("{} is empty\n", from_here(&size.dir)));
    } else {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["", "count", "size", "unused"]);
        let mut line = |name: &str, count: u64, size: u64, unreached: u64| {
            let unreached = if unreached == 0 { "-".to_owned() } else { bytes(unreached) };
            table.add_row([name.to_owned(), rows(count), bytes(size), unreached].map(Cell::new));
        };
        for part in &size.parts {
            line(part.part.word(), part.count, part.bytes, part.unreached_bytes);
        }
        line("all", size.count, size.bytes, size.unreached_bytes);
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            column.set_cell_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right });
        }
        table.trim_fmt().lines().for_each(|line| out.push_str(&format!("{}\n", line.trim_end())));
    }
    for stranger in &size.strangers {
        let text = format!("{FAINT}note: {} was not created by datac and is left alone{FAINT:#}", from_here(stranger));
        out.push_str(&format!("{}\n", wrapped(&text, 0, 6, columns)));
    }
    if size.unreached_count > 0 {
        let next = format!("{HINT}next:{HINT:#} datac cache gc evicts entries that have been unused for long");
        out.push_str(&format!("{}\n", wrapped(&next, 0, 6, columns)));
    }
    out
}

fn print_collected(collected: &Collected, screen: &Screen) {
    let parts =
        [(collected.blobs, "artifact"), (collected.downloads, "download"), (collected.temporary, "temporary file")];
    for (removed, word) in parts.iter().filter(|(removed, _)| removed.count > 0) {
        let verb = if collected.dry_run { "Would remove" } else { "     Removed" };
        screen.say_wrapped(&format!("{VERB}{verb}{VERB:#} {}", counted(*removed, word)), 13);
    }
    let left = format!("{} of {}", bytes(collected.after_bytes), bytes(collected.max_bytes));
    let reached = format!("{FAINT}(current recipes use {}){FAINT:#}", bytes(collected.reached_bytes));
    let (would, style) = match (collected.dry_run, collected.after_bytes > collected.max_bytes) {
        (true, true) => ("would hold", WARN),
        (true, false) => ("would hold", GOOD),
        (false, true) => ("holds", WARN),
        (false, false) => ("holds", GOOD),
    };
    screen.say_wrapped(&format!("the cache {would} {style}{left}{style:#} {reached}"), 2);
}

fn print_verified(verified: &Verified, screen: &Screen) {
    // If the whole cache is damaged, a line for each entry would say no more.
    const MOST: usize = 20;
    let is_told = |(at, damaged): &(usize, &Damaged)| *at < MOST || damaged.stuck.is_some();
    for (_, damaged) in verified.damaged.iter().enumerate().filter(is_told) {
        let name = match damaged.part {
            CachePart::Record => damaged.name.clone(),
            part => format!("{} {}", part.one(), short(&damaged.name)),
        };
        let used_by = match &damaged.used_by[..] {
            [] => String::new(),
            users => format!(", used by {}", users.join(", ")),
        };
        match &damaged.stuck {
            None => screen.say_wrapped(&format!("{WARN}damaged{WARN:#}  {name}{used_by}: {}; removed", damaged.how), 9),
            Some(why) => {
                let hint = "delete it manually, or delete the cache folder and rebuild";
                screen.error(&format!("failed to remove damaged {name}{used_by} ({}): {why}", damaged.how), Some(hint));
            }
        }
    }
    if let Some(more) = verified.damaged.len().checked_sub(MOST).filter(|more| *more > 0) {
        screen.say(&format!("{FAINT}         and {} more; --json lists all{FAINT:#}", rows(more as u64)));
    }
    let read = format!(
        "{} artifacts, {} downloads and {} entries, {}",
        rows(verified.blobs),
        rows(verified.downloads),
        rows(verified.entries),
        bytes(verified.bytes)
    );
    let took = format!("{FAINT}({}){FAINT:#}", duration(verified.elapsed_ms));
    match verified.damaged.len() {
        0 => screen.say_wrapped(&format!("the cache is {GOOD}intact{GOOD:#}: {read} {took}"), 2),
        count => {
            let text = format!("{WARN}{count} damaged{WARN:#} in {read} {took}");
            screen.say_wrapped(&text, 2);
            let next = "datac build rebuilds what it needs; datac build\u{a0}--force rebuilds everything";
            screen.say_wrapped(&format!("{HINT}next:{HINT:#} {next}"), 6);
        }
    }
}

/// Returns a path relative to the current folder, if possible.
pub(super) fn from_here(path: &Path) -> String {
    let here = system::current_dir().unwrap_or_default();
    path.strip_prefix(here).or_else(|_| path.strip_prefix(".")).unwrap_or(path).display().to_string()
}

/// Shortens a digest to its first eight digits.
fn short(digest: &str) -> &str {
    let hex = digest.rsplit('-').next().unwrap_or(digest);
    hex.get(..8).unwrap_or(hex)
}

/// Formats the line that a build prints after it has evicted entries.
pub(super) fn in_short(collected: &Collected) -> String {
    let removed = Removed { count: collected.count(), bytes: collected.bytes() };
    let text = format!("{}, from the cache", counted(removed, "unused file"));
    format!("{VERB}     Removed{VERB:#} {text} {FAINT}(--no-gc keeps them){FAINT:#}")
}

/// Formats a count and a size: `12 artifacts, 3.4 MB`.
fn counted(removed: Removed, word: &str) -> String {
    let plural = if removed.count == 1 { "" } else { "s" };
    format!("{} {word}{plural}, {}", rows(removed.count), bytes(removed.bytes))
}
