//! A saved answer of a scheduler, read from its file.
//!
//! Reads one file, and no more of it than a source reads of an answer: a path may lead to something that never ends. It
//! knows nothing of what the answer says.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::limits::SOURCE_BODY_BYTES_MAX;

/// The bytes of a saved answer.
///
/// # Errors
/// When it cannot be read, or is larger than any answer that is read, in words that name the file.
pub fn read_saved(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let mut body = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(SOURCE_BODY_BYTES_MAX as u64 + 1).read_to_end(&mut body).map_err(cannot)?;
    if body.len() > SOURCE_BODY_BYTES_MAX {
        return Err(format!("{shown} is larger than any answer that is read ({} MiB)", SOURCE_BODY_BYTES_MAX >> 20));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_far_as_one_may_be_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("answer.json");
        let of = |length: usize| {
            std::fs::write(&path, vec![b' '; length]).unwrap();
            read_saved(&path)
        };
        assert_eq!(of(SOURCE_BODY_BYTES_MAX).unwrap().len(), SOURCE_BODY_BYTES_MAX);
        assert!(of(SOURCE_BODY_BYTES_MAX + 1).unwrap_err().contains("larger than any answer"));
        assert!(read_saved(Path::new("/dev/zero")).unwrap_err().contains("larger than any answer"));
        assert!(read_saved(directory.path()).unwrap_err().contains("cannot be read"));
    }
}
