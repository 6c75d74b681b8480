//! How many segments a text message takes (3GPP TS 23.038): GSM-7 160 or 153 septets, UCS-2 70 or 67 units.

use std::fmt;

/// How a text is encoded on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The default alphabet, extension characters count twice.
    Gsm7,
    /// UTF-16 units.
    Ucs2,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        })
    }
}

/// The size of a text on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// How many segments; 0 for no text.
    pub count: u32,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Septets or UTF-16 units.
    pub units: u32,
}

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION: &str = "^{}\\[~]|€\u{c}";

/// Septets of a character in GSM-7; `None` if it is not in the alphabet.
pub fn gsm7_septets(character: char) -> Option<u32> {
    if BASIC.contains(character) {
        Some(1)
    } else if EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

/// Counts the segments of a text; a two-unit character is never cut in half.
pub fn segments(text: &str) -> Segments {
    let septets: Option<Vec<u32>> = text.chars().map(gsm7_septets).collect();
    let (encoding, widths, single, multi) = match septets {
        Some(widths) => (Encoding::Gsm7, widths, 160, 153),
        None => (
            Encoding::Ucs2,
            text.chars()
                .map(|c| if c.len_utf16() == 2 { 2 } else { 1 })
                .collect(),
            70,
            67,
        ),
    };
    let units: u32 = widths.iter().sum();
    let count = if units == 0 {
        0
    } else if units <= single {
        1
    } else {
        let mut count = 1;
        let mut room = multi;
        for width in widths {
            if width > room {
                count += 1;
                room = multi;
            }
            room -= width;
        }
        count
    };
    Segments {
        count,
        encoding,
        units,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_both_alphabets() {
        let of = |text: &str| (segments(text).count, segments(text).encoding);
        assert_eq!(of(""), (0, Encoding::Gsm7));
        assert_eq!(of(&"a".repeat(160)), (1, Encoding::Gsm7));
        assert_eq!(of(&"a".repeat(161)), (2, Encoding::Gsm7));
        assert_eq!(of(&"a".repeat(306)), (2, Encoding::Gsm7));
        assert_eq!(of(&"a".repeat(307)), (3, Encoding::Gsm7));
        assert_eq!(of(&"€".repeat(80)), (1, Encoding::Gsm7));
        // 153 is odd: one septet of each segment stays empty.
        assert_eq!(of(&"€".repeat(153)), (3, Encoding::Gsm7));
        assert_eq!(of(&"ç".repeat(70)), (1, Encoding::Ucs2));
        assert_eq!(of(&format!("{}🎂", "a".repeat(69))), (2, Encoding::Ucs2));
    }
}
