//! The Python boundary of the book kernel (`aggregator/native`): buffers in, buffers out.
//!
//! Numbers of a policy are signed, 16 bytes, little-endian; an intercept has 32 bytes. A book is behind a lock, so that
//! calls from several threads wait for each other.

use std::sync::{Mutex, MutexGuard};

use counterfoil_book::book::{Amount, Book, Quantities, Rows, Update};
use counterfoil_book::error::Refused;
use counterfoil_book::policy::{Group, Header, Instrument, Line, LEVELS, LINES, MAX_CLASSES, SCENARIOS};
use counterfoil_book::scan::Kernel;
use counterfoil_book::tables::Tables;
use num_bigint::BigInt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{Error, Result};
use crate::invalid;
use crate::python::guard;

const WORD: usize = 16;
/// id, class, group, mark, unit, limit, add-ons (MM long, short, IM long, short), risk entries.
const INSTRUMENT: usize = WORD * (10 + SCENARIOS);
/// id, then slope and intercept of each line, MM first.
const GROUP: usize = WORD + LEVELS * LINES * 3 * WORD;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        Error::Invalid(refused.0)
    }
}

fn word(bytes: &[u8]) -> i128 {
    let mut word = [0; WORD];
    word.copy_from_slice(&bytes[..WORD]);
    i128::from_le_bytes(word)
}

fn records<'a>(bytes: &'a [u8], size: usize, what: &str) -> Result<std::slice::ChunksExact<'a, u8>> {
    if !bytes.len().is_multiple_of(size) {
        return invalid!("{what}: {} bytes, not a multiple of {size}", bytes.len());
    }
    Ok(bytes.chunks_exact(size))
}

fn fit<T: TryFrom<i128>>(value: i128, what: &str) -> Result<T> {
    match T::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => invalid!("{what} is {value}, out of its range; correct it"),
    }
}

fn instruments(bytes: &[u8]) -> Result<Vec<Instrument>> {
    let parse = |record: &[u8]| {
        let words: Vec<i128> = record.chunks_exact(WORD).map(word).collect();
        let mut addon = [[0; 2]; LEVELS];
        for (n, rate) in addon.iter_mut().flatten().enumerate() {
            *rate = fit(words[6 + n], "an add-on")?;
        }
        let mut risk = [0; SCENARIOS];
        risk.copy_from_slice(&words[10..]);
        Ok(Instrument {
            id: fit(words[0], "an instrument id")?,
            class: fit(words[1], "a class id")?,
            group: fit(words[2], "a group id")?,
            mark: words[3],
            unit: fit(words[4], "a unit")?,
            max_quantity: fit(words[5], "a quantity limit")?,
            addon,
            risk,
        })
    };
    records(bytes, INSTRUMENT, "instruments")?.map(parse).collect()
}

fn groups(bytes: &[u8]) -> Result<Vec<Group>> {
    let parse = |record: &[u8]| {
        let line = |n: usize| {
            let at = &record[WORD + n * 3 * WORD..][..3 * WORD];
            Line {
                slope: word(at),
                intercept: BigInt::from_signed_bytes_le(&at[WORD..]),
            }
        };
        Ok(Group {
            id: fit(word(record), "a group id")?,
            lines: std::array::from_fn(|v| std::array::from_fn(|n| line(v * LINES + n))),
        })
    };
    records(bytes, GROUP, "groups")?.map(parse).collect()
}

/// (number of classes, (f at MM, f at IM), correlations row by row).
type HeaderParts = (u8, (u64, u64), Vec<u64>);

fn header(parts: HeaderParts) -> Result<Header> {
    let (classes, (mm, im), given) = parts;
    let size = usize::from(classes);
    if size > MAX_CLASSES || given.len() != size * size {
        return invalid!(
            "{} correlations for {size} classes; give a square of at most {MAX_CLASSES}",
            given.len()
        );
    }
    let mut rho = [[0; MAX_CLASSES]; MAX_CLASSES];
    for (n, &value) in given.iter().enumerate() {
        rho[n / size][n % size] = value;
    }
    Ok(Header {
        classes,
        factor: [mm, im],
        rho,
    })
}

fn ids(bytes: &[u8]) -> Result<Vec<u16>> {
    Ok(records(bytes, 2, "instrument ids")?
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect())
}

fn longs(bytes: &[u8], what: &str) -> Result<Vec<i64>> {
    let long = |b: &[u8]| {
        let mut word = [0; 8];
        word.copy_from_slice(b);
        i64::from_le_bytes(word)
    };
    Ok(records(bytes, 8, what)?.map(long).collect())
}

fn positions(given: &[u8], quantities: &[u8]) -> Result<Vec<(u16, i128)>> {
    let ids = ids(given)?;
    let quantities: Vec<i128> = records(quantities, WORD, "quantities")?.map(word).collect();
    if ids.len() != quantities.len() {
        return invalid!(
            "{} instruments for {} quantities; give one each",
            ids.len(),
            quantities.len()
        );
    }
    Ok(ids.into_iter().zip(quantities).collect())
}

fn level(level: usize) -> Result<usize> {
    if level >= LEVELS {
        return invalid!("level {level} is not a margin level; 0 is MM and 1 is IM");
    }
    Ok(level)
}

fn amount(name: &str) -> Result<Amount> {
    Ok(match name {
        "equity_e20" => Amount::EquityE20,
        "requirement_e20" => Amount::RequirementE20,
        "requirement_e6" => Amount::RequirementE6,
        "excess_e6" => Amount::ExcessE6,
        _ => return invalid!("{name:?} is not an amount; see circuits/_native.pyi"),
    })
}

/// Many accounts under one policy.
#[pyclass(name = "Book", module = "circuits._native", frozen)]
pub struct PyBook {
    inner: Mutex<Book>,
}

impl PyBook {
    fn lock(&self) -> Result<MutexGuard<'_, Book>> {
        self.inner.lock().map_err(|_| {
            let reason = "the book failed in an earlier call and may be half changed; build it again";
            Error::Python(PyRuntimeError::new_err(reason))
        })
    }

    fn column<'py, T: Send, const N: usize>(
        &self,
        py: Python<'py>,
        read: impl FnOnce(&Book) -> Result<Vec<T>> + Send,
        bytes: impl Fn(&T) -> [u8; N] + Sync,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let out = guard(py, || {
            let values = read(&*self.lock()?)?;
            let mut out = Vec::with_capacity(N * values.len());
            values
                .iter()
                .for_each(|value| out.extend_from_slice(&bytes(value)));
            Ok(out)
        })?;
        Ok(PyBytes::new(py, &out))
    }
}

#[pymethods]
impl PyBook {
    #[new]
    #[pyo3(signature = (parts, groups, instruments, portable = false))]
    fn new(
        py: Python<'_>,
        parts: HeaderParts,
        groups: &[u8],
        instruments: &[u8],
        portable: bool,
    ) -> PyResult<Self> {
        let book = guard(py, || {
            let tables = Tables::build(
                header(parts)?,
                self::groups(groups)?,
                self::instruments(instruments)?,
            )?;
            Ok(Book::new(
                if portable {
                    Kernel::Portable
                } else {
                    Kernel::best()
                },
                tables,
            ))
        })?;
        Ok(PyBook {
            inner: Mutex::new(book),
        })
    }

    fn load(
        &self,
        py: Python<'_>,
        starts: &[u8],
        ids: &[u8],
        quantities: &[u8],
        wide: bool,
    ) -> PyResult<usize> {
        guard(py, || {
            let (starts, ids) = (longs(starts, "row starts")?, self::ids(ids)?);
            let mut book = self.lock()?;
            if wide {
                let given: Vec<i128> = records(quantities, WORD, "quantities")?.map(word).collect();
                let rows = Rows {
                    starts: &starts,
                    ids: &ids,
                    quantities: Quantities::Wide(&given),
                };
                return Ok(book.load(&rows)?);
            }
            let given = longs(quantities, "quantities")?;
            Ok(book.load(&Rows {
                starts: &starts,
                ids: &ids,
                quantities: Quantities::Narrow(&given),
            })?)
        })
    }

    fn positions<'py>(
        &self,
        py: Python<'py>,
        account: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let held = guard(py, || Ok(self.lock()?.positions(account)?))?;
        let ids: Vec<u8> = held.iter().flat_map(|p| p.0.to_le_bytes()).collect();
        let quantities: Vec<u8> = held.iter().flat_map(|p| p.1.to_le_bytes()).collect();
        Ok((PyBytes::new(py, &ids), PyBytes::new(py, &quantities)))
    }

    fn set(&self, py: Python<'_>, account: usize, ids: &[u8], quantities: &[u8]) -> PyResult<()> {
        guard(py, || {
            Ok(self.lock()?.set(account, &positions(ids, quantities)?)?)
        })
    }

    fn trade(&self, py: Python<'_>, account: usize, ids: &[u8], quantities: &[u8]) -> PyResult<()> {
        guard(py, || {
            Ok(self.lock()?.trade(account, &positions(ids, quantities)?)?)
        })
    }

    fn value(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, || {
            self.lock()?.value_all();
            Ok(())
        })
    }

    fn update(
        &self,
        py: Python<'_>,
        parts: Option<HeaderParts>,
        groups: &[u8],
        instruments: &[u8],
        removed: &[u8],
    ) -> PyResult<usize> {
        guard(py, || {
            let update = Update {
                header: parts.map(header).transpose()?,
                groups: self::groups(groups)?,
                instruments: self::instruments(instruments)?,
                removed: ids(removed)?,
            };
            Ok(self.lock()?.apply(update)?)
        })
    }

    fn amounts<'py>(&self, py: Python<'py>, name: &str, level: usize) -> PyResult<Bound<'py, PyBytes>> {
        let read = |book: &Book| Ok(book.amounts(amount(name)?, self::level(level)?));
        self.column(py, read, |v| v.to_le_bytes())
    }

    fn narrow<'py>(&self, py: Python<'py>, name: &str, level: usize) -> PyResult<Bound<'py, PyBytes>> {
        let read = |book: &Book| Ok(book.narrow(amount(name)?, self::level(level)?)?);
        self.column(py, read, |v| v.to_le_bytes())
    }

    fn health<'py>(&self, py: Python<'py>, level: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.column(
            py,
            |book| Ok(book.health(self::level(level)?)?),
            |v| v.to_le_bytes(),
        )
    }

    fn statuses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.column(py, |book| Ok(book.statuses()), |&v| [v])
    }

    fn below<'py>(&self, py: Python<'py>, level: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.column(
            py,
            |book| Ok(book.below(self::level(level)?)),
            |v| v.to_le_bytes(),
        )
    }

    fn scan_risk<'py>(&self, py: Python<'py>, class: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.column(py, |book| Ok(book.scan_risk(class)?), |v| v.to_le_bytes())
    }

    fn worst<'py>(&self, py: Python<'py>, class: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.column(py, |book| Ok(book.worst(class)?), |&v| [v])
    }

    #[getter]
    fn accounts(&self, py: Python<'_>) -> PyResult<usize> {
        guard(py, || Ok(self.lock()?.len()))
    }

    #[getter]
    fn memory_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        guard(py, || Ok(self.lock()?.bytes()))
    }

    #[getter]
    fn kernel(&self, py: Python<'_>) -> PyResult<&'static str> {
        guard(py, || {
            Ok(match self.lock()?.kernel() {
                Kernel::Portable => "portable",
                Kernel::Ifma => "avx512-ifma",
            })
        })
    }
}
