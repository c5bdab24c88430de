//! The key `paging`: how a list is divided into pages.
//!
//! Reads keys of the configuration and reports what is wrong with them.

use super::fill::Name;
use super::pages::{Mark, Paging, PagingSettings};
use super::pointer::Pointer;
use super::request::RequestSettings;
use crate::yaml::{Key, Keys, Section, Shape, closest};

pub(super) const PAGING_KEY: Key = Key::new("paging", Shape::Mapping(&PAGING), "How the list is divided into pages.");

static PAGING: Keys = Keys::of(
    "http_paging",
    "How a list is divided into pages.",
    &[&[
        Key::new("kind", Shape::Word(paging_words), "How a page is requested.").required().example("page"),
        Key::new("first", Shape::Whole, "The number of the first page.").default("1"),
        Key::new("pointer", Shape::Text, "Where the answer has the next cursor or address."),
        Key::new("row", Shape::Text, "Where the last row has the next cursor."),
        Key::new("header", Shape::Flag, "Whether the next address stands in the header Link.").default("false"),
        Key::new("total", Shape::Text, "Where the list counts its rows."),
        Key::new("more", Shape::Text, "Where it says whether there is more."),
        Key::new("max_pages", Shape::Whole, "With more pages than this, something is wrong.").default("100"),
        Key::new("newest_first", Shape::Flag, "Whether reading can end where the window begins.").default("false"),
    ]],
);

fn paging_words() -> Vec<&'static str> {
    PAGINGS.iter().map(|(word, _)| *word).collect()
}

/// The kinds of paging, each with the place that a request needs for it.
const PAGINGS: [(&str, Option<Name>); 5] = [
    ("none", None),
    ("page", Some(Name::Page)),
    ("offset", Some(Name::Offset)),
    ("cursor", Some(Name::Cursor)),
    ("link", None),
];

/// Reads the key `paging` of a list; `None` means reported.
pub(super) fn read_paging(section: &Section<'_>, request: Option<&RequestSettings>) -> Option<PagingSettings> {
    let none = PagingSettings { paging: Paging::None, total: None, more: None, pages_max: 1, is_newest_first: false };
    if !section.has("paging") {
        let _ = section.node("paging");
        let places = request.map(RequestSettings::names).unwrap_or_default();
        if let Some(name) = places.iter().find(|name| matches!(name, Name::Page | Name::Offset | Name::Cursor)) {
            let word = format!("{name:?}").to_lowercase();
            section.error(
                "",
                format!("the request has a {{{{{word}}}}}, and \"paging\" is missing"),
                Some(format!("write paging: {{ kind: {word} }}")),
            );
            return None;
        }
        return Some(none);
    }
    let paging = section.section("paging")?;
    let word = paging.required::<String>("kind")?;
    let (first, pages_max) = (paging.or_default::<u32>("first"), paging.or_default::<u32>("max_pages"));
    let (total, more) = (paging.optional("total"), paging.optional("more"));
    let is_newest_first = paging.or_default::<bool>("newest_first");
    let (pointer, row, header) =
        (paging.optional::<Pointer>("pointer"), paging.optional::<Pointer>("row"), paging.or_default::<bool>("header"));
    let kind = match (word.as_str(), pointer, row) {
        ("none", None, None) => Paging::None,
        ("page", None, None) => Paging::Page(u64::from(first)),
        ("offset", None, None) => Paging::Offset,
        ("cursor", Some(pointer), None) => Paging::Cursor(Mark::Answer(pointer)),
        ("cursor", None, Some(row)) => Paging::Cursor(Mark::LastRow(row)),
        ("link", Some(pointer), None) if !header => Paging::Link(Some(pointer)),
        ("link", None, None) if header => Paging::Link(None),
        (known, ..) if PAGINGS.iter().any(|(word, _)| *word == known) => {
            let help = match known {
                "cursor" => {
                    "\"pointer\" says where the answer has the next cursor, or \"row\" where the last row has it"
                }
                "link" => {
                    "\"pointer\" says where the answer has the next address, or header: true that it is in the header Link"
                }
                _ => "\"pointer\" and \"row\" belong to cursor and link",
            };
            paging.error("kind", format!("the keys do not fit {known}"), Some(help.into()));
            return None;
        }
        (other, ..) => {
            let near = closest(other, PAGINGS.map(|(word, _)| word)).map(|near| format!("did you mean {near:?}?"));
            let help = near.unwrap_or_else(|| "one of none, page, offset, cursor, link".to_string());
            paging.error("kind", format!("there is no paging {other:?}"), Some(help));
            return None;
        }
    };
    let needed = PAGINGS.iter().find(|(known, _)| *known == word).and_then(|(_, name)| *name);
    if let (Some(needed), Some(request)) = (needed, request)
        && !request.names().contains(&needed)
    {
        paging.error(
            "kind",
            format!("the request has no {{{{{word}}}}}"),
            Some(format!("write query: {{ name: \"{{{{{word}}}}}\" }}, or put it into the body")),
        );
        return None;
    }
    paging.close();
    Some(PagingSettings { paging: kind, total, more, pages_max: pages_max.max(1) as usize, is_newest_first })
}
