//! Conditions on history and clock as pure functions: every zone's changes of the clocks, labelled histories, and
//! random ones held against a plain reading of the words.

mod deadlines;
mod past;
mod usual;
