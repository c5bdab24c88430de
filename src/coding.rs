//! Hexadecimal and percent coding, each in one place.
//!
//! Pure. It must never know what the bytes mean.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, and a path's slashes stay.
const RESERVED_IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');

/// Bytes in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// The bytes that a hexadecimal text stands for; `None` when it is none.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = text.as_bytes().iter().map(digit).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Bytes with everything but RFC 3986's unreserved characters percent-encoded.
pub fn percent_encoded(bytes: impl AsRef<[u8]>) -> String {
    percent_encode(bytes.as_ref(), RESERVED).to_string()
}

/// The same for a whole path, whose slashes stay.
pub fn percent_encoded_path(path: &str) -> String {
    percent_encode(path.as_bytes(), RESERVED_IN_PATHS).to_string()
}

/// The bytes of a percent-encoded text; a `%` without two digits stands for itself.
pub fn percent_decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_without_digits_stand_for_themselves() {
        assert_eq!(percent_decoded("%e6%97%a5%2F%2"), "日/%2".as_bytes());
        assert_eq!(percent_decoded("100%+%zz"), b"100%+%zz");
    }

    #[test]
    fn what_is_encoded_comes_back() {
        let text = "a/b c%?#日~_-.";
        assert_eq!(percent_encoded(text), "a%2Fb%20c%25%3F%23%E6%97%A5~_-.");
        assert_eq!(percent_encoded_path(text), "a/b%20c%25%3F%23%E6%97%A5~_-.");
        assert_eq!(percent_decoded(&percent_encoded(text)), text.as_bytes());
        assert_eq!(unhex(&hex(b"\x00\xffz")).as_deref(), Some(b"\x00\xffz".as_slice()));
        for wrong in ["0", "0g", "+1", " 12"] {
            assert_eq!(unhex(wrong), None, "{wrong:?}");
        }
    }
}
