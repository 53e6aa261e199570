//! Measures ark-groth16 on a circuit and witness of ours: main circuit.r1cs witness.wtns.
//!
//! The first line on standard output has the time of setup; then each line "prove" on standard input is answered with one
//! of a proof, "verify" with one of its check, and the end of the input with the peak memory. Times are in seconds.

use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use ark_bn254::{Bn254, Fr};
use ark_ff::{PrimeField, UniformRand};
use ark_groth16::r1cs_to_qap::LibsnarkReduction;
use ark_groth16::{prepare_verifying_key, Groth16};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, Result as SynthesisResult,
    SynthesisError, Variable,
};
use ark_relations::utils::matrix::Matrix;
use ark_std::rand::rngs::OsRng;

const HEADER: u32 = 1;
const BODY: u32 = 2;
const ELEMENT_BYTES: usize = 32;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn word(data: &[u8], at: usize) -> usize {
    data[at..at + 4]
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | usize::from(*byte))
}

/// The bytes of one section of a file in the binary format of iden3.
fn section(data: &[u8], id: u32) -> Outcome<&[u8]> {
    let mut rest = data.get(12..).ok_or("the file is too short")?;
    while rest.len() >= 12 {
        let size = word(rest, 4) | word(rest, 8) << 32;
        let body = rest[12..].get(..size).ok_or("a section is cut off")?;
        if word(rest, 0) == id as usize {
            return Ok(body);
        }
        rest = &rest[12 + size..];
    }
    Err(format!("section {id} is missing").into())
}

fn element(data: &[u8]) -> Fr {
    Fr::from_le_bytes_mod_order(&data[..ELEMENT_BYTES])
}

struct Circuit {
    n_public: usize,
    n_wires: usize,
    matrices: Vec<Matrix<Fr>>,
}

fn read_circuit(path: &str) -> Outcome<Circuit> {
    let data = std::fs::read(path)?;
    let header = section(&data, HEADER)?;
    let mut body = section(&data, BODY)?;
    let numbers = 4 + ELEMENT_BYTES;
    let mut matrices = vec![Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..word(header, numbers + 24) {
        for matrix in &mut matrices {
            let count = word(body, 0);
            let terms = body[4..].chunks_exact(4 + ELEMENT_BYTES).take(count);
            matrix.push(
                terms
                    .map(|term| (element(&term[4..]), word(term, 0)))
                    .collect(),
            );
            body = &body[4 + count * (4 + ELEMENT_BYTES)..];
        }
    }
    Ok(Circuit {
        n_public: word(header, numbers + 4) + word(header, numbers + 8),
        n_wires: word(header, numbers),
        matrices,
    })
}

impl ConstraintSynthesizer<Fr> for &Circuit {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> SynthesisResult<()> {
        // Only setup comes here, which asks for no values.
        let missing = || Err(SynthesisError::AssignmentMissing);
        let mut wires = vec![Variable::One];
        for wire in 1..self.n_wires {
            wires.push(if wire <= self.n_public {
                cs.new_input_variable(missing)?
            } else {
                cs.new_witness_variable(missing)?
            });
        }
        let side = |matrix: usize, row: usize| {
            let terms = &self.matrices[matrix][row];
            LinearCombination(
                terms
                    .iter()
                    .map(|&(coefficient, wire)| (coefficient, wires[wire]))
                    .collect(),
            )
        };
        for row in 0..self.matrices[0].len() {
            cs.enforce_r1cs_constraint(|| side(0, row), || side(1, row), || side(2, row))?;
        }
        Ok(())
    }
}

fn peak_megabytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) / 1024
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, r1cs, wtns] = &arguments[..] else {
        return Err("usage: main circuit.r1cs witness.wtns".into());
    };
    let circuit = read_circuit(r1cs)?;
    let data = std::fs::read(wtns)?;
    let witness: Vec<Fr> = section(&data, BODY)?
        .chunks_exact(ELEMENT_BYTES)
        .map(element)
        .collect();
    if witness.len() != circuit.n_wires {
        return Err("the witness is of another circuit".into());
    }
    let mut rng = OsRng;

    let start = Instant::now();
    let key = Groth16::<Bn254>::generate_random_parameters_with_reduction(&circuit, &mut rng)?;
    println!("{{\"setup\": {}}}", start.elapsed().as_secs_f64());
    let check = prepare_verifying_key(&key.vk);
    let mut proof = None;
    for command in std::io::stdin().lock().lines() {
        let command = command?;
        let start = Instant::now();
        match (command.as_str(), &proof) {
            ("prove", _) => {
                let (r, s) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
                proof = Some(
                    Groth16::<Bn254, LibsnarkReduction>::create_proof_with_reduction_and_matrices(
                        &key,
                        r,
                        s,
                        &circuit.matrices,
                        circuit.n_public + 1,
                        circuit.matrices[0].len(),
                        &witness,
                    )?,
                );
            }
            ("verify", Some(proof)) => {
                if !Groth16::<Bn254>::verify_proof(&check, proof, &witness[1..=circuit.n_public])? {
                    return Err("the proof does not hold".into());
                }
            }
            _ => return Err(format!("unknown command {command:?}").into()),
        }
        println!("{{\"{command}\": {}}}", start.elapsed().as_secs_f64());
    }
    println!("{{\"peakMegabytes\": {}}}", peak_megabytes());
    Ok(())
}
