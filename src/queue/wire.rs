//! The body of a job on a broker: ids, a fence and words, never an address, a name or content.
//!
//! Protobuf, so that another release may add fields: those that are not known are passed over. A reader refuses every
//! schema version but its own, for that changes only when the meaning of a field does. What is refused is a word, not an
//! error text: nothing of a foreign body is shown anywhere.

use prost::Message as _;

use super::Job;
use crate::domain::channel::{Channel, Lane};
use crate::domain::id::MessageId;

/// What a body is declared to be.
pub const CONTENT_TYPE: &str = "application/x-tidings-job";
/// The meaning of the fields below.
const SCHEMA: u32 = 1;
/// Ours have about 70 bytes; a trace context may add some hundred.
pub const BODY_MAX_BYTES: usize = 4096;

/// The fields. A number that was used once is never used for anything else.
#[derive(Clone, PartialEq, prost::Message)]
struct Body {
    #[prost(uint32, tag = "1")]
    schema: u32,
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    message: Vec<u8>,
    #[prost(int64, tag = "3")]
    fence: i64,
    #[prost(string, tag = "4")]
    channel: String,
    #[prost(string, tag = "5")]
    lane: String,
    /// W3C trace context; empty where nothing is traced.
    #[prost(string, tag = "6")]
    traceparent: String,
    #[prost(string, tag = "7")]
    tracestate: String,
}

/// Why a body is no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has no bytes.
    Empty,
    /// It is longer than any job of ours.
    TooLong,
    /// It is declared to be something else, or nothing.
    ContentType,
    /// Its bytes are not our fields.
    Garbled,
    /// It is of a schema version that this release does not know.
    Version,
    /// Its message id is missing, malformed or not the one of its property.
    MessageId,
    /// It is meant for another queue than the one it came from.
    Place,
}

impl Unreadable {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Empty,
        Self::TooLong,
        Self::ContentType,
        Self::Garbled,
        Self::Version,
        Self::MessageId,
        Self::Place,
    ];

    /// The word in metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::ContentType => "content_type",
            Self::Garbled => "garbled",
            Self::Version => "version",
            Self::MessageId => "message_id",
            Self::Place => "place",
        }
    }
}

/// A body as it came from a broker, with what was declared about it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The bytes.
    pub body: &'a [u8],
    /// The property `content_type`.
    pub content_type: Option<&'a str>,
    /// The property `message_id`.
    pub message_id: Option<&'a str>,
}

/// The body of a job.
pub fn encode(job: &Job) -> Vec<u8> {
    Body {
        schema: SCHEMA,
        message: job.message.as_bytes().to_vec(),
        fence: job.fence,
        channel: job.channel.as_str().to_owned(),
        lane: job.lane.as_str().to_owned(),
        ..Body::default()
    }
    .encode_to_vec()
}

/// Reads a body that came from the queue of `channel` and `lane`.
///
/// # Errors
/// Why it is no job.
pub fn decode(received: Received<'_>, channel: Channel, lane: Lane) -> Result<Job, Unreadable> {
    let Received {
        body,
        content_type,
        message_id,
    } = received;
    if body.is_empty() {
        return Err(Unreadable::Empty);
    }
    if body.len() > BODY_MAX_BYTES {
        return Err(Unreadable::TooLong);
    }
    if content_type != Some(CONTENT_TYPE) {
        return Err(Unreadable::ContentType);
    }
    let body = Body::decode(body).map_err(|_| Unreadable::Garbled)?;
    if body.schema != SCHEMA {
        return Err(Unreadable::Version);
    }
    let message = MessageId::from_slice(&body.message).ok_or(Unreadable::MessageId)?;
    if message_id.and_then(MessageId::parse) != Some(message) {
        return Err(Unreadable::MessageId);
    }
    if body.channel != channel.as_str() || body.lane != lane.as_str() {
        return Err(Unreadable::Place);
    }
    Ok(Job {
        message,
        fence: body.fence,
        channel,
        lane,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::Ids;

    const HERE: (Channel, Lane) = (Channel::Email, Lane::Bulk);

    fn job() -> Job {
        Job {
            message: Ids::new().message(jiff::Timestamp::UNIX_EPOCH),
            fence: 7,
            channel: HERE.0,
            lane: HERE.1,
        }
    }

    fn body(job: &Job) -> Body {
        Body::decode(encode(job).as_slice()).unwrap()
    }

    fn read(job: &Job, body: &[u8]) -> Result<Job, Unreadable> {
        let id = job.message.to_string();
        let received = Received {
            body,
            content_type: Some(CONTENT_TYPE),
            message_id: Some(&id),
        };
        decode(received, HERE.0, HERE.1)
    }

    #[test]
    fn a_job_comes_back_as_it_was_and_is_small() {
        let job = Job {
            fence: i64::MAX,
            ..job()
        };
        let body = encode(&job);
        assert_eq!(read(&job, &body), Ok(job));
        assert!(body.len() < 100, "{} bytes", body.len());
    }

    /// What the next release may add, and what tracing will.
    #[test]
    fn what_a_newer_release_adds_is_passed_over() {
        let job = job();
        let mut newer = Body {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
            ..body(&job)
        }
        .encode_to_vec();
        // Field 15, text.
        newer.extend([0x7a, 3, b'n', b'e', b'w']);
        assert_eq!(read(&job, &newer), Ok(job));
    }

    /// Written by hand from the field numbers: a change of them would not be noticed by reading what was just written.
    #[test]
    fn the_form_of_version_1_does_not_change() {
        let message = MessageId::from_slice(&[7; 16]).unwrap();
        let job = Job { message, ..job() };
        let mut expected = vec![0x08, 1, 0x12, 16];
        expected.extend([7; 16]);
        expected.extend([0x18, 7, 0x22, 5]);
        expected.extend(b"email");
        expected.extend([0x2a, 4]);
        expected.extend(b"bulk");
        assert_eq!(encode(&job), expected);
        assert_eq!(read(&job, &expected), Ok(job));
    }

    #[test]
    fn what_is_no_job_is_refused_with_its_reason() {
        let job = job();
        let good = encode(&job);
        let change = |change: &dyn Fn(&mut Body)| {
            let mut body = body(&job);
            change(&mut body);
            body.encode_to_vec()
        };
        let cases = [
            (Vec::new(), Unreadable::Empty),
            (vec![0; BODY_MAX_BYTES + 1], Unreadable::TooLong),
            (b"\xff\xff\xff\xff".to_vec(), Unreadable::Garbled),
            (good[..good.len() - 1].to_vec(), Unreadable::Garbled),
            (b"{\"message\":1}".to_vec(), Unreadable::Garbled),
            (change(&|body| body.schema = 0), Unreadable::Version),
            (change(&|body| body.schema = 2), Unreadable::Version),
            (change(&|body| body.message.clear()), Unreadable::MessageId),
            (
                change(&|body| body.message = vec![1; 16]),
                Unreadable::MessageId,
            ),
            (
                change(&|body| body.channel = "sms".into()),
                Unreadable::Place,
            ),
            (change(&|body| body.lane = "Bulk".into()), Unreadable::Place),
        ];
        for (body, expected) in cases {
            assert_eq!(read(&job, &body), Err(expected), "{body:?}");
        }
        let id = job.message.to_string();
        let declared = |content_type, message_id| {
            let received = Received {
                body: &good,
                content_type,
                message_id,
            };
            decode(received, HERE.0, HERE.1)
        };
        assert_eq!(declared(None, Some(&id)), Err(Unreadable::ContentType));
        assert_eq!(
            declared(Some("application/json"), Some(&id)),
            Err(Unreadable::ContentType)
        );
        assert_eq!(
            declared(Some(CONTENT_TYPE), None),
            Err(Unreadable::MessageId)
        );
        assert_eq!(
            declared(Some(CONTENT_TYPE), Some("one")),
            Err(Unreadable::MessageId)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&job(), &bytes);
        }

        /// A body with a flipped bit is another fence at most, never another message.
        #[test]
        fn a_flipped_bit_never_names_another_message(place in 0_usize..1000, bit in 0_u8..8) {
            let job = job();
            let mut body = encode(&job);
            let place = place % body.len();
            body[place] ^= 1 << bit;
            if let Ok(read) = read(&job, &body) {
                prop_assert_eq!(Job { fence: job.fence, ..read }, job);
            }
        }
    }
}
