//! `datac cache key`: the key that results in a shared cache are signed with, and those that a workspace trusts.

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{self, Content},
    exit, schema,
    screen::{FAINT, HINT, Screen, VERB},
};
use crate::{
    remote::{
        KEYS_FILE, TrustError, Trusted,
        keys::{KeyError, PrivateKey, PublicKey, find_key, key_path},
    },
    system,
    workspace::Workspace,
};

/// Options of `cache key`.
#[derive(Args, Debug)]
#[command(after_help = "\
Results in a shared cache are signed. Builds use those that a key in datac.keys,
or your own key, has signed. Your private key is a file that only you can read, in
~/.config/datac; DATAC_CACHE_KEY takes its place, for example in CI. Without a
key, builds read the shared cache and add nothing to it.

Examples:
  datac cache key new --name ada       make a key
  datac cache key show                 print its public part
  datac cache key trust ada ed25519:…  have this workspace trust it")]
pub(super) struct Options {
    /// The operation
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key to sign results with
    New(NewOptions),
    /// Print the name and the public part of your key
    #[command(after_help = "\
Examples:
  datac cache key show
  datac cache key trust $(datac cache key show)")]
    Show,
    /// Trust a key in this workspace: a line in datac.keys
    Trust(TrustOptions),
    /// List the keys that this workspace trusts
    List(ListOptions),
    /// Trust a key no more
    Remove(RemoveOptions),
}

/// Options of `cache key new`.
#[derive(Args, Debug)]
#[command(after_help = "\
The public part is printed to stdout; the private part goes to a file that only
you can read. A key that exists is never replaced.

Examples:
  datac cache key new              a key with the name of the user
  datac cache key new --name ci    a key for CI: put the file into a secret")]
struct NewOptions {
    /// The name of the key [default: that of the user]
    #[arg(long)]
    name: Option<String>,
}

/// Options of `cache key trust`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac cache key trust ada ed25519:…
  datac cache key trust $(datac cache key show)     your own key")]
struct TrustOptions {
    /// The name of the key
    name: String,
    /// Its public part, as `datac cache key show` prints it
    #[arg(value_name = "PUBLICKEY")]
    key: String,
}

/// Options of `cache key list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac cache key list
  datac cache key list --json | jq -r '.keys[].name'")]
struct ListOptions {
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

/// Options of `cache key remove`.
#[derive(Args, Debug)]
#[command(after_help = "\
Results that are in local caches already stay there until they are evicted;
`datac build --force` makes them again.

Examples:
  datac cache key remove ada")]
struct RemoveOptions {
    /// The name of the key
    name: String,
}

/// The document that `cache key list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Keys {
    /// The keys in datac.keys, in its order.
    keys: Vec<Named>,
    /// The key of whoever asks, which builds trust in any case.
    own: Option<Named>,
}

/// A public key with its name.
#[derive(Serialize, JsonSchema)]
struct Named {
    /// The name.
    name: String,
    /// The key: `ed25519:` and 64 hexadecimal digits.
    key: String,
}

impl Content for Keys {
    const SCHEMA: &'static str = "datac.cache.keys/1";
}

/// Schemas of the JSON documents that this command prints.
pub(super) const SCHEMA: schema::Named = schema::of::<Keys>();

pub(super) fn run(workspace: &Workspace, options: &Options, screen: &Screen) -> u8 {
    let done = match &options.command {
        KeyCommand::New(options) => make(options, screen),
        KeyCommand::Show => show(screen),
        KeyCommand::Trust(options) => trust(workspace, options, screen),
        KeyCommand::List(options) => list(workspace, options, screen),
        KeyCommand::Remove(options) => remove(workspace, options, screen),
    };
    match done {
        Ok(()) => exit::OK,
        Err(Refusal { message, hint, code }) => {
            screen.error(&message, hint);
            code
        }
    }
}

/// Why an operation was not carried out.
struct Refusal {
    message: String,
    hint: Option<&'static str>,
    code: u8,
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        let (hint, code) = match &error {
            KeyError::Exists(_) => {
                (Some("`datac cache key show` prints it; remove the file to make another one"), exit::FAILED)
            }
            KeyError::NoPlace => (Some("set HOME, or DATAC_CACHE_KEY"), exit::FAILED),
            KeyError::Malformed { .. } => {
                (Some("a key is one line that begins with `datac-key-1:`; remove it to make another one"), exit::FAILED)
            }
            KeyError::Open { .. } => (Some("`chmod 600` it; if others have read it, make another one"), exit::FAILED),
            KeyError::BadName(_) => (None, exit::USAGE),
            _ => (None, exit::FAILED),
        };
        Self { message: error.to_string(), hint, code }
    }
}

impl From<TrustError> for Refusal {
    fn from(error: TrustError) -> Self {
        let (hint, code) = match &error {
            TrustError::Line { .. } => (Some("mend or remove the line"), exit::USAGE),
            TrustError::Taken(_) => (Some("`datac cache key list` shows the keys"), exit::FAILED),
            TrustError::Unknown(_) => (Some("`datac cache key list` shows the keys"), exit::FAILED),
            _ => (None, exit::FAILED),
        };
        Self { message: error.to_string(), hint, code }
    }
}

fn make(options: &NewOptions, screen: &Screen) -> Result<(), Refusal> {
    let name = options.name.clone().or_else(|| system::env("USER")).unwrap_or_else(|| "me".to_owned());
    let (key, path) = (PrivateKey::generate(&name)?, key_path()?);
    key.store(&path)?;
    screen.say_wrapped(
        &format!("{VERB}       Wrote{VERB:#} {} {FAINT}(keep it to yourself){FAINT:#}", path.display()),
        13,
    );
    screen.data(&format!("{} {}\n", key.name(), key.public()));
    let next = format!("datac cache key trust {} {}", key.name(), key.public());
    screen.say_wrapped(&format!("{HINT}next:{HINT:#} {next}"), 6);
    Ok(())
}

fn show(screen: &Screen) -> Result<(), Refusal> {
    match find_key()? {
        Some((key, _)) => {
            screen.data(&format!("{} {}\n", key.name(), key.public()));
            Ok(())
        }
        None => Err(Refusal {
            message: "there is no key".to_owned(),
            hint: Some("`datac cache key new` makes one"),
            code: exit::FAILED,
        }),
    }
}

fn trust(workspace: &Workspace, options: &TrustOptions, screen: &Screen) -> Result<(), Refusal> {
    let key = PublicKey::parse(&options.key).ok_or_else(|| Refusal {
        message: format!("`{}` is not a public key", options.key),
        hint: Some("copy what `datac cache key show` prints where the key is: `ed25519:` and 64 digits"),
        code: exit::USAGE,
    })?;
    Trusted::read(&workspace.settings().root)?.add(&options.name, key)?;
    let note = format!("{FAINT}(commit {KEYS_FILE} to have everyone trust it){FAINT:#}");
    screen.say_wrapped(&format!("{VERB}     Trusted{VERB:#} {} {note}", options.name), 13);
    Ok(())
}

fn list(workspace: &Workspace, options: &ListOptions, screen: &Screen) -> Result<(), Refusal> {
    let trusted = Trusted::read(&workspace.settings().root)?;
    let own = find_key()?.map(|(key, _)| Named { name: key.name().to_owned(), key: key.public().to_string() });
    let named = |(name, key): &(String, PublicKey)| Named { name: name.clone(), key: key.to_string() };
    let keys = Keys { keys: trusted.keys().iter().map(named).collect(), own };
    if options.json {
        document::print(&keys, screen);
        return Ok(());
    }
    let width = keys.keys.iter().map(|key| key.name.len()).max().unwrap_or(0);
    for Named { name, key } in &keys.keys {
        let is_own = keys.own.as_ref().is_some_and(|own| own.key == *key);
        let note = if is_own { format!(" {FAINT}(yours){FAINT:#}") } else { String::new() };
        screen.data(&format!("{name:<width$} {key}{note}\n"));
    }
    if keys.keys.is_empty() {
        screen.say(&format!("{KEYS_FILE} names no keys"));
    }
    Ok(())
}

fn remove(workspace: &Workspace, options: &RemoveOptions, screen: &Screen) -> Result<(), Refusal> {
    Trusted::read(&workspace.settings().root)?.remove(&options.name)?;
    let note = format!("{FAINT}(results that are in local caches already stay there){FAINT:#}");
    screen.say_wrapped(&format!("{VERB}     Removed{VERB:#} {} {note}", options.name), 13);
    Ok(())
}
