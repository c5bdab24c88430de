//! The error body of a Huawei Cloud service: a code and words, under whatever keys, however deep.
//!
//! Pure. The services and the gateways before them do not agree on the keys, and the vendor's own client looks for all of
//! them too.

use serde_json::Value;

use crate::limits::SOURCE_ERROR_BODY_BYTES_MAX;

/// An error body's code and words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Complaint {
    /// `APIGW.0301`, `DLF.0819`, `401`.
    pub code: Option<String>,
    /// What is said beside it.
    pub words: Option<String>,
}

impl Complaint {
    /// What a body complains of; nothing when it is none, or too long to be one.
    pub fn read(body: &[u8]) -> Complaint {
        if body.len() > SOURCE_ERROR_BODY_BYTES_MAX {
            return Complaint::default();
        }
        let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        Complaint::find(&value).unwrap_or_default()
    }

    /// The first pair of known keys, in the object itself or in any object inside it. The parser bounds the depth.
    fn find(value: &Value) -> Option<Complaint> {
        let object = value.as_object()?;
        for (code, words) in [("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")] {
            let text = |key: &str| match object.get(key)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            let found = Complaint { code: text(code), words: text(words) };
            if found != Complaint::default() {
                return Some(found);
            }
        }
        object.values().find_map(Complaint::find)
    }

    /// The number of the code: 301 of `APIGW.0301`.
    pub fn number(&self) -> Option<u32> {
        self.code.as_deref()?.rsplit('.').next()?.parse().ok()
    }
}
