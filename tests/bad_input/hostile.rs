//! Strings that try to break out, from a seed: line ends of all kinds, syntax of headers and SMTP, encodings, directions, words
//! without an end, and characters from everywhere.

/// Pieces that a string is made of, beside characters at random.
const PIECES: [&str; 32] = [
    "\r\nBcc: evil@x.example\r\n",
    "\nSubject: other\n",
    "\rFrom: evil@x.example\r",
    "\r.\r",
    "\n.\n",
    "\r\n.\r\n",
    "\r\n.\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<evil@x.example>\r\nDATA\r\n",
    "\r\n\r\n--=_alternative_",
    "\r\n--=_mixed_x--\r\n",
    "=?utf-8?q?=0D=0ABcc:_evil@x.example?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAeC5leGFtcGxl?=",
    "\" <evil@x.example>, \"",
    "<evil@x.example>",
    ")(,;:\\\"[]@<>",
    "\0",
    "\u{1}\u{8}\u{b}\u{c}\u{1b}[31m\u{7f}",
    "\u{85}\u{2028}\u{2029}",
    "\u{202e}txt.exe\u{2066}",
    "\u{200b}\u{feff}\u{ad}",
    "From ",
    "\r\nFrom \r\n.hidden",
    "..",
    "=20=\r\n=",
    "=0D=0A",
    " \t \r\n \t",
    "\\ud800\u{fffd}\u{10ffff}",
    "👩\u{200d}🚀🎂",
    "e\u{301}\u{35c}",
    "../../etc/passwd",
    "{{secret}}{{{raw}}}${x}%s",
    "<script>alert(1)</script>&amp;",
    "RFC 822; name=\"x\"; filename*=utf-8''%0d%0a",
];

/// SplitMix64: the same strings for the same seed, on every machine.
pub(crate) struct Hostile(u64);

impl Hostile {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// A string of 0 to 4 pieces.
    pub(crate) fn string(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.below(5) {
            match self.below(8) {
                0..4 => text.push_str(PIECES[self.below(PIECES.len())]),
                4 => text.push_str(&"x".repeat(self.below(1_500))),
                5 => text.push_str(&"ü".repeat(self.below(400))),
                6 => (0..self.below(40))
                    .for_each(|_| text.push(char::from(u8::try_from(self.below(128)).unwrap()))),
                _ => (0..self.below(20)).for_each(|_| text.push(self.anything())),
            }
        }
        text
    }

    /// Any character that there is.
    fn anything(&mut self) -> char {
        loop {
            let code = u32::try_from(self.below(0x11_0000)).unwrap();
            if let Some(found) = char::from_u32(code) {
                return found;
            }
        }
    }

    /// A string cut to a field's length, in half of the cases; in half of those without control characters.
    pub(crate) fn within(&mut self, max: usize) -> String {
        let text = self.string();
        match self.below(4) {
            0 => text.chars().take(max).collect(),
            1 => text.chars().filter(|c| !c.is_control()).take(max).collect(),
            _ => text,
        }
    }
}
