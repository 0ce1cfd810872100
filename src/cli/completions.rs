//! `datac completions`: shell completions.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{args::Arguments, exit, screen::Screen};

/// Options of `completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  datac completions bash > ~/.local/share/bash-completion/completions/datac
  datac completions zsh > ~/.zfunc/_datac      with ~/.zfunc in $fpath
  datac completions fish > ~/.config/fish/completions/datac.fish")]
pub(super) struct Options {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(options: &Options, screen: &Screen) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "datac", &mut text);
    screen.data(&String::from_utf8_lossy(&text));
    exit::OK
}
