//! L6: settings.
