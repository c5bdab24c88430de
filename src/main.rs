//! The nightbell program.

fn main() {}
