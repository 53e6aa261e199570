//! Why the book refused something: one sentence for whoever called.

use std::fmt;

/// A refusal. Nothing of the book has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

pub type Result<T> = std::result::Result<T, Refused>;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// `Err(Refused(..))` from a format string.
#[macro_export]
macro_rules! refuse {
    ($($arg:tt)*) => { Err($crate::error::Refused(format!($($arg)*))) };
}
