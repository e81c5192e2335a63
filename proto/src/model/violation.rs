//! What is wrong with a definition: all of it, each with the path of its field.

use std::fmt;

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `endpoints[0].weight`; empty for the whole definition.
    pub field: String,
    /// What is wrong, with the value and the limit.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            return f.write_str(&self.description);
        }
        write!(f, "{}: {}", self.field, self.description)
    }
}

/// All violations found, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Starts with none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the list of one violation.
    pub fn one(field: impl Into<String>, description: impl Into<String>) -> Self {
        let mut violations = Self::new();
        violations.push(field, description);
        violations
    }

    /// Adds one.
    pub fn push(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation {
            field: field.into(),
            description: description.into(),
        });
    }

    /// Adds all of `others`, their paths below `prefix`.
    pub fn extend_under(&mut self, prefix: &str, others: Self) {
        for Violation { field, description } in others.0 {
            let field = match (prefix.is_empty(), field.is_empty()) {
                (true, _) => field,
                (false, true) => prefix.to_owned(),
                (false, false) => format!("{prefix}.{field}"),
            };
            self.0.push(Violation { field, description });
        }
    }

    /// Tells whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Visits each violation.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.0.iter()
    }

    /// Returns `value` if nothing is wrong.
    ///
    /// # Errors
    /// The violations, when there is one.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Violations {
    type Item = &'a Violation;
    type IntoIter = std::slice::Iter<'a, Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Violation> for Violations {
    fn from_iter<I: IntoIterator<Item = Violation>>(violations: I) -> Self {
        Self(violations.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extending_puts_paths_below_the_prefix() {
        let mut inner = Violations::one("weight", "0 is out of range");
        inner.push("", "is odd");
        let mut outer = Violations::new();
        outer.extend_under("endpoints[3]", inner);
        assert_eq!(
            outer.to_string(),
            "endpoints[3].weight: 0 is out of range\nendpoints[3]: is odd"
        );
        assert!(outer.into_result(()).is_err());
    }
}
