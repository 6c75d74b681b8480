//! Dates by a pattern such as `DD MMMM YYYY`, as `formatDate` of SendGrid takes it, with its letters.

use icu::datetime::input::Date as IcuDate;
use icu::datetime::{DateTimeFormatter, fieldsets};
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;

use super::{Formats, unsigned};

/// The longest first, so that `MMMM` is not two times `MM`.
const TOKENS: [&str; 22] = [
    "YYYY", "MMMM", "dddd", "MMM", "ddd", "MM", "DD", "YY", "HH", "hh", "mm", "ss", "ZZ", "M", "D",
    "H", "h", "m", "s", "A", "a", "Z",
];

impl Formats {
    /// A date by a pattern, in the reader's zone or at the offset (`-0800`) or in the zone (`Europe/Berlin`) given.
    pub(crate) fn pattern(
        &self,
        value: &Value,
        pattern: &str,
        zone: Option<&str>,
    ) -> Result<String, String> {
        let zone = zone.map_or_else(|| Ok(self.zone.clone()), zone_of)?;
        let local = self.local_in(value, &zone)?;
        let mut text = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let token = TOKENS.into_iter().find(|token| rest.starts_with(token));
            match token {
                Some(token) => text.push_str(&self.token(token, local, &zone)?),
                None => text.push(first),
            }
            rest = rest
                .get(token.map_or(first.len_utf8(), str::len)..)
                .unwrap_or_default();
        }
        Ok(text)
    }

    fn token(&self, token: &str, local: DateTime, zone: &TimeZone) -> Result<String, String> {
        let hour12 = match local.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let half = if local.hour() < 12 { "AM" } else { "PM" };
        Ok(match token {
            "YYYY" => format!("{:04}", local.year()),
            "YY" => format!("{:02}", local.year() % 100),
            "MMMM" => self.month(local.date(), fieldsets::M::long())?,
            "MMM" => self.month(local.date(), fieldsets::M::medium())?,
            "dddd" => self.day(local.date(), fieldsets::E::long())?,
            "ddd" => self.day(local.date(), fieldsets::E::medium())?,
            "MM" => format!("{:02}", local.month()),
            "DD" => format!("{:02}", local.day()),
            "HH" => format!("{:02}", local.hour()),
            "hh" => format!("{hour12:02}"),
            "mm" => format!("{:02}", local.minute()),
            "ss" => format!("{:02}", local.second()),
            "M" => local.month().to_string(),
            "D" => local.day().to_string(),
            "H" => local.hour().to_string(),
            "h" => hour12.to_string(),
            "m" => local.minute().to_string(),
            "s" => local.second().to_string(),
            "A" => half.to_owned(),
            "a" => half.to_ascii_lowercase(),
            "ZZ" => offset(local, zone, "")?,
            _ => offset(local, zone, ":")?,
        })
    }

    fn month(&self, date: Date, fields: fieldsets::M) -> Result<String, String> {
        let formatter =
            DateTimeFormatter::try_new((&self.locale).into(), fields).map_err(|error| {
                format!("no way to write months in this language is known ({error})")
            })?;
        Ok(formatter.format(&iso(date)?).to_string())
    }

    fn day(&self, date: Date, fields: fieldsets::E) -> Result<String, String> {
        let formatter = DateTimeFormatter::try_new((&self.locale).into(), fields)
            .map_err(|error| format!("no way to write days in this language is known ({error})"))?;
        Ok(formatter.format(&iso(date)?).to_string())
    }
}

fn iso(date: Date) -> Result<IcuDate<icu::calendar::Iso>, String> {
    IcuDate::try_new_iso(
        date.year().into(),
        unsigned(date.month()),
        unsigned(date.day()),
    )
    .map_err(|_| "there is no such day".to_owned())
}

/// `-0800`, `-08:00`, `Z`, or a name.
fn zone_of(text: &str) -> Result<TimeZone, String> {
    let fail =
        || "a time zone is an offset such as '-0800' or a name such as 'Europe/Berlin'".to_owned();
    if text == "Z" {
        return Ok(TimeZone::UTC);
    }
    let sign = match text.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return TimeZone::get(text).map_err(|_| fail()),
    };
    let digits: String = text
        .get(1..)
        .unwrap_or_default()
        .chars()
        .filter(|c| *c != ':')
        .collect();
    let number: i32 = match digits.len() {
        4 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| fail())?,
        _ => return Err(fail()),
    };
    let seconds = sign * (number / 100 * 3_600 + number % 100 * 60);
    Offset::from_seconds(seconds)
        .map(TimeZone::fixed)
        .map_err(|_| fail())
}

fn offset(local: DateTime, zone: &TimeZone, between: &str) -> Result<String, String> {
    let zoned = local
        .to_zoned(zone.clone())
        .map_err(|_| "there is no such time".to_owned())?;
    let minutes = zoned.offset().seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    Ok(format!(
        "{sign}{:02}{between}{:02}",
        minutes / 60,
        minutes % 60
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_writes_what_its_letters_say() {
        let of = |locale: &str, value: Value, pattern: &str, zone: Option<&str>| {
            Formats::new(locale, "Europe/Berlin")
                .pattern(&value, pattern, zone)
                .unwrap()
        };
        let instant = || json!("2026-11-22T23:30:05Z");
        assert_eq!(
            of("de", instant(), "DD. MMMM YYYY, HH:mm", None),
            "23. November 2026, 00:30"
        );
        assert_eq!(
            of("en", instant(), "dddd, MMM D YY h:mm:ss A (Z)", None),
            "Monday, Nov 23 26 12:30:05 AM (+01:00)"
        );
        // The third argument of SendGrid's helper.
        assert_eq!(
            of("en", instant(), "ddd DD/MM H:m a ZZ", Some("-0800")),
            "Sun 22/11 15:30 pm -0800"
        );
        assert_eq!(
            of("en", instant(), "HH:mm Z", Some("+05:30")),
            "05:00 +05:30"
        );
        assert_eq!(of("en", instant(), "HH:mm", Some("Asia/Tokyo")), "08:30");
        // Seconds, and milliseconds as JavaScript counts.
        for number in [1_795_390_205_i64, 1_795_390_205_000] {
            assert_eq!(
                of("en", json!(number), "YYYY-MM-DD HH:mm:ss", Some("Z")),
                "2026-11-22 23:30:05"
            );
        }
        let formats = Formats::new("en", "Europe/Berlin");
        for zone in ["-08", "+99999", "Mars/Phobos", "-08x0", "", "+٠٨٠٠"] {
            assert!(
                formats.pattern(&instant(), "HH", Some(zone)).is_err(),
                "{zone}"
            );
        }
        assert!(formats.pattern(&json!("tomorrow"), "HH", None).is_err());
    }
}
