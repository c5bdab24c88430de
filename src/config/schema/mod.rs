//! The tables of keys, printed: as a JSON Schema, with which editors complete keys, explain them and mark what is misspelt,
//! and as a reference in Markdown, in each language.
//!
//! Pure: reads the tables and prints them. A schema says what a file looks like, not whether it makes sense: names that
//! point nowhere, conditions that contradict each other and patterns that do not compile are found by the readers alone. A
//! test holds both against each other, key by key.

mod print;
mod reference;
mod shapes;
mod tables;
mod texts;

pub(super) use self::print::schema;
pub(super) use self::reference::{reference, texts};
pub(super) use self::shapes::{any_case, flexible, one_or_many};
