//! What a bench may take at most: it prints all of its figures, and fails at its end when one of them misses its bar.

/// The figures that have missed their bars.
#[derive(Default)]
pub(crate) struct Bars(Vec<String>);

impl Bars {
    /// Takes note of a figure that may be `bar` at most.
    pub(crate) fn hold(&mut self, what: &str, figure: f64, bar: f64) {
        // What is no number misses every bar.
        if figure.is_nan() || figure > bar {
            self.0.push(format!("{what}: {figure:.2}, and may be {bar}"));
        }
    }

    /// Ends the bench: with an error where a bar was missed.
    pub(crate) fn end(self) {
        assert!(self.0.is_empty(), "missed: {}", self.0.join("; "));
    }
}
