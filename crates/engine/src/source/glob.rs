//! The file patterns of dataset cards: `*`, `?`, `[a-z]`, `[!0-9]` within a name, `**` across folders.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `**/`: any number of folders, each with its slash.
    Folders,
    /// `**` elsewhere.
    Deep,
    /// `[…]`: ranges, and whether they are excluded.
    Class(Vec<(char, char)>, bool),
}

impl Glob {
    /// Compiles a pattern. Every text is a valid pattern; an unclosed bracket matches itself.
    pub(super) fn new(pattern: &str) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            match chars[at] {
                '*' => {
                    let stars = chars[at..].iter().take_while(|c| **c == '*').count();
                    let opens = at == 0 || chars[at - 1] == '/';
                    at += stars;
                    match (stars, opens, chars.get(at)) {
                        (1, true, None | Some('/')) => tokens.extend([Token::One, Token::Star]),
                        (1, ..) => tokens.push(Token::Star),
                        (_, true, Some('/')) => {
                            at += 1;
                            tokens.push(Token::Folders);
                        }
                        _ => tokens.push(Token::Deep),
                    }
                    continue;
                }
                '?' => tokens.push(Token::One),
                '[' => {
                    if let Some((class, length)) = class(&chars[at + 1..]) {
                        tokens.push(class);
                        at += length;
                    } else {
                        tokens.push(Token::Char('['));
                    }
                }
                plain => tokens.push(Token::Char(plain)),
            }
            at += 1;
        }
        Self { tokens }
    }

    /// Returns whether the pattern matches the whole of `path`.
    ///
    /// Takes at most pattern length × path length steps, however many stars the pattern has.
    pub(super) fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        // `rest[j]`: whether the tokens after the current one match `path[j..]`.
        let mut rest = vec![false; path.len() + 1];
        rest[path.len()] = true;
        for token in self.tokens.iter().rev() {
            let mut now = vec![false; path.len() + 1];
            let mut after_slash = false;
            for j in (0..=path.len()).rev() {
                let next = path.get(j).copied();
                let step = next.is_some_and(|_| rest[j + 1]);
                now[j] = match token {
                    Token::Char(c) => step && next == Some(*c),
                    Token::One => step && next != Some('/'),
                    Token::Class(ranges, excluded) => {
                        step && next.is_some_and(|c| {
                            c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *excluded
                        })
                    }
                    Token::Star => rest[j] || (next.is_some_and(|c| c != '/') && now[j + 1]),
                    Token::Deep => rest[j] || (next.is_some() && now[j + 1]),
                    Token::Folders => {
                        after_slash |= step && next == Some('/');
                        rest[j] || after_slash
                    }
                };
            }
            rest = now;
        }
        rest[0]
    }
}

/// Returns whether a pattern has special characters.
pub(super) fn has_magic(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Returns the class that follows a `[`, and its length up to and including the `]`.
fn class(chars: &[char]) -> Option<(Token, usize)> {
    let excluded = chars.first() == Some(&'!');
    let from = usize::from(excluded);
    // A `]` in first position is a member of the class.
    let end = (from + 1..chars.len()).find(|at| chars[*at] == ']')?;
    if chars[from..end].contains(&'/') {
        return None;
    }
    let mut ranges = Vec::new();
    let mut members = &chars[from..end];
    loop {
        match members {
            [low, '-', high, tail @ ..] => {
                ranges.push((*low, *high));
                members = tail;
            }
            [one, tail @ ..] => {
                ranges.push((*one, *one));
                members = tail;
            }
            [] => return Some((Token::Class(ranges, excluded), end + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(pattern);
        for path in yes {
            assert!(glob.matches(path), "`{pattern}` should match `{path}`");
        }
        for path in no {
            assert!(!glob.matches(path), "`{pattern}` should not match `{path}`");
        }
    }

    #[test]
    fn one_star_stays_in_its_folder() {
        check("main/train-*", &["main/train-0", "main/train-"], &["main/train", "main/train-/x", "x/main/train-1"]);
        check("*.jsonl", &["a.jsonl", ".jsonl"], &["a/b.jsonl", "a.json"]);
        check("data/*", &["data/a"], &["data/", "data", "data/a/b"]);
        check("*/a", &["x/a"], &["/a", "a", "x/y/a"]);
    }

    #[test]
    fn two_stars_cross_folders() {
        check("**", &["a", "a/b/c"], &[]);
        check("**/a.json", &["a.json", "x/a.json", "x/y/a.json"], &["xa.json", "a.json/b"]);
        check("en/**", &["en/a", "en/a/b"], &["en", "enx/a"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb"]);
        check("data/train**", &["data/train.json", "data/train/0/x.json"], &["data/test.json"]);
        check("***/b", &["b", "a/b"], &[]);
    }

    #[test]
    fn classes_ranges_and_their_opposites() {
        check("t-[0-9][0-9].csv", &["t-01.csv"], &["t-1.csv", "t-0a.csv"]);
        check("[!a-c]x", &["dx"], &["ax", "x", "/x"]);
        check("[]]x", &["]x"], &["x"]);
        check("[-a]", &["-", "a"], &["b"]);
        check("[a-]", &["-", "a"], &["b"]);
        check("a[b", &["a[b"], &["ab"]);
        check("a[/]b", &["a[/]b"], &["a/b"]);
        check("?é", &["xé", "日é"], &["é", "/é"]);
    }

    #[test]
    fn many_stars_end_in_good_time() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!Glob::new(&pattern).matches(&"a".repeat(2_000)));
        assert!(Glob::new(&"**/".repeat(200)).matches(&"a/".repeat(500)));
    }

    #[test]
    fn magic_is_what_glob_calls_magic() {
        assert!(has_magic("a?"));
        assert!(!has_magic("data/train-00000-of-00001.parquet"));
    }
}
