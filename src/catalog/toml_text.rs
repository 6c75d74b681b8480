//! Reading the TOML files of the repository: an unknown key is refused with the nearest known one.

use serde::de::DeserializeOwned;

use super::finding::{Findings, Spot, nearest};

/// Reads `text`, or adds a finding that says line, column and what to change.
pub(crate) fn read<T: DeserializeOwned>(
    path: &str,
    text: &str,
    findings: &mut Findings,
) -> Option<T> {
    match toml::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let spot = error
                .span()
                .map_or(Spot::WHOLE, |span| Spot::of(text, span.start));
            let message = error.message();
            let (rule, hint) = match unknown(message) {
                Some((word, known)) => ("toml/unknown-key", nearest(word, known)),
                None => ("syntax/toml", String::new()),
            };
            findings.add(
                rule,
                path,
                spot,
                format!("{}.{hint}", message.trim_end_matches('.')),
            );
            None
        }
    }
}

/// The unknown word and the known ones of a message such as "unknown field `a`, expected one of `b`, `c`".
fn unknown(message: &str) -> Option<(&str, Vec<&str>)> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

/// Reads a length of time: a number and `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<jiff::SignedDuration, String> {
    let fail = || format!("{text:?} is not a length of time such as 30s, 5m, 24h or 5d");
    let unit = text.chars().last().ok_or_else(fail)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(fail()),
    };
    let count: u32 = text
        .strip_suffix(unit)
        .unwrap_or_default()
        .parse()
        .map_err(|_| fail())?;
    if count == 0 {
        return Err(format!("{text:?} is no time at all"));
    }
    i64::from(count)
        .checked_mul(seconds)
        .filter(|total| *total <= 10 * 366 * 86_400)
        .map(jiff::SignedDuration::from_secs)
        .ok_or_else(|| format!("{text:?} is longer than ten years"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        assert_eq!(duration("5d").unwrap().as_hours(), 120);
        for text in ["", "5", "d", "0s", "-1h", "1w", "99999999d", "ä"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
