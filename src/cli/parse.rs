//! The texts behind options and what they mean. Every error is a sentence that says what would be right.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SpanRelativeTo, Timestamp};

use super::args::Chaos;
use crate::domain::channel::{Channel, UnknownWord};

/// The fastest clock: a day in less than a second.
const SPEED_MAX: f64 = 100_000.0;

/// `60x`, `60`, `1.5x`.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    text.strip_suffix('x')
        .unwrap_or(text)
        .parse::<f64>()
        .ok()
        .filter(|speed| (1.0..=SPEED_MAX).contains(speed))
        .ok_or_else(|| "give a speed from 1x to 100000x, such as 60x".to_owned())
}

/// `email=5%`, `sms=50`.
pub(super) fn chaos(text: &str) -> Result<Chaos, String> {
    let right = || "give a channel and a share from 0% to 100%, such as email=5%".to_owned();
    let (name, share) = text.split_once('=').ok_or_else(right)?;
    let percent = share.strip_suffix('%').unwrap_or(share).parse::<u8>().ok();
    Ok(Chaos {
        channel: channel(name).map_err(|error| error.to_string())?,
        percent: percent
            .filter(|percent| *percent <= 100)
            .ok_or_else(right)?,
    })
}

/// `email`, `sms`, `chat`.
pub(super) fn channel(text: &str) -> Result<Channel, UnknownWord> {
    text.parse()
}

/// `30s`, `5m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    SpanParser::new()
        .parse_span(text)
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "give a duration with a unit, such as 30s or 5m".to_owned())
}

/// RFC 3339.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "give a time with its offset, such as 2026-11-22T21:30:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert_eq!(speed("60x"), Ok(60.0));
        assert_eq!(speed("1.5"), Ok(1.5));
        for text in ["", "x", "0x", "-1x", "NaN", "inf", "1e9x", "60xx"] {
            assert!(speed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn chaos_is_a_share_of_a_channel() {
        let share = |text| chaos(text).map(|chaos| (chaos.channel, chaos.percent));
        assert_eq!(share("email=5%"), Ok((Channel::Email, 5)));
        assert_eq!(share("sms=100"), Ok((Channel::Sms, 100)));
        for text in [
            "email",
            "email=",
            "email=101%",
            "email=-1%",
            "email=NaN",
            "fax=5%",
        ] {
            assert!(chaos(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_and_times() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("0s").is_err() && duration("-5s").is_err() && duration("5").is_err());
        assert!(time("2026-11-22T21:30:00+01:00").is_ok());
        assert!(time("2026-11-22").is_err() && time("tomorrow").is_err());
    }
}
