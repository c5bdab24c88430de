//! Tokens, and the ids of sessions: 256 random bits, of which the store keeps the SHA-256 alone.
//!
//! A digest without salt or many rounds is enough here: nobody guesses 256 random bits, and there is no password in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::error::DeskError;
use crate::coding::hex;

/// What every token begins with, so that people and scanners of leaked secrets know one when they see it.
pub const TOKEN_HEAD: &str = "nb_";

/// A new token, to be shown once.
///
/// # Errors
/// [`DeskError::Random`].
pub fn new_token() -> Result<String, DeskError> {
    Ok(format!("{TOKEN_HEAD}{}", new_secret()?))
}

/// 256 random bits as text.
///
/// # Errors
/// [`DeskError::Random`].
pub fn new_secret() -> Result<String, DeskError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| DeskError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What the store keeps of a token or of the id of a session.
pub fn hash_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_alike_in_form_alone() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), one.get(..3)), (46, Some("nb_")));
        assert_eq!(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
