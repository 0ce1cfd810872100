//! The languages with a two-letter code (ISO 639-1), their three-letter codes (ISO 639-3) and English names.

/// A language of ISO 639-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iso {
    /// Two-letter code.
    pub code: &'static str,
    /// Three-letter code.
    long: &'static str,
    /// English name, in lower case.
    name: &'static str,
}

/// Returns all languages, sorted by their two-letter codes.
pub fn all() -> impl Iterator<Item = Iso> {
    LANGUAGES.iter().map(|&(code, long, name)| Iso { code, long, name })
}

/// Returns the language with a two-letter code.
pub fn by_code(code: &str) -> Option<Iso> {
    let at = LANGUAGES.binary_search_by_key(&code, |(code, ..)| code).ok()?;
    all().nth(at)
}

/// Returns the language with a three-letter code.
pub fn by_long_code(code: &str) -> Option<Iso> {
    all().find(|language| language.long == code)
}

/// Returns the language with an English name, which must be in lower case.
pub fn by_name(name: &str) -> Option<Iso> {
    all().find(|language| language.name == name)
}

const LANGUAGES: &[(&str, &str, &str)] = &[
    ("aa", "aar", "afar"),
    ("ab", "abk", "abkhazian"),
    ("ae", "ave", "avestan"),
    ("af", "afr", "afrikaans"),
    ("ak", "aka", "akan"),
    ("am", "amh", "amharic"),
    ("an", "arg", "aragonese"),
    ("ar", "ara", "arabic"),
    ("as", "asm", "assamese"),
    ("av", "ava", "avaric"),
    ("ay", "aym", "aymara"),
    ("az", "aze", "azerbaijani"),
    ("ba", "bak", "bashkir"),
    ("be", "bel", "belarusian"),
    ("bg", "bul", "bulgarian"),
    ("bi", "bis", "bislama"),
    ("bm", "bam", "bambara"),
    ("bn", "ben", "bengali"),
    ("bo", "bod", "tibetan"),
    ("br", "bre", "breton"),
    ("bs", "bos", "bosnian"),
    ("ca", "cat", "catalan"),
    ("ce", "che", "chechen"),
    ("ch", "cha", "chamorro"),
    ("co", "cos", "corsican"),
    ("cr", "cre", "cree"),
    ("cs", "ces", "czech"),
    ("cu", "chu", "church slavic"),
    ("cv", "chv", "chuvash"),
    ("cy", "cym", "welsh"),
    ("da", "dan", "danish"),
    ("de", "deu", "german"),
    ("dv", "div", "dhivehi"),
    ("dz", "dzo", "dzongkha"),
    ("ee", "ewe", "ewe"),
    ("el", "ell", "modern greek"),
    ("en", "eng", "english"),
    ("eo", "epo", "esperanto"),
    ("es", "spa", "spanish"),
    ("et", "est", "estonian"),
    ("eu", "eus", "basque"),
    ("fa", "fas", "persian"),
    ("ff", "ful", "fulah"),
    ("fi", "fin", "finnish"),
    ("fj", "fij", "fijian"),
    ("fo", "fao", "faroese"),
    ("fr", "fra", "french"),
    ("fy", "fry", "western frisian"),
    ("ga", "gle", "irish"),
    ("gd", "gla", "scottish gaelic"),
    ("gl", "glg", "galician"),
    ("gn", "grn", "guarani"),
    ("gu", "guj", "gujarati"),
    ("gv", "glv", "manx"),
    ("ha", "hau", "hausa"),
    ("he", "heb", "hebrew"),
    ("hi", "hin", "hindi"),
    ("ho", "hmo", "hiri motu"),
    ("hr", "hrv", "croatian"),
    ("ht", "hat", "haitian"),
    ("hu", "hun", "hungarian"),
    ("hy", "hye", "armenian"),
    ("hz", "her", "herero"),
    ("ia", "ina", "interlingua"),
    ("id", "ind", "indonesian"),
    ("ie", "ile", "interlingue"),
    ("ig", "ibo", "igbo"),
    ("ii", "iii", "sichuan yi"),
    ("ik", "ipk", "inupiaq"),
    ("io", "ido", "ido"),
    ("is", "isl", "icelandic"),
    ("it", "ita", "italian"),
    ("iu", "iku", "inuktitut"),
    ("ja", "jpn", "japanese"),
    ("jv", "jav", "javanese"),
    ("ka", "kat", "georgian"),
    ("kg", "kon", "kongo"),
    ("ki", "kik", "kikuyu"),
    ("kj", "kua", "kuanyama"),
    ("kk", "kaz", "kazakh"),
    ("kl", "kal", "kalaallisut"),
    ("km", "khm", "khmer"),
    ("kn", "kan", "kannada"),
    ("ko", "kor", "korean"),
    ("kr", "kau", "kanuri"),
    ("ks", "kas", "kashmiri"),
    ("ku", "kur", "kurdish"),
    ("kv", "kom", "komi"),
    ("kw", "cor", "cornish"),
    ("ky", "kir", "kirghiz"),
    ("la", "lat", "latin"),
    ("lb", "ltz", "luxembourgish"),
    ("lg", "lug", "ganda"),
    ("li", "lim", "limburgan"),
    ("ln", "lin", "lingala"),
    ("lo", "lao", "lao"),
    ("lt", "lit", "lithuanian"),
    ("lu", "lub", "luba-katanga"),
    ("lv", "lav", "latvian"),
    ("mg", "mlg", "malagasy"),
    ("mh", "mah", "marshallese"),
    ("mi", "mri", "maori"),
    ("mk", "mkd", "macedonian"),
    ("ml", "mal", "malayalam"),
    ("mn", "mon", "mongolian"),
    ("mr", "mar", "marathi"),
    ("ms", "msa", "malay"),
    ("mt", "mlt", "maltese"),
    ("my", "mya", "burmese"),
    ("na", "nau", "nauru"),
    ("nb", "nob", "norwegian bokmål"),
    ("nd", "nde", "north ndebele"),
    ("ne", "nep", "nepali"),
    ("ng", "ndo", "ndonga"),
    ("nl", "nld", "dutch"),
    ("nn", "nno", "norwegian nynorsk"),
    ("no", "nor", "norwegian"),
    ("nr", "nbl", "south ndebele"),
    ("nv", "nav", "navajo"),
    ("ny", "nya", "nyanja"),
    ("oc", "oci", "occitan"),
    ("oj", "oji", "ojibwa"),
    ("om", "orm", "oromo"),
    ("or", "ori", "oriya"),
    ("os", "oss", "ossetian"),
    ("pa", "pan", "panjabi"),
    ("pi", "pli", "pali"),
    ("pl", "pol", "polish"),
    ("ps", "pus", "pushto"),
    ("pt", "por", "portuguese"),
    ("qu", "que", "quechua"),
    ("rm", "roh", "romansh"),
    ("rn", "run", "rundi"),
    ("ro", "ron", "romanian"),
    ("ru", "rus", "russian"),
    ("rw", "kin", "kinyarwanda"),
    ("sa", "san", "sanskrit"),
    ("sc", "srd", "sardinian"),
    ("sd", "snd", "sindhi"),
    ("se", "sme", "northern sami"),
    ("sg", "sag", "sango"),
    ("sh", "hbs", "serbo-croatian"),
    ("si", "sin", "sinhala"),
    ("sk", "slk", "slovak"),
    ("sl", "slv", "slovenian"),
    ("sm", "smo", "samoan"),
    ("sn", "sna", "shona"),
    ("so", "som", "somali"),
    ("sq", "sqi", "albanian"),
    ("sr", "srp", "serbian"),
    ("ss", "ssw", "swati"),
    ("st", "sot", "southern sotho"),
    ("su", "sun", "sundanese"),
    ("sv", "swe", "swedish"),
    ("sw", "swa", "swahili"),
    ("ta", "tam", "tamil"),
    ("te", "tel", "telugu"),
    ("tg", "tgk", "tajik"),
    ("th", "tha", "thai"),
    ("ti", "tir", "tigrinya"),
    ("tk", "tuk", "turkmen"),
    ("tl", "tgl", "tagalog"),
    ("tn", "tsn", "tswana"),
    ("to", "ton", "tonga"),
    ("tr", "tur", "turkish"),
    ("ts", "tso", "tsonga"),
    ("tt", "tat", "tatar"),
    ("tw", "twi", "twi"),
    ("ty", "tah", "tahitian"),
    ("ug", "uig", "uighur"),
    ("uk", "ukr", "ukrainian"),
    ("ur", "urd", "urdu"),
    ("uz", "uzb", "uzbek"),
    ("ve", "ven", "venda"),
    ("vi", "vie", "vietnamese"),
    ("vo", "vol", "volapük"),
    ("wa", "wln", "walloon"),
    ("wo", "wol", "wolof"),
    ("xh", "xho", "xhosa"),
    ("yi", "yid", "yiddish"),
    ("yo", "yor", "yoruba"),
    ("za", "zha", "zhuang"),
    ("zh", "zho", "chinese"),
    ("zu", "zul", "zulu"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_language_once() {
        assert_eq!(LANGUAGES.len(), 184);
        assert!(LANGUAGES.is_sorted_by(|one, other| one.0 < other.0));
        for one in all() {
            assert!(one.code.len() == 2 && one.long.len() == 3, "{one:?}");
            assert_eq!(
                (by_code(one.code), by_long_code(one.long), by_name(one.name)),
                (Some(one), Some(one), Some(one))
            );
        }
        assert_eq!(by_long_code("deu").map(|german| german.code), Some("de"));
        assert_eq!(by_code("xx"), None);
    }
}
