//! Proto3 JSON of the wire types, in both directions, by the descriptors that the build wrote.
//!
//! Reading takes camelCase and original names and refuses unknown fields, so that a slip of the pen in a file is told
//! and not dropped. Writing follows the mapping of protobuf exactly: camelCase, names of enum values, RFC 3339 times,
//! 64-bit numbers as text.

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};

/// The descriptors, ready for use.
#[derive(Clone, Debug)]
pub struct JsonCodec {
    pool: DescriptorPool,
}

impl JsonCodec {
    /// Reads the compiled-in descriptors.
    ///
    /// # Errors
    /// Never, as long as the build wrote them; a test reads them.
    pub fn new() -> Result<Self, String> {
        DescriptorPool::decode(super::DESCRIPTORS)
            .map(|pool| Self { pool })
            .map_err(|error| format!("the compiled-in descriptors cannot be read: {error}"))
    }

    fn descriptor(&self, message: &str) -> Result<MessageDescriptor, String> {
        self.pool
            .get_message_by_name(&format!("tidings.v1.{message}"))
            .ok_or_else(|| format!("{message} is not in the compiled-in descriptors"))
    }

    /// Reads the message of that name (without its package) from JSON.
    ///
    /// # Errors
    /// A sentence that says where and what is wrong.
    pub fn read<M: Message + Default>(&self, message: &str, text: &str) -> Result<M, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let dynamic = DynamicMessage::deserialize_with_options(
            self.descriptor(message)?,
            &mut json,
            &options,
        )
        .map_err(|error| error.to_string())?;
        json.end().map_err(|error| error.to_string())?;
        dynamic.transcode_to().map_err(|error| error.to_string())
    }

    /// Writes a message of that name (without its package) as JSON.
    ///
    /// # Errors
    /// A sentence, when the message is not of that name or holds a time that RFC 3339 has no words for.
    pub fn write<M: Message>(&self, message: &str, value: &M) -> Result<serde_json::Value, String> {
        let mut dynamic = DynamicMessage::new(self.descriptor(message)?);
        dynamic
            .transcode_from(value)
            .map_err(|error| error.to_string())?;
        dynamic
            .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{SendNotificationRequest, notification_intent::Recipient};

    #[test]
    fn both_spellings_are_read_and_one_is_written() {
        let codec = JsonCodec::new().unwrap();
        for text in [
            r#"{"intent":{"customerId":"c-1","template":"order.shipped","variables":{"n":1},"sendTime":"2026-11-22T10:00:00Z"},"requestId":"r"}"#,
            r#"{"intent":{"customer_id":"c-1","template":"order.shipped","variables":{"n":1},"send_time":"2026-11-22T10:00:00Z"},"request_id":"r"}"#,
        ] {
            let request: SendNotificationRequest =
                codec.read("SendNotificationRequest", text).unwrap();
            let intent = request.intent.as_ref().unwrap();
            assert_eq!(
                intent.recipient,
                Some(Recipient::CustomerId("c-1".to_owned()))
            );
            let written = codec.write("SendNotificationRequest", &request).unwrap();
            assert_eq!(written["intent"]["customerId"], "c-1");
            assert_eq!(written["intent"]["sendTime"], "2026-11-22T10:00:00Z");
        }
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        let codec = JsonCodec::new().unwrap();
        let deep = format!(
            "{{\"intent\":{{\"variables\":{{\"a\":{}1{}}}}}}}",
            "[".repeat(500),
            "]".repeat(500)
        );
        for text in [
            "",
            "[]",
            "{\"intent\":{\"templat\":\"x\"}}",
            "{\"intent\":{\"template\":5}}",
            "{} {}",
            "{\"intent\":{\"variables\":{\"n\":1e400}}}",
            "{\"intent\":{\"routing\":{\"method\":\"METHOD_SOMETIMES\"}}}",
            "{\"intent\":{\"sendTime\":\"tomorrow\"}}",
            &deep,
        ] {
            let read = codec.read::<SendNotificationRequest>("SendNotificationRequest", text);
            assert!(read.is_err(), "{text:.60}: {read:?}");
        }
    }
}
