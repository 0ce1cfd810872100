//! Licences: what a source states, what each licence asks, and what several of them come to together.
//!
//! datac compares identifiers that others wrote down; it reads no contract. What cannot be told from an identifier is unknown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    key::{Deciding, Encode, Encoder},
    leaf::Value,
};

/// The licence that a source states for its rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct License {
    /// Identifiers in the spelling of the Hub, such as `cc-by-4.0`; at least one.
    pub ids: Vec<String>,
    /// A name, for a licence whose identifier is `other`.
    pub name: Option<String>,
    /// Where the text is.
    pub link: Option<String>,
    /// Who states it.
    pub stated: Stated,
}

/// Who states a licence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stated {
    /// The recipe, which is believed whatever the source says.
    Recipe,
    /// The card of a repository of the hub.
    Card,
    /// A file of the workspace.
    File(String),
}

/// What a licence asks of whoever passes rows on, as a set. Of two sets, the one with the larger number is called the more
/// restrictive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Terms(u8);

impl Terms {
    /// To name the authors.
    pub const ATTRIBUTION: Self = Self(1);
    /// To follow terms of its own, such as a list of uses that are not allowed.
    pub const OWN: Self = Self(1 << 1);
    /// To pass on under the same licence.
    pub const SHARE_ALIKE: Self = Self(1 << 2);
    /// Not to use commercially.
    pub const NON_COMMERCIAL: Self = Self(1 << 3);
    /// Not to pass on what was changed.
    pub const NO_DERIVATIVES: Self = Self(1 << 4);

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether all of `other` is asked.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

const NONE: Terms = Terms(0);
const NAMING: Terms = Terms::ATTRIBUTION;
const SHARING: Terms = Terms::ATTRIBUTION.and(Terms::SHARE_ALIKE);
const OWN: Terms = Terms::ATTRIBUTION.and(Terms::OWN);

/// Identifiers of the Hub, but for those of Creative Commons, which say what they ask.
const KNOWN: &[(&str, Terms)] = &[
    ("cc0-1.0", NONE),
    ("pddl", NONE),
    ("unlicense", NONE),
    ("wtfpl", NONE),
    ("afl-3.0", NAMING),
    ("apache-2.0", NAMING),
    ("artistic-2.0", NAMING),
    ("bsd", NAMING),
    ("bsd-2-clause", NAMING),
    ("bsd-3-clause", NAMING),
    ("bsd-3-clause-clear", NAMING),
    ("bsl-1.0", NAMING),
    ("cdla-permissive-1.0", NAMING),
    ("cdla-permissive-2.0", NAMING),
    ("ecl-2.0", NAMING),
    ("etalab-2.0", NAMING),
    ("isc", NAMING),
    ("mit", NAMING),
    ("ms-pl", NAMING),
    ("ncsa", NAMING),
    ("odc-by", NAMING),
    ("openmdw-1.0", NAMING),
    ("postgresql", NAMING),
    ("zlib", NAMING),
    ("agpl-3.0", SHARING),
    ("cdla-sharing-1.0", SHARING),
    ("epl-1.0", SHARING),
    ("epl-2.0", SHARING),
    ("eupl-1.1", SHARING),
    ("eupl-1.2", SHARING),
    ("gfdl", SHARING),
    ("gpl", SHARING),
    ("gpl-2.0", SHARING),
    ("gpl-3.0", SHARING),
    ("lgpl", SHARING),
    ("lgpl-2.1", SHARING),
    ("lgpl-3.0", SHARING),
    ("mpl-2.0", SHARING),
    ("odbl", SHARING),
    ("osl-3.0", SHARING),
    ("bigcode-openrail-m", OWN),
    ("bigscience-bloom-rail-1.0", OWN),
    ("bigscience-openrail-m", OWN),
    ("creativeml-openrail-m", OWN),
    ("gemma", OWN),
    ("llama2", OWN),
    ("llama3", OWN),
    ("llama3.1", OWN),
    ("llama3.2", OWN),
    ("llama3.3", OWN),
    ("llama4", OWN),
    ("openrail", OWN),
    ("openrail++", OWN),
    ("fair-noncommercial-research-license", OWN.and(Terms::NON_COMMERCIAL)),
];

/// Beginnings of the texts of licences, in small letters and with single blanks, with what they are. Longer ones stand first.
const TEXTS: &[(&str, &str)] = &[
    ("attribution-noncommercial-sharealike 4.0 international", "cc-by-nc-sa-4.0"),
    ("attribution-noncommercial-noderivatives 4.0 international", "cc-by-nc-nd-4.0"),
    ("attribution-noncommercial 4.0 international", "cc-by-nc-4.0"),
    ("attribution-noderivatives 4.0 international", "cc-by-nd-4.0"),
    ("attribution-sharealike 4.0 international", "cc-by-sa-4.0"),
    ("attribution-sharealike 3.0 unported", "cc-by-sa-3.0"),
    ("attribution 4.0 international", "cc-by-4.0"),
    ("cc0 1.0 universal", "cc0-1.0"),
    ("apache license version 2.0", "apache-2.0"),
    ("gnu affero general public license version 3", "agpl-3.0"),
    ("gnu lesser general public license version 3", "lgpl-3.0"),
    ("gnu general public license version 3", "gpl-3.0"),
    ("gnu general public license version 2", "gpl-2.0"),
    ("mozilla public license version 2.0", "mpl-2.0"),
    ("open data commons attribution license", "odc-by"),
    ("open database license", "odbl"),
    ("this is free and unencumbered software", "unlicense"),
    ("permission is hereby granted, free of charge", "mit"),
    ("mit license", "mit"),
];

impl License {
    /// Creates the licence of these identifiers, whatever their spelling; `None` if there is none among them.
    pub fn new(ids: impl IntoIterator<Item = String>, stated: Stated) -> Option<Self> {
        let ids: Vec<String> = ids.into_iter().map(|id| canonical(&id)).filter(|id| !id.is_empty()).collect();
        (!ids.is_empty()).then_some(Self { ids, name: None, link: None, stated })
    }

    /// Tells a licence by its text; one that is not known is `other`.
    pub fn of_text(text: &str, path: &str) -> Self {
        let head: String = text.chars().take(2000).collect();
        let head = head.to_lowercase().replace(',', "").split_whitespace().collect::<Vec<_>>().join(" ");
        let is_of = |(words, _): &&(&str, &str)| head.contains(&words.replace(',', ""));
        let stated = Stated::File(path.to_owned());
        match TEXTS.iter().find(is_of) {
            Some((_, id)) => Self { ids: vec![(*id).to_owned()], name: None, link: None, stated },
            None => Self { ids: vec!["other".to_owned()], name: Some(format!("see {path}")), link: None, stated },
        }
    }

    /// Returns what the licence asks; `None` if an identifier does not say so. Of several identifiers, all count.
    pub fn terms(&self) -> Option<Terms> {
        self.ids.iter().try_fold(NONE, |all, id| Some(all.and(terms_of(id)?)))
    }

    /// Returns whether the two are one licence, whoever states it.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.ids, &self.name, &self.link) == (&other.ids, &other.name, &other.link)
    }

    /// Returns whether the Hub knows all identifiers.
    pub fn is_known(&self) -> bool {
        self.ids.iter().all(|id| terms_of(id).is_some())
    }
}

/// Returns an identifier as the Hub spells it.
fn canonical(id: &str) -> String {
    let dashed =
        id.trim().to_lowercase().split([' ', '_']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    match dashed.as_str() {
        "cc0" => "cc0-1.0".to_owned(),
        "apache" | "apache2" | "apache-2" => "apache-2.0".to_owned(),
        _ => dashed.strip_suffix("-only").or_else(|| dashed.strip_suffix("-or-later")).unwrap_or(&dashed).to_owned(),
    }
}

fn terms_of(id: &str) -> Option<Terms> {
    if let Some((_, terms)) = KNOWN.iter().find(|(known, _)| *known == id) {
        return Some(*terms);
    }
    // `cc-by-nc-sa-4.0`: what it asks, then its version.
    let mut terms = Terms::ATTRIBUTION;
    for part in id.strip_prefix("cc-by-")?.split('-') {
        terms = terms.and(match part {
            "nc" => Terms::NON_COMMERCIAL,
            "nd" => Terms::NO_DERIVATIVES,
            "sa" => Terms::SHARE_ALIKE,
            version if version.starts_with(|c: char| c.is_ascii_digit()) => NONE,
            _ => return None,
        });
    }
    Some(terms)
}

impl fmt::Display for License {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ids.join(", "))?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe => f.write_str("the recipe"),
            Self::Card => f.write_str("the card of the repository"),
            Self::File(path) => write!(f, "`{path}`"),
        }
    }
}

impl Encode for License {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.list(4);
        self.ids.encode(encoder);
        self.name.encode(encoder);
        self.link.encode(encoder);
        encoder.text(&self.stated.to_string());
    }
}

impl Deciding for License {
    fn shown(&self) -> Option<Value> {
        Some(Value::Text(self.to_string()))
    }
}

/// What the licences of several sources come to together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together<'a> {
    /// The licence of all rows, if every source states the same one.
    pub one: Option<&'a License>,
    /// The most restrictive licence that is understood.
    pub strictest: Option<&'a License>,
    /// What to know before rows are passed on, in sentences.
    pub notes: Vec<String>,
}

/// Returns what the licences of sources, given with their names, come to together.
pub fn together<'a>(sources: &[(&str, Option<&'a License>)]) -> Together<'a> {
    let stated: Vec<(&str, &License)> =
        sources.iter().filter_map(|(name, license)| Some((*name, (*license)?))).collect();
    let understood: Vec<(&str, &License, Terms)> =
        stated.iter().filter_map(|(name, license)| Some((*name, *license, license.terms()?))).collect();
    let first = stated.first().map(|(_, license)| *license);
    let is_one =
        stated.len() == sources.len() && stated.iter().all(|(_, other)| first.is_some_and(|one| one.is_same(other)));
    // Of equals the first, so that the order of the recipe decides.
    let strictest = understood.iter().rev().max_by_key(|(.., terms)| *terms).map(|(_, license, _)| *license);
    Together { one: first.filter(|_| is_one), strictest, notes: notes(sources, &stated, &understood) }
}

fn notes(
    sources: &[(&str, Option<&License>)],
    stated: &[(&str, &License)],
    understood: &[(&str, &License, Terms)],
) -> Vec<String> {
    let mut notes = Vec::new();
    let asking = |wanted: Terms| -> Vec<&(&str, &License, Terms)> {
        understood.iter().filter(|(.., terms)| terms.has(wanted)).collect()
    };
    let named = |found: &[&(&str, &License, Terms)]| {
        let shown: Vec<String> = found.iter().map(|(name, license, _)| format!("{} ({license})", code(name))).collect();
        shown.join(", ")
    };
    let silent: Vec<String> =
        sources.iter().filter(|(_, license)| license.is_none()).map(|(name, _)| code(name)).collect();
    let unclear: Vec<String> = stated
        .iter()
        .filter(|(_, license)| license.terms().is_none())
        .map(|(name, license)| format!("{} ({license})", code(name)))
        .collect();
    let (commercial, derivatives) = (asking(Terms::NON_COMMERCIAL), asking(Terms::NO_DERIVATIVES));
    if !commercial.is_empty() {
        notes.push(format!("**Non-commercial**: commercial use is not allowed by {}.", named(&commercial)));
    }
    if !derivatives.is_empty() {
        notes.push(format!(
            "**No derivatives**: rows that were changed or mixed may not be passed on, by {}. These files hold converted rows.",
            named(&derivatives)
        ));
    }
    let own = asking(Terms::OWN);
    if !own.is_empty() {
        notes.push(format!("**Terms of its own**: read what is not allowed in {}.", named(&own)));
    }
    let alike = asking(Terms::SHARE_ALIKE);
    if !alike.is_empty() {
        notes.push(format!(
            "**Share alike**: what is made of the rows is to have the same licence, by {}.",
            named(&alike)
        ));
    }
    if let Some((one, other)) = alike
        .iter()
        .enumerate()
        .find_map(|(at, one)| Some((one, alike[at + 1..].iter().find(|other| family(one.1) != family(other.1))?)))
    {
        notes.push(format!(
            "**Conflict**: {} ({}) and {} ({}) each ask for their own licence, and the files cannot have both.",
            code(one.0),
            one.1,
            code(other.0),
            other.1
        ));
    }
    for (wanted, what) in [
        (Terms::NON_COMMERCIAL, "forbids commercial use"),
        (Terms::NO_DERIVATIVES, "forbids changes"),
        (Terms::OWN, "adds terms of its own"),
    ] {
        let pair = alike.iter().filter(|(.., terms)| !terms.has(wanted)).find_map(|free| {
            let bound =
                understood.iter().find(|(_, license, terms)| terms.has(wanted) && family(license) != family(free.1));
            Some((*free, bound?))
        });
        if let Some((free, bound)) = pair {
            notes.push(format!(
                "**Conflict**: {} ({}) is to be passed on under the same licence, which lets others do more than {} ({}), which {what}.",
                code(free.0),
                free.1,
                code(bound.0),
                bound.1
            ));
        }
    }
    if !unclear.is_empty() {
        notes.push(format!("**Not understood**: datac does not know what is asked by {}.", unclear.join(", ")));
    }
    if !silent.is_empty() {
        let beside = if stated.is_empty() { "" } else { ", beside sources whose licences are known" };
        notes.push(format!(
            "**Unknown**: no licence is stated for {}{beside}. Without one, rows may not be passed on.",
            silent.join(", ")
        ));
    }
    let several: Vec<String> =
        stated.iter().filter(|(_, license)| license.ids.len() > 1).map(|(name, _)| code(name)).collect();
    if !several.is_empty() {
        notes.push(format!(
            "**Several**: {} states more than one licence; whether one may be chosen is not said, so all are counted.",
            several.join(", ")
        ));
    }
    notes
}

/// Returns identifiers without versions: rows under two versions of a licence can be passed on together.
fn family(license: &License) -> Vec<&str> {
    let bare = |id: &'_ String| -> usize {
        let version = id.rsplit_once('-').filter(|(_, end)| end.starts_with(|c: char| c.is_ascii_digit()));
        version.filter(|_| id.starts_with("cc-")).map_or(id.len(), |(start, _)| start.len())
    };
    license.ids.iter().map(|id| &id[..bare(id)]).collect()
}

fn code(name: &str) -> String {
    format!("`{}`", name.replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn license(ids: &str) -> License {
        License::new(ids.split(", ").map(str::to_owned), Stated::Card).unwrap()
    }

    #[test]
    fn identifiers_are_read_in_any_spelling() {
        for (given, id) in [
            ("MIT", "mit"),
            ("Apache 2.0", "apache-2.0"),
            ("CC BY-NC 4.0", "cc-by-nc-4.0"),
            ("CC_BY_SA_4.0", "cc-by-sa-4.0"),
            ("gpl-3.0-or-later", "gpl-3.0"),
            ("cc0", "cc0-1.0"),
            ("My own", "my-own"),
        ] {
            assert_eq!(license(given).ids, [id], "{given}");
        }
        assert_eq!(License::new([" ".to_owned()], Stated::Recipe), None);
    }

    #[test]
    fn what_licences_ask() {
        let terms = |id: &str| license(id).terms();
        assert_eq!(terms("cc0-1.0"), Some(NONE));
        assert_eq!(terms("mit"), Some(Terms::ATTRIBUTION));
        assert_eq!(terms("cc-by-3.0"), Some(Terms::ATTRIBUTION));
        let all = Terms::ATTRIBUTION.and(Terms::NON_COMMERCIAL);
        assert_eq!(terms("cc-by-nc-nd-4.0"), Some(all.and(Terms::NO_DERIVATIVES)));
        assert_eq!(terms("mit, cc-by-nc-sa-4.0"), Some(all.and(Terms::SHARE_ALIKE)));
        for unknown in ["other", "unknown", "cc", "cc-by-xy-4.0", "mine", "mit, other"] {
            assert_eq!(terms(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn texts_are_told_by_their_beginnings() {
        for (text, id) in [
            ("                     Apache License\n               Version 2.0, January 2004\n", "apache-2.0"),
            ("MIT License\n\nCopyright (c) somebody\n", "mit"),
            ("Copyright\n\nPermission is hereby granted, free of charge, to any person", "mit"),
            ("Creative Commons\n\nAttribution-NonCommercial 4.0 International\n", "cc-by-nc-4.0"),
            ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "gpl-3.0"),
            ("Ask me first.", "other"),
        ] {
            assert_eq!(License::of_text(text, "LICENSE").ids, [id], "{text}");
        }
    }

    #[test]
    fn licences_together_in_words() {
        let cases: &[&[(&str, &str)]] = &[
            &[("a", "mit")],
            &[("a", "mit"), ("b", "mit")],
            &[("a", "mit"), ("b", "cc-by-nc-4.0"), ("c", "cc0-1.0")],
            &[("a", "cc-by-sa-4.0"), ("b", "cc-by-nc-4.0")],
            &[("a", "cc-by-sa-3.0"), ("b", "cc-by-sa-4.0")],
            &[("a", "cc-by-sa-4.0"), ("b", "gpl-3.0")],
            &[("a", "cc-by-nd-4.0"), ("b", "odbl"), ("c", "llama3.1")],
            &[("a", "apache-2.0"), ("b", "")],
            &[("a", "")],
            &[("a", "other"), ("b", "mit, cc-by-4.0")],
        ];
        let told: Vec<String> = cases
            .iter()
            .map(|sources| {
                let licenses: Vec<Option<License>> =
                    sources.iter().map(|(_, ids)| (!ids.is_empty()).then(|| license(ids))).collect();
                let named: Vec<(&str, Option<&License>)> =
                    sources.iter().zip(&licenses).map(|((name, _), license)| (*name, license.as_ref())).collect();
                let Together { one, strictest, notes } = together(&named);
                let shown = |license: Option<&License>| license.map_or_else(|| "none".to_owned(), License::to_string);
                format!("{sources:?}\none: {}, strictest: {}\n{}", shown(one), shown(strictest), notes.join("\n"))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
