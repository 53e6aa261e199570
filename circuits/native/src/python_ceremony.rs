//! The Python boundary of the ceremony: powers of tau, first keys, contributions and transcripts.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::contribute;
use crate::error::{Error, Result};
use crate::invalid;
use crate::phase2;
use crate::powers;
use crate::ptau::Ptau;
use crate::python::{guard, PyCircuit};
use crate::transcript::{Beacon, SEED_BYTES};

type Callback = Option<Py<PyAny>>;
/// name, hash, and the iterations and value of a beacon.
type Entry<'py> = (String, Bound<'py, PyBytes>, Option<(u8, Bound<'py, PyBytes>)>);

/// Calls back with the share that is done; an exception or an interrupt stops the work.
fn report(callback: &Callback, done: f64) -> Result<()> {
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(callback) = callback {
            callback.call1(py, (done,))?;
        }
        Ok(())
    })
    .map_err(Error::Python)
}

fn seed(bytes: &[u8]) -> Result<[u8; SEED_BYTES]> {
    match bytes.try_into() {
        Ok(seed) => Ok(seed),
        Err(_) => invalid!("beacon: a seed has {SEED_BYTES} bytes, not {}", bytes.len()),
    }
}

#[pyfunction]
#[pyo3(signature = (path, power, prepared = true, name = "", progress = None))]
fn make_powers(
    py: Python<'_>,
    path: PathBuf,
    power: u32,
    prepared: bool,
    name: &str,
    progress: Callback,
) -> PyResult<()> {
    guard(py, || {
        powers::create(&path, power, prepared, name, &mut |done| report(&progress, done))
    })
}

#[pyfunction]
fn read_powers(py: Python<'_>, path: PathBuf) -> PyResult<(u32, u32, bool, u32)> {
    guard(py, || {
        let file = Ptau::open(&path)?;
        Ok((file.power, file.ceremony_power, file.prepared, file.contributions))
    })
}

#[pyfunction]
#[pyo3(signature = (circuit, powers, path, progress = None))]
fn setup_first_key<'py>(
    py: Python<'py>,
    circuit: &Bound<'_, PyCircuit>,
    powers: PathBuf,
    path: PathBuf,
    progress: Callback,
) -> PyResult<Bound<'py, PyBytes>> {
    let circuit = &circuit.get().inner;
    let hash = guard(py, || {
        phase2::first_key(circuit, &powers, &path, &mut |done| report(&progress, done))
    })?;
    Ok(PyBytes::new(py, &hash))
}

#[pyfunction(name = "contribute")]
#[pyo3(signature = (key, path, name, text, progress = None))]
fn py_contribute<'py>(
    py: Python<'py>,
    key: PathBuf,
    path: PathBuf,
    name: &str,
    text: &[u8],
    progress: Callback,
) -> PyResult<Bound<'py, PyBytes>> {
    let hash = guard(py, || {
        contribute::contribute(&key, &path, name, text, &mut |done| report(&progress, done))
    })?;
    Ok(PyBytes::new(py, &hash))
}

#[pyfunction]
#[pyo3(signature = (key, path, name, value, iterations, seed_bytes, progress = None))]
#[allow(clippy::too_many_arguments)]
fn apply_beacon<'py>(
    py: Python<'py>,
    key: PathBuf,
    path: PathBuf,
    name: &str,
    value: Vec<u8>,
    iterations: u8,
    seed_bytes: &[u8],
    progress: Callback,
) -> PyResult<Bound<'py, PyBytes>> {
    let hash = guard(py, || {
        let beacon = Beacon { iterations, value };
        contribute::apply_beacon(&key, &path, name, beacon, &seed(seed_bytes)?, &mut |done| {
            report(&progress, done)
        })
    })?;
    Ok(PyBytes::new(py, &hash))
}

#[pyfunction]
fn read_transcript(py: Python<'_>, path: PathBuf) -> PyResult<(Bound<'_, PyBytes>, Vec<Entry<'_>>)> {
    let transcript = guard(py, || contribute::read_transcript(&path))?;
    let entries = transcript
        .contributions
        .iter()
        .map(|contribution| {
            let beacon = contribution.beacon.as_ref();
            (
                contribution.name.clone(),
                PyBytes::new(py, &contribution.hash()),
                beacon.map(|beacon| (beacon.iterations, PyBytes::new(py, &beacon.value))),
            )
        })
        .collect();
    Ok((PyBytes::new(py, &transcript.circuit_hash), entries))
}

#[pyfunction]
fn check_transcript(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    guard(py, || contribute::check_transcript(&path))
}

#[pyfunction]
#[pyo3(signature = (key, first, seeds, progress = None))]
fn verify_ceremony(
    py: Python<'_>,
    key: PathBuf,
    first: PathBuf,
    seeds: Vec<Vec<u8>>,
    progress: Callback,
) -> PyResult<()> {
    guard(py, || {
        let seeds = seeds
            .iter()
            .map(|bytes| seed(bytes))
            .collect::<Result<Vec<_>>>()?;
        contribute::verify(&key, &first, &seeds, &mut |done| report(&progress, done))
    })
}

/// Adds this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(make_powers, module)?)?;
    module.add_function(wrap_pyfunction!(read_powers, module)?)?;
    module.add_function(wrap_pyfunction!(setup_first_key, module)?)?;
    module.add_function(wrap_pyfunction!(py_contribute, module)?)?;
    module.add_function(wrap_pyfunction!(apply_beacon, module)?)?;
    module.add_function(wrap_pyfunction!(read_transcript, module)?)?;
    module.add_function(wrap_pyfunction!(check_transcript, module)?)?;
    module.add_function(wrap_pyfunction!(verify_ceremony, module)?)
}
