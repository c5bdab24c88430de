//! Where something stands in a file.

/// A line and a column, both counted from 1; columns count characters. Places of several files are in the files' order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The number of the file among those that are read together, counted from 0.
    pub file: u16,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}
