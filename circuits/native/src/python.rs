//! The Python boundary: buffers in, buffers out. The lock is released, and no panic crosses.

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{Error, Result};
use crate::{field, poseidon};

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::Invalid(message) => PyValueError::new_err(message),
            Error::Io(error, path) => match error.raw_os_error() {
                Some(code) => PyOSError::new_err((code, error.to_string(), path)),
                None => PyOSError::new_err(format!("{path}: {error}")),
            },
            Error::Python(error) => error,
        }
    }
}

/// Runs `work` without the interpreter lock; a panic becomes `RuntimeError`.
fn guard<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    match outcome {
        Ok(result) => result.map_err(PyErr::from),
        Err(payload) => {
            let reason = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            Err(PyRuntimeError::new_err(format!(
                "the proving core failed ({reason}): this is a bug, report it"
            )))
        }
    }
}

#[pyfunction]
#[pyo3(name = "poseidon")]
fn py_poseidon<'py>(py: Python<'py>, arity: usize, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let out = guard(py, || {
        let inputs = field::parse_all(data, "Poseidon input")?;
        Ok(field::encode_all(&poseidon::batch(arity, &inputs)?))
    })?;
    Ok(PyBytes::new(py, &out))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(py_poseidon, module)?)
}
