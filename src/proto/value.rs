//! Well-known types of protobuf and what they are here: times, durations, JSON objects.

use jiff::{SignedDuration, Timestamp};
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde_json::{Map, Number};

/// The largest whole number that a double holds without a gap below it: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

const NANOS: std::ops::RangeInclusive<i32> = 0..=999_999_999;

/// A part of a structure that is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct ValueError {
    /// Where, as a JSON pointer from the root.
    pub pointer: String,
    /// What is wrong, and what to send.
    pub description: &'static str,
}

impl ValueError {
    fn new(description: &'static str) -> Self {
        Self {
            pointer: String::new(),
            description,
        }
    }

    /// The same error seen from one level further out.
    fn under(mut self, key: &str) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        self.pointer.insert_str(0, &key);
        self.pointer.insert(0, '/');
        self
    }
}

/// Reads a time.
///
/// # Errors
/// A sentence, when the nanoseconds or the year are out of range.
pub fn time(wire: &prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    if !NANOS.contains(&wire.nanos) {
        return Err("nanos must lie between 0 and 999999999");
    }
    Timestamp::new(wire.seconds, wire.nanos).map_err(|_| "is out of range; times lie between the years 1 and 9999, the last is 9999-12-30T22:00:00Z")
}

/// Writes a time.
pub fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    let mut seconds = time.as_second();
    let mut nanos = time.subsec_nanosecond();
    // Protobuf counts nanoseconds forwards, also before 1970.
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    prost_types::Timestamp { seconds, nanos }
}

/// Reads a length of time that is not negative.
///
/// # Errors
/// A sentence, when it is negative or its nanoseconds are out of range.
pub fn duration(wire: &prost_types::Duration) -> Result<SignedDuration, &'static str> {
    if wire.seconds < 0 || wire.nanos < 0 {
        return Err("must not be negative");
    }
    if !NANOS.contains(&wire.nanos) {
        return Err("nanos must lie between 0 and 999999999");
    }
    Ok(SignedDuration::new(wire.seconds, wire.nanos))
}

/// Writes a length of time.
pub fn wire_duration(duration: SignedDuration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: duration.as_secs(),
        nanos: duration.subsec_nanos(),
    }
}

/// Reads a structure as a JSON object. Whole numbers that a double holds exactly become integers, as the sender meant
/// them. The depth is bounded by the decoder, which refuses messages nested deeper than 100.
///
/// # Errors
/// For NaN, infinities and values without a kind, with their place.
pub fn json(structure: Struct) -> Result<Map<String, serde_json::Value>, ValueError> {
    structure
        .fields
        .into_iter()
        .map(|(key, value)| match json_value(value) {
            Ok(value) => Ok((key, value)),
            Err(error) => Err(error.under(&key)),
        })
        .collect()
}

fn json_value(value: Value) -> Result<serde_json::Value, ValueError> {
    Ok(match value.kind {
        None => {
            return Err(ValueError::new(
                "the value has no kind; send null_value for null",
            ));
        }
        Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::NumberValue(number)) => serde_json::Value::Number(json_number(number)?),
        Some(Kind::StructValue(structure)) => json(structure)?.into(),
        Some(Kind::ListValue(list)) => list
            .values
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                json_value(value).map_err(|error| error.under(&index.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?
            .into(),
    })
}

fn json_number(number: f64) -> Result<Number, ValueError> {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        // Within 2^53 the conversion is exact.
        return Ok(Number::from(number as i64));
    }
    Number::from_f64(number).ok_or_else(|| {
        ValueError::new(
            "NaN and infinities are no JSON numbers; send a finite number or leave it out",
        )
    })
}

/// Writes a JSON object as a structure. Integers beyond 2^53 lose their last digits, as protobuf has doubles only.
pub fn structure(object: &Map<String, serde_json::Value>) -> Struct {
    Struct {
        fields: object
            .iter()
            .map(|(key, value)| (key.clone(), wire_value(value)))
            .collect(),
    }
}

fn wire_value(value: &serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(flag) => Kind::BoolValue(*flag),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(values) => Kind::ListValue(prost_types::ListValue {
            values: values.iter().map(wire_value).collect(),
        }),
        serde_json::Value::Object(object) => Kind::StructValue(structure(object)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as js;

    fn object(value: serde_json::Value) -> Map<String, serde_json::Value> {
        match value {
            serde_json::Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn json_goes_over_the_wire_and_back() {
        let value = object(js!({
            "order": {"id": "4711", "lines": [{"n": 1, "price": "9.99"}, null, true, -0.5]},
            "big": 9_007_199_254_740_992_i64,
            "far": 1e300
        }));
        // Structures are sorted by key; JSON objects compare without order.
        assert_eq!(json(structure(&value)), Ok(value));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        let number = |number| Value {
            kind: Some(Kind::NumberValue(number)),
        };
        for bad in [
            number(f64::NAN),
            number(f64::INFINITY),
            Value { kind: None },
        ] {
            let list = Value {
                kind: Some(Kind::ListValue(prost_types::ListValue {
                    values: vec![number(1.0), bad],
                })),
            };
            let wire = Struct {
                fields: [("a/b".to_owned(), list)].into(),
            };
            assert_eq!(json(wire).unwrap_err().pointer, "/a~1b/1");
        }
    }

    #[test]
    fn times_are_read_back_and_bad_ones_refused() {
        for text in ["1969-12-31T23:59:59.5Z", "2026-11-22T14:03:11.000000001Z"] {
            let instant: Timestamp = text.parse().unwrap();
            assert!(NANOS.contains(&wire_time(instant).nanos), "{text}");
            assert_eq!(time(&wire_time(instant)), Ok(instant));
        }
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            assert!(time(&prost_types::Timestamp { seconds, nanos }).is_err());
        }
    }

    #[test]
    fn a_duration_is_not_negative() {
        for (seconds, nanos) in [(-1, 0), (0, -1), (1, 1_000_000_000)] {
            assert!(duration(&prost_types::Duration { seconds, nanos }).is_err());
        }
        let wire = prost_types::Duration {
            seconds: 3,
            nanos: 4,
        };
        assert_eq!(duration(&wire).map(wire_duration), Ok(wire));
    }
}
