//! Money, numbers, days and times the way a language writes them.
//!
//! The choice of libraries, after trying both: Fluent (`strings`) says words and chooses plurals, but its Rust form
//! writes numbers without separators and knows neither money nor dates; ICU4X 2.4 writes numbers, days and times, and
//! its `icu_experimental` 0.7 money, as en, de, fr and pt-BR do (the tests below). "Experimental" means that its names
//! may change between versions, so it is used in this file alone. jiff knows the zones. An amount stays decimal text
//! from the caller to the page and is never a float.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fixed_decimal::Decimal;
use icu::datetime::input::{Date as IcuDate, Time as IcuTime};
use icu::datetime::{DateTimeFormatter, NoCalendarFormatter, fieldsets};
use icu::decimal::DecimalFormatter;
use icu::locale::Locale;
use icu::plurals::{PluralCategory, PluralRules};
use icu_experimental::dimension::currency::CurrencyType;
use icu_experimental::dimension::currency::formatter::CurrencyFormatter;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::Value;

mod pattern;

/// More digits than any shop sells for.
const DIGITS_MAX: usize = 40;
/// A number of this size counts milliseconds since 1970: in seconds it would be the year 5138.
const MILLIS_MIN: u64 = 100_000_000_000;

/// How a language writes things, in a zone.
#[derive(Debug)]
pub(crate) struct Formats {
    locale: Locale,
    zone: TimeZone,
    /// What was written before, by amount and currency: the text part of a mail says again what its HTML says, and the
    /// formatters are dear to build and cannot be shared between threads.
    amounts: Mutex<BTreeMap<(String, String), String>>,
}

/// How much of a date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Short,
    Medium,
    Long,
}

impl Length {
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "short" => Ok(Self::Short),
            "medium" => Ok(Self::Medium),
            "long" => Ok(Self::Long),
            _ => Err("the length of a date is 'short', 'medium' or 'long'".to_owned()),
        }
    }
}

impl Formats {
    /// An unknown locale is written the neutral way, an unknown zone is UTC.
    pub(crate) fn new(locale: &str, zone: &str) -> Self {
        Self {
            locale: Locale::try_from_str(locale).unwrap_or(Locale::UNKNOWN),
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
            amounts: Mutex::default(),
        }
    }

    /// An amount in a currency (ISO 4217): `R$ 131,28`.
    pub(crate) fn money(&self, amount: &Value, currency: &Value) -> Result<String, String> {
        let key = (amount.to_string(), currency.to_string());
        let amounts = || self.amounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = amounts().get(&key) {
            return Ok(written.clone());
        }
        let written = self.written_money(amount, currency)?;
        amounts().insert(key, written.clone());
        Ok(written)
    }

    fn written_money(&self, amount: &Value, currency: &Value) -> Result<String, String> {
        let amount = decimal(amount)?;
        let code = currency
            .as_str()
            .filter(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()))
            .and_then(|code| CurrencyType::try_from_str(code).ok())
            .ok_or("a currency is an ISO 4217 code such as \"EUR\"")?;
        let formatter =
            CurrencyFormatter::try_new_symbol((&self.locale).into(), code, Default::default())
                .map_err(|error| {
                    format!("no way to write money in this language is known ({error})")
                })?;
        Ok(formatter.format_fixed_decimal(&amount).to_string())
    }

    /// A number with the language's separators: `1.234,5`.
    pub(crate) fn number(&self, number: &Value) -> Result<String, String> {
        let number = decimal(number)?;
        let formatter = DecimalFormatter::try_new((&self.locale).into(), Default::default())
            .map_err(|error| {
                format!("no way to write numbers in this language is known ({error})")
            })?;
        Ok(formatter.format(&number).to_string())
    }

    /// The form of a word that the language uses with this number: `one`, `few`, `other`.
    pub(crate) fn plural(&self, number: &Value) -> Result<&'static str, String> {
        let number = decimal(number)?;
        let rules = PluralRules::try_new_cardinal((&self.locale).into())
            .map_err(|error| format!("no plurals of this language are known ({error})"))?;
        Ok(match rules.category_for(&number) {
            PluralCategory::Zero => "zero",
            PluralCategory::One => "one",
            PluralCategory::Two => "two",
            PluralCategory::Few => "few",
            PluralCategory::Many => "many",
            PluralCategory::Other => "other",
        })
    }

    /// The day of a date or an instant, in the zone.
    pub(crate) fn date(&self, value: &Value, length: Length) -> Result<String, String> {
        let date = self.local(value)?.date();
        let date = IcuDate::try_new_iso(
            date.year().into(),
            unsigned(date.month()),
            unsigned(date.day()),
        )
        .map_err(|_| "there is no such day".to_owned())?;
        let fields = match length {
            Length::Short => fieldsets::YMD::short(),
            Length::Medium => fieldsets::YMD::medium(),
            Length::Long => fieldsets::YMD::long(),
        };
        let formatter =
            DateTimeFormatter::try_new((&self.locale).into(), fields).map_err(|error| {
                format!("no way to write dates in this language is known ({error})")
            })?;
        Ok(formatter.format(&date).to_string())
    }

    /// The time of day of an instant, in the zone.
    pub(crate) fn time(&self, value: &Value) -> Result<String, String> {
        let time = match value.as_str().map(str::parse::<Time>) {
            Some(Ok(time)) if value.as_str().is_some_and(|text| text.len() <= 8) => time,
            _ => self.local(value)?.time(),
        };
        let time = IcuTime::try_new(unsigned(time.hour()), unsigned(time.minute()), 0, 0)
            .map_err(|_| "there is no such time".to_owned())?;
        let formatter = NoCalendarFormatter::try_new((&self.locale).into(), fieldsets::T::hm())
            .map_err(|error| {
                format!("no way to write times in this language is known ({error})")
            })?;
        Ok(formatter.format(&time).to_string())
    }

    fn local(&self, value: &Value) -> Result<DateTime, String> {
        self.local_in(value, &self.zone)
    }

    /// A date, a date with time, an instant with its offset, or seconds or milliseconds since 1970.
    fn local_in(&self, value: &Value, zone: &TimeZone) -> Result<DateTime, String> {
        let fail =
            || "a date is text such as \"2026-11-25\" or \"2026-11-25T09:30:00Z\"".to_owned();
        let zoned = |instant: Timestamp| instant.to_zoned(zone.clone()).datetime();
        if let Some(number) = value.as_i64() {
            let instant = if number.unsigned_abs() >= MILLIS_MIN {
                Timestamp::from_millisecond(number)
            } else {
                Timestamp::from_second(number)
            };
            return instant.map(zoned).map_err(|_| fail());
        }
        let text = value
            .as_str()
            .filter(|text| text.len() <= 64)
            .ok_or_else(fail)?;
        if text.len() == 10
            && let Ok(date) = text.parse::<Date>()
        {
            return Ok(date.at(0, 0, 0, 0));
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(zoned(instant));
        }
        text.parse::<DateTime>().map_err(|_| fail())
    }
}

fn unsigned(small: i8) -> u8 {
    u8::try_from(small).unwrap_or_default()
}

fn decimal(value: &Value) -> Result<Decimal, String> {
    let fail = || "an amount is decimal text such as \"1299.00\"".to_owned();
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::Number(_) => return Err("an amount with decimals is text such as \"12.50\", not a number, because numbers lose cents".to_owned()),
        _ => return Err(fail()),
    };
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    if text.is_empty() || text.len() > DIGITS_MAX || !plain {
        return Err(fail());
    }
    Decimal::try_from_str(&text).map_err(|_| fail())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn formats(locale: &str) -> Formats {
        Formats::new(locale, "Europe/Berlin")
    }

    /// Unbreakable spaces as plain ones, so that the expectations can be read.
    fn plain(text: &str) -> String {
        text.replace(['\u{a0}', '\u{202f}'], " ")
    }

    #[test]
    fn money_is_written_as_the_language_writes_it() {
        for (locale, amount, currency, expected) in [
            ("en", "1299.00", "EUR", "€1,299.00"),
            ("en", "0.5", "USD", "$0.50"),
            ("en", "-12.30", "EUR", "-€12.30"),
            ("de", "1299.00", "EUR", "1.299,00 €"),
            ("fr", "1299.00", "EUR", "1 299,00 €"),
            ("pt-BR", "131.28", "BRL", "R$ 131,28"),
            ("pt-BR", "1299", "EUR", "€ 1.299,00"),
            ("en", "1500", "JPY", "¥1,500"),
            // A float would say …993.
            (
                "en",
                "9007199254740993.01",
                "EUR",
                "€9,007,199,254,740,993.01",
            ),
        ] {
            let money = formats(locale)
                .money(&json!(amount), &json!(currency))
                .unwrap();
            assert_eq!(plain(&money), expected, "{locale} {amount} {currency}");
        }
    }

    #[test]
    fn an_amount_written_before_is_the_same_and_no_other_one() {
        let formats = formats("en");
        let money =
            |amount: &str, currency: &str| formats.money(&json!(amount), &json!(currency)).unwrap();
        for _ in 0..2 {
            assert_eq!(money("1.00", "EUR"), "€1.00");
            assert_eq!(money("1.00", "USD"), "$1.00");
            assert_eq!(money("1.0", "USD"), "$1.00");
            assert_eq!(money("11.00", "USD"), "$11.00");
            assert!(formats.money(&json!(1.5), &json!("USD")).is_err());
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for amount in [
            json!("1,299.00"),
            json!("abc"),
            json!(""),
            json!(12.5),
            json!(null),
            json!("1e9"),
            json!("1".repeat(50)),
        ] {
            assert!(
                formats("en").money(&amount, &json!("EUR")).is_err(),
                "{amount}"
            );
        }
        for currency in [json!("eur"), json!("EURO"), json!(null), json!("€")] {
            assert!(
                formats("en").money(&json!("1"), &currency).is_err(),
                "{currency}"
            );
        }
    }

    #[test]
    fn days_and_times_are_written_in_the_zone_of_the_reader() {
        let instant = json!("2026-11-22T23:30:00Z");
        for (locale, date, time) in [
            ("en", "November 23, 2026", "12:30 AM"),
            ("de", "23. November 2026", "00:30"),
            ("fr", "23 novembre 2026", "00:30"),
            ("pt-BR", "23 de novembro de 2026", "00:30"),
        ] {
            assert_eq!(formats(locale).date(&instant, Length::Long).unwrap(), date);
            assert_eq!(plain(&formats(locale).time(&instant).unwrap()), time);
        }
        // A date without a time is the same day everywhere.
        assert_eq!(
            formats("en")
                .date(&json!("2026-11-22"), Length::Medium)
                .unwrap(),
            "Nov 22, 2026"
        );
        assert_eq!(
            formats("de")
                .date(&json!("2026-11-22"), Length::Short)
                .unwrap(),
            "22.11.26"
        );
        assert!(
            formats("en")
                .date(&json!("22/11/2026"), Length::Long)
                .is_err()
        );
        assert!(
            formats("en")
                .date(&json!("2026-02-30"), Length::Long)
                .is_err()
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            formats("de").number(&json!(1_234_567)).unwrap(),
            "1.234.567"
        );
        assert_eq!(formats("en").number(&json!("1234.5")).unwrap(), "1,234.5");
    }
}
