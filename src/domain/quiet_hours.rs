//! Windows of the day in a customer's zone: quiet hours and send windows.
//!
//! Local times are turned into instants by the rule of RFC 5545 and `java.time`: one that does not exist moves forward
//! by the gap, one that comes twice means the first.

use std::fmt;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use super::channel::words;

/// From a time of day until a time of day, over midnight when `until` is not later than `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyWindow {
    /// The first minute inside.
    pub from: Time,
    /// The first minute outside.
    pub until: Time,
}

impl DailyWindow {
    /// Reads `"21:00"` and `"08:00"`.
    ///
    /// # Errors
    /// A sentence, when one of them is not a time of day or they are equal.
    pub fn try_new(from: &str, until: &str) -> Result<Self, String> {
        let window = Self {
            from: time_of_day(from)?,
            until: time_of_day(until)?,
        };
        if window.from == window.until {
            return Err(format!("{from} to {until} is no time at all"));
        }
        Ok(window)
    }

    fn contains(&self, time: Time) -> bool {
        if self.from < self.until {
            self.from <= time && time < self.until
        } else {
            time >= self.from || time < self.until
        }
    }

    /// The end of the quiet time that `now` lies in, in the zone; `None` when `now` lies outside.
    pub fn quiet_until(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = now.to_zoned(zone.clone());
        if !self.contains(local.time()) {
            return None;
        }
        let over_midnight = self.from > self.until && local.time() >= self.from;
        let day = if over_midnight {
            local.date().checked_add(1.day()).ok()?
        } else {
            local.date()
        };
        let end = day
            .to_datetime(self.until)
            .to_zoned(zone.clone())
            .ok()?
            .timestamp();
        // Where the clock is set back over the end, the end comes twice and now may already be behind the first one.
        (end > now).then_some(end)
    }
}

impl fmt::Display for DailyWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to {}",
            self.from.strftime("%H:%M"),
            self.until.strftime("%H:%M")
        )
    }
}

/// Reads `"HH:MM"`.
///
/// # Errors
/// A sentence, when it is not one.
pub fn time_of_day(text: &str) -> Result<Time, String> {
    Time::strptime("%H:%M", text)
        .map_err(|_| format!("{text:?} is not a time of day such as 08:00"))
}

/// When a template may be sent: some days, from a time until a time of the same day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendWindow {
    /// Empty: every day.
    pub days: Vec<Day>,
    /// The hours.
    pub hours: DailyWindow,
}

words! {
    /// A day of the week.
    Day {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

impl SendWindow {
    /// When it opens next; `None` when it is open now.
    pub fn opens_at(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = now.to_zoned(zone.clone());
        let on = |date: jiff::civil::Date| {
            self.days.is_empty() || self.days.contains(&date.weekday().into())
        };
        if on(local.date()) && self.hours.contains(local.time()) {
            return None;
        }
        (0..=8).find_map(|ahead| {
            let date = local.date().checked_add(ahead.days()).ok()?;
            let opening = date
                .to_datetime(self.hours.from)
                .to_zoned(zone.clone())
                .ok()?
                .timestamp();
            (on(date) && opening > now).then_some(opening)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn night_ends_in_the_morning_of_the_zone() {
        let night = DailyWindow::try_new("21:00", "08:00").unwrap();
        let berlin = zone("Europe/Berlin");
        assert_eq!(
            night.quiet_until(at("2026-11-22T20:30:00Z"), &berlin),
            Some(at("2026-11-23T07:00:00Z"))
        );
        assert_eq!(
            night.quiet_until(at("2026-11-23T06:59:00Z"), &berlin),
            Some(at("2026-11-23T07:00:00Z"))
        );
        assert_eq!(night.quiet_until(at("2026-11-23T07:00:00Z"), &berlin), None);
        assert_eq!(night.quiet_until(at("2026-11-23T19:59:00Z"), &berlin), None);
    }

    #[test]
    fn an_end_that_does_not_exist_moves_forward() {
        // Berlin, 2026-03-29: 02:00 to 03:00 does not exist.
        let night = DailyWindow::try_new("22:00", "02:30").unwrap();
        let end = night.quiet_until(at("2026-03-28T23:00:00Z"), &zone("Europe/Berlin"));
        assert_eq!(end, Some(at("2026-03-29T01:30:00Z")));
    }

    #[test]
    fn a_window_opens_on_its_next_day() {
        let window = SendWindow {
            days: vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri],
            hours: DailyWindow::try_new("09:00", "19:00").unwrap(),
        };
        let berlin = zone("Europe/Berlin");
        // A Saturday noon waits for Monday nine o'clock.
        assert_eq!(
            window.opens_at(at("2026-11-21T11:00:00Z"), &berlin),
            Some(at("2026-11-23T08:00:00Z"))
        );
        assert_eq!(window.opens_at(at("2026-11-23T08:00:00Z"), &berlin), None);
    }

    #[test]
    fn a_time_is_hours_and_minutes() {
        assert!(DailyWindow::try_new("25:00", "08:00").is_err());
        assert!(DailyWindow::try_new("08:00", "08:00").is_err());
    }
}
