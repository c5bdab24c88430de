//! The pictures of a mail: they are parts of its content beside the texts, in base64, and its HTML calls them by their ids.
//!
//! Pure. It must never know who looks at the mail.

use crate::model::Content;

/// What the name of a part begins with that is a picture.
const PICTURE: &str = "image/";

/// Whether a part of this name is a picture, and no text that somebody could read.
pub fn is_picture(part: &str) -> bool {
    part.starts_with(PICTURE)
}

/// The HTML of a mail with its pictures inside.
pub fn page_of(content: &Content) -> String {
    let pictures = content.parts.iter().filter_map(|(name, file)| Some((name.strip_prefix(PICTURE)?, file)));
    let is_base64 = |file: &str| file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    pictures.filter(|(_, file)| is_base64(file)).fold(content.part("html").to_string(), |html, (name, file)| {
        let id = name.trim_end_matches(".png");
        html.replace(&format!("cid:{id}@nightbell"), &format!("data:image/png;base64,{file}"))
    })
}
