//! Sizes, ages and switches as people write them: on the command line, in the environment, in `datac.toml`.

/// Reads a size in bytes: `10GB`, `500 MB`, `2GiB`, `4096`. The error says how to write one.
///
/// ```
/// assert_eq!(datac_core::config::size("1.5 MB"), Ok(1_500_000));
/// ```
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("b", 1),
        ("k", 1000),
        ("kb", 1000),
        ("m", 1_000_000),
        ("mb", 1_000_000),
        ("g", 1_000_000_000),
        ("gb", 1_000_000_000),
        ("t", 1_000_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    scaled(text, UNITS).ok_or_else(|| "write a size as 10GB, 500MB or 2GiB".to_owned())
}

/// Reads an age in seconds: `30d`, `12h`, `2w`, `0`. The error says how to write one.
pub fn age(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600), ("w", 7 * 24 * 3600)];
    let seconds = if text.trim() == "0" { Some(0) } else { scaled(text, UNITS) };
    seconds.ok_or_else(|| "write an age as 30d, 12h, 2w or 0".to_owned())
}

/// Reads a switch: on or off. The error says how to write one.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "y" | "t" | "1" => Ok(true),
        "off" | "false" | "no" | "n" | "f" | "0" => Ok(false),
        _ => Err("use `on` or `off`".to_owned()),
    }
}

/// Reads a number with a unit, and returns it in the base unit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let value = number.parse::<f64>().ok()? * scale as f64;
    (value.is_finite() && value < u64::MAX as f64).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_read_as_they_are_written() {
        let sizes = ["0", "4096", "10GB", "1.5 MB", "2GiB", "3k"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [0, 4096, 10_000_000_000, 1_500_000, 2 << 30, 3000]);
        let ages = ["0", "30d", "12h", "2w", "90m", "1.5h"].map(|text| age(text).unwrap());
        assert_eq!(ages, [0, 30 * 86_400, 12 * 3600, 14 * 86_400, 5400, 5400]);
        for bad in ["", "x", "-1", "10 QB", "1e3", "99999999999TB", "1.2.3GB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["", "30", "1y", "-1d", "d"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }
}
