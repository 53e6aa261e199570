//! The one error of the core: a sentence for whoever called, and which Python class carries it.

use std::fmt;
use std::path::Path;

/// Why an operation was refused.
#[derive(Debug)]
pub enum Error {
    /// What the caller gave is malformed: `ValueError`.
    Invalid(String),
    /// A proving key is malformed, or changed while it was used: `MalformedKeyError`, a `ValueError`.
    Key(String),
    /// The operating system refused: `OSError`.
    Io(std::io::Error, String),
    /// The caller's callback raised, or the process was interrupted: passed on as it is.
    Python(pyo3::PyErr),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The error as the key's fault.
    pub fn of_key(self) -> Error {
        match self {
            Error::Invalid(message) => Error::Key(message),
            other => other,
        }
    }

    /// An I/O error that names the file it concerns.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |error| Error::Io(error, path.display().to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(message) | Error::Key(message) => f.write_str(message),
            Error::Io(error, path) => write!(f, "{path}: {error}"),
            Error::Python(error) => error.fmt(f),
        }
    }
}

/// `Err(Error::Invalid(..))` from a format string.
#[macro_export]
macro_rules! invalid {
    ($($arg:tt)*) => { Err($crate::error::Error::Invalid(format!($($arg)*))) };
}
