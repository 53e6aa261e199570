//! The Python boundary: buffers in, buffers out. The lock is released, and no panic crosses.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::circuit::{Circuit, Parts};
use crate::error::{Error, Result};
use crate::key::ProvingKey;
use crate::verify::{self, Proof, VerifyingKey};
use crate::{batch_verify, field, invalid, poseidon, prove, python_ceremony, r1cs, setup, wtns};

pyo3::create_exception!(
    circuits._native,
    MalformedKeyError,
    PyValueError,
    "A proving key is malformed, or changed while it was used."
);

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::Invalid(message) => PyValueError::new_err(message),
            Error::Key(message) => MalformedKeyError::new_err(message),
            Error::Io(error, path) => match error.raw_os_error() {
                Some(code) => {
                    let text = error.to_string();
                    let reason = text.split(" (os error").next().unwrap_or_default().to_string();
                    PyOSError::new_err((code, reason, path))
                }
                None => PyOSError::new_err(format!("{path}: {error}")),
            },
            Error::Python(error) => error,
        }
    }
}

/// Runs `work`; a panic becomes its message.
fn caught<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let reason = text.or_else(|| payload.downcast_ref::<&str>().copied());
        reason.unwrap_or("no reason given").to_string()
    })
}

/// Runs `work` without the interpreter lock; a panic becomes `RuntimeError`.
pub(crate) fn guard<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    match py.detach(|| caught(work)) {
        Ok(result) => result.map_err(PyErr::from),
        Err(reason) => Err(PyRuntimeError::new_err(format!(
            "the proving core failed ({reason}): this is a bug, report it"
        ))),
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

type Csr<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// A constraint system and the program that computes its witness.
#[pyclass(name = "Circuit", module = "circuits._native", frozen)]
pub(crate) struct PyCircuit {
    pub(crate) inner: Circuit,
}

#[pymethods]
impl PyCircuit {
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        n_wires: u32,
        n_public: u32,
        n_inputs: u32,
        coefs: &[u8],
        a: Csr<'_>,
        b: Csr<'_>,
        c: Csr<'_>,
        h: Csr<'_>,
        program: &[u8],
    ) -> PyResult<Self> {
        let inner = guard(py, || {
            let coefs = field::parse_all(coefs, "coefficients")?;
            Circuit::from_parts(Parts {
                n_wires,
                n_public,
                n_inputs,
                coefs: &coefs,
                a: [a.0, a.1, a.2],
                b: [b.0, b.1, b.2],
                c: [c.0, c.1, c.2],
                h: [h.0, h.1, h.2],
                program,
            })
        })?;
        Ok(PyCircuit { inner })
    }

    #[staticmethod]
    fn read_r1cs(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = guard(py, || r1cs::read(&path))?;
        Ok(PyCircuit { inner })
    }

    fn write_r1cs(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        guard(py, || r1cs::write(&self.inner, &path))
    }

    fn witness<'py>(&self, py: Python<'py>, inputs: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let wires = guard(py, || {
            let inputs = field::parse_all(inputs, "inputs")?;
            self.inner.witness(&inputs)
        })?;
        // Straight into Python's own bytes: a copy of a large witness costs a tenth of making it.
        PyBytes::new_with(py, wires.len() * field::BYTES, |out| {
            field::encode_into(&wires, out);
            Ok(())
        })
    }

    fn tampered<'py>(
        &self,
        py: Python<'py>,
        inputs: &[u8],
        wires: Vec<u32>,
        values: &[u8],
    ) -> PyResult<(Bound<'py, PyBytes>, Vec<u32>)> {
        let (z, broken) = guard(py, || {
            let inputs = field::parse_all(inputs, "inputs")?;
            let values = field::parse_all(values, "forced value")?;
            if values.len() != wires.len() {
                return invalid!("tampered: {} values for {} wires", values.len(), wires.len());
            }
            let (z, broken) = self
                .inner
                .tampered(&inputs, &wires.into_iter().zip(values).collect())?;
            Ok((field::encode_all(&z), broken))
        })?;
        Ok((PyBytes::new(py, &z), broken))
    }

    fn first_violation(&self, py: Python<'_>, witness: &[u8]) -> PyResult<Option<usize>> {
        guard(py, || {
            let witness = field::parse_all(witness, "witness")?;
            self.inner.first_violation(&witness)
        })
    }

    #[getter]
    fn n_wires(&self) -> u32 {
        self.inner.n_wires
    }

    #[getter]
    fn n_public(&self) -> u32 {
        self.inner.n_public
    }

    #[getter]
    fn n_inputs(&self) -> u32 {
        self.inner.n_inputs
    }

    #[getter]
    fn n_constraints(&self) -> usize {
        self.inner.n_constraints()
    }

    #[getter]
    fn n_terms(&self) -> usize {
        self.inner.a.terms() + self.inner.b.terms() + self.inner.c.terms()
    }

    #[getter]
    fn domain_size(&self) -> usize {
        self.inner.domain_size()
    }
}

#[pyfunction]
fn write_wtns(py: Python<'_>, path: PathBuf, witness: &[u8]) -> PyResult<()> {
    guard(py, || wtns::write(&path, witness))
}

#[pyfunction]
fn read_wtns(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    let out = guard(py, || wtns::read(&path))?;
    Ok(PyBytes::new(py, &out))
}

#[pyfunction]
#[pyo3(signature = (circuit, path, progress = None))]
fn setup_dev(
    py: Python<'_>,
    circuit: &Bound<'_, PyCircuit>,
    path: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let circuit = &circuit.get().inner;
    guard(py, || {
        setup::dev(circuit, &path, &mut |done| {
            Python::attach(|py| {
                py.check_signals()?;
                if let Some(callback) = &progress {
                    callback.call1(py, (done,))?;
                }
                Ok(())
            })
            .map_err(Error::Python)
        })
    })
}

/// A `.zkey`, memory-mapped.
#[pyclass(name = "ProvingKey", module = "circuits._native", frozen)]
struct PyProvingKey {
    inner: ProvingKey,
}

#[pymethods]
impl PyProvingKey {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = guard(py, || ProvingKey::open(&path))?;
        Ok(PyProvingKey { inner })
    }

    #[pyo3(signature = (witness, check = true))]
    fn prove<'py>(&self, py: Python<'py>, witness: &[u8], check: bool) -> PyResult<Bound<'py, PyBytes>> {
        let proof = guard(py, || {
            self.inner.require_whole().map_err(Error::of_key)?;
            Ok(prove::prove(&self.inner, witness, check)?.encode())
        })?;
        Ok(PyBytes::new(py, &proof))
    }

    fn matches(&self, py: Python<'_>, circuit: &Bound<'_, PyCircuit>) -> PyResult<bool> {
        let circuit = &circuit.get().inner;
        guard(py, || {
            self.inner.require_whole()?;
            self.inner.matches(circuit)
        })
    }

    fn verifying_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.vk.encode())
    }

    #[getter]
    fn n_wires(&self) -> u32 {
        self.inner.header.n_wires
    }

    #[getter]
    fn n_public(&self) -> u32 {
        self.inner.header.n_public
    }

    #[getter]
    fn domain_size(&self) -> u32 {
        self.inner.header.domain_size
    }

    #[getter]
    fn contributions(&self) -> u32 {
        self.inner.contributions
    }
}

#[pyfunction]
#[pyo3(name = "verify")]
fn py_verify(py: Python<'_>, vk: &[u8], public: &[u8], proof: &[u8]) -> PyResult<bool> {
    guard(py, || {
        let vk = VerifyingKey::parse(vk)?;
        let public = field::parse_all(public, "public inputs")?;
        verify::verify(&vk, &public, &Proof::parse(proof)?)
    })
}

#[pyfunction]
fn verify_batch(py: Python<'_>, vk: &[u8], public: &[u8], proofs: &[u8]) -> PyResult<bool> {
    guard(py, || {
        let vk = VerifyingKey::parse(vk)?;
        let mut claims = Vec::new();
        for (index, claim) in batch_verify::parse(&vk, public, proofs)?.into_iter().enumerate() {
            match claim {
                Ok(claim) => claims.push(claim),
                Err(reason) => return invalid!("item {index}: {reason}"),
            }
        }
        batch_verify::all_hold(&vk, &claims.iter().collect::<Vec<_>>())
    })
}

#[pyfunction]
fn find_bad_proofs(
    py: Python<'_>,
    vk: &[u8],
    public: &[u8],
    proofs: &[u8],
) -> PyResult<Vec<(usize, Option<String>)>> {
    guard(py, || {
        let vk = VerifyingKey::parse(vk)?;
        let parsed = batch_verify::parse(&vk, public, proofs)?;
        let mut bad = Vec::new();
        let mut claims = Vec::new();
        for (index, claim) in parsed.iter().enumerate() {
            match claim {
                Ok(claim) => claims.push((index, claim)),
                Err(reason) => bad.push((index, Some(reason.to_string()))),
            }
        }
        let false_ones = batch_verify::find_bad(&vk, &claims)?;
        bad.extend(false_ones.into_iter().map(|index| (index, None)));
        bad.sort();
        Ok(bad)
    })
}

#[pyfunction]
fn alpha_beta<'py>(py: Python<'py>, vk: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let out = guard(py, || Ok(verify::alpha_beta(&VerifyingKey::parse(vk)?)))?;
    Ok(PyBytes::new(py, &out))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MalformedKeyError", module.py().get_type::<MalformedKeyError>())?;
    module.add_class::<PyCircuit>()?;
    module.add_class::<PyProvingKey>()?;
    module.add_class::<crate::book_python::PyBook>()?;
    module.add_function(wrap_pyfunction!(py_poseidon, module)?)?;
    module.add_function(wrap_pyfunction!(write_wtns, module)?)?;
    module.add_function(wrap_pyfunction!(read_wtns, module)?)?;
    module.add_function(wrap_pyfunction!(setup_dev, module)?)?;
    module.add_function(wrap_pyfunction!(alpha_beta, module)?)?;
    module.add_function(wrap_pyfunction!(verify_batch, module)?)?;
    module.add_function(wrap_pyfunction!(find_bad_proofs, module)?)?;
    module.add_function(wrap_pyfunction!(py_verify, module)?)?;
    python_ceremony::register(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| -> u8 { panic!("plain") }), Err("plain".to_string()));
        assert_eq!(caught(|| -> u8 { panic!("of {}", 3) }), Err("of 3".to_string()));
    }

    #[test]
    fn a_panic_in_a_parallel_task_is_caught() {
        use rayon::prelude::*;
        let sum = caught(|| {
            (0..100)
                .into_par_iter()
                .map(|i| if i == 50 { panic!("inside") } else { i })
                .sum::<i32>()
        });
        assert_eq!(sum, Err("inside".to_string()));
    }
}
