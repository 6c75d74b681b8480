//! The twilio provider.
