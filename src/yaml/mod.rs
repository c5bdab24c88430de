//! YAML text to a tree in which every value knows its line and column, and the reading of that tree with diagnostics.
//!
//! [`parse`] makes the tree; [`Section`] reads one mapping of it key by key, so that each problem is reported with its
//! place and key path, all of them in one run; [`Keys`] is the table of what such a mapping may hold. Sources and receivers
//! read their own sections with them. The parser is used here and nowhere else. This module knows nothing of what the keys
//! mean.
//!
//! Fails with diagnostics only; a broken file yields whatever could still be read of it.

mod diagnostic;
mod duplicates;
mod fault;
mod keys;
mod located;
mod node;
mod parser;
mod place;
mod section;
mod value;

pub use diagnostic::{Diagnostic, Diagnostics, FileText, Level, NotedSecret, closest};
pub use keys::{Key, Keys, Kinds, Shape, Words, json_of};
pub use located::FromYaml;
pub use located::Located;
pub use node::{Entry, Node, Origin, Scalar, Value};
pub use parser::{Environment, parse, parse_file};
pub use place::Place;
pub use section::Section;
pub use value::{OneOrMany, SECRET, duration_text, full_duration_text, parse_duration};
