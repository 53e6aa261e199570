//! The schedule against the run in order, on random circuits made of repeated patterns.

use std::collections::BTreeSet;

use ark_ff::UniformRand;
use ark_std::rand::{rngs::StdRng, Rng, SeedableRng};

use super::*;
use crate::circuit::Parts;
use crate::program;

type Row = Vec<(u32, u32)>;

/// 1, -1, and others.
const COEFS: u32 = 12;

/// A circuit that is being drawn up. Terms are wires and positions in the table of coefficients.
struct Draft {
    n_inputs: u32,
    next: u32,
    coefs: Vec<Fr>,
    /// A, B, C and H.
    rows: [Vec<Row>; 4],
    program: Vec<u32>,
}

/// Rows over local wires: inputs from 0, then what the rows define. The last one is solved, with these further terms in C.
#[derive(Clone)]
struct Template {
    inputs: u32,
    rows: Vec<[Row; 2]>,
    less: Row,
}

impl Draft {
    fn new(n_inputs: u32, rng: &mut StdRng) -> Self {
        let mut coefs = vec![Fr::ONE, -Fr::ONE];
        coefs.extend((2..COEFS).map(|_| Fr::rand(rng)));
        Draft {
            n_inputs,
            next: n_inputs + 1,
            coefs,
            rows: Default::default(),
            program: Vec::new(),
        }
    }

    fn define(&mut self, code: u32, a: Row, b: Row, less: Row) -> u32 {
        let wire = self.next;
        self.program.extend([code, self.rows[0].len() as u32, wire]);
        self.program.extend((code == 1).then_some(1));
        self.row(a, b, wire, less);
        wire
    }

    fn row(&mut self, a: Row, b: Row, wire: u32, less: Row) {
        // The wire's own term stands between the others.
        let mut c = less;
        c.insert(c.len() / 2, (wire, 0));
        let sides = [a, b, c];
        self.rows
            .iter_mut()
            .zip(sides)
            .for_each(|(rows, side)| rows.push(side));
        self.next += 1;
    }

    fn mul(&mut self, a: Row, b: Row) -> u32 {
        self.define(1, a, b, vec![])
    }

    /// Bits (code 2), a combination (3) or an inverse (4).
    fn hint(&mut self, code: u32, terms: Row, count: u32) {
        self.program.extend([code, self.rows[3].len() as u32, self.next]);
        self.program.extend((code == 2).then_some(count));
        self.rows[3].push(terms);
        self.next += count;
    }

    /// Places a template and returns its last wire.
    fn place(&mut self, template: &Template, inputs: &[u32]) -> u32 {
        let first = self.next;
        let wires = |row: &Row| -> Row {
            let global = |wire: u32| match wire.checked_sub(template.inputs) {
                Some(own) => first + own,
                None => inputs[wire as usize],
            };
            row.iter().map(|&(wire, coef)| (global(wire), coef)).collect()
        };
        let (last, rows) = template.rows.split_last().unwrap();
        self.program
            .extend([1, self.rows[0].len() as u32, first, rows.len() as u32]);
        for [a, b] in rows {
            self.row(wires(a), wires(b), self.next, vec![]);
        }
        self.define(5, wires(&last[0]), wires(&last[1]), wires(&template.less))
    }

    fn build(&self) -> Built {
        let words = |values: &[u32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let csr = self.rows.each_ref().map(|rows| {
            let mut arrays = [vec![0u32], vec![], vec![]];
            for row in rows {
                arrays[1].extend(row.iter().map(|term| term.0));
                arrays[2].extend(row.iter().map(|term| term.1));
                let end = arrays[1].len() as u32;
                arrays[0].push(end);
            }
            arrays.map(|array| words(&array))
        });
        let parts = csr.each_ref().map(|m| [&m[0][..], &m[1][..], &m[2][..]]);
        let [a, b, c, h] = parts;
        let circuit = Circuit::from_parts(Parts {
            n_wires: self.next,
            n_public: 0,
            n_inputs: self.n_inputs,
            coefs: &self.coefs,
            a,
            b,
            c,
            h,
            program: &words(&self.program),
        });
        Built {
            circuit: circuit.unwrap(),
            ops: program::parse(&self.program).unwrap(),
        }
    }
}

struct Built {
    circuit: Circuit,
    ops: Vec<Op>,
}

impl Built {
    fn schedule(&self, lanes: bool) -> Schedule {
        Schedule::new(&self.circuit, &self.ops, lanes)
    }

    /// The run in order is what both schedules and the circuit itself give.
    fn agrees(&self, inputs: &[Fr]) {
        let reference = program::run(&self.circuit, &self.ops, inputs, None);
        for lanes in [false, true] {
            let found = self.schedule(lanes).run(&self.circuit, &self.ops, inputs);
            assert!(found.as_ref() == reference.as_ref().ok(), "lanes {lanes}");
        }
        match (reference, self.circuit.witness(inputs)) {
            (Ok(reference), Ok(found)) => assert!(reference == found),
            (Err(reference), Err(found)) => assert_eq!(reference.to_string(), found.to_string()),
            _ => panic!("one refuses what the other takes"),
        }
    }

    fn vectors(&self) -> usize {
        vectors(&self.schedule(true))
    }
}

fn combination(rng: &mut StdRng, wires: u32, most: usize) -> Row {
    let count = rng.gen_range(1..=most);
    (0..count)
        .map(|_| (rng.gen_range(0..wires), rng.gen_range(0..COEFS)))
        .collect()
}

/// Rows as a hash has them: sums of what came before, squared, and products of single wires.
fn template(rng: &mut StdRng, inputs: u32) -> Template {
    let mut rows = Vec::new();
    for row in 0..45 {
        let wires = inputs + row;
        let a = combination(rng, wires, 12);
        let b = match row % 3 {
            0 => a.clone(),
            1 => vec![(wires - 1, 0)],
            _ => combination(rng, wires, 3),
        };
        rows.push([a, b]);
    }
    let wires = inputs + rows.len() as u32;
    // The wire directly before the last one is a factor of it.
    rows.push([vec![(wires - 1, 5)], combination(rng, wires, 12)]);
    let less = combination(rng, wires, 12);
    Template { inputs, rows, less }
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn random_inputs(rng: &mut StdRng, count: u32) -> Vec<Fr> {
    let edges = [Fr::ZERO, Fr::ONE, -Fr::ONE];
    (0..count as usize)
        .map(|i| edges.get(i).copied().unwrap_or_else(|| Fr::rand(rng)))
        .collect()
}

#[test]
fn random_circuits_run_as_in_order() {
    let mut vectors = 0;
    for seed in 0..30 {
        let mut rng = rng(seed);
        let mut draft = Draft::new(12, &mut rng);
        let templates = [template(&mut rng, 3), template(&mut rng, 7)];
        for _ in 0..rng.gen_range(1..40) {
            let known = draft.next;
            let term = combination(&mut rng, known, 5);
            match rng.gen_range(0..9) {
                0 => drop(draft.mul(term, vec![(known - 1, 0)])),
                1 => drop(draft.define(5, vec![], term.clone(), term)),
                2 => draft.hint(2, term, 254),
                3 => draft.hint(3, term, 1),
                4 => draft.hint(4, term, 1),
                _ => {
                    let template = &templates[rng.gen_range(0..2)];
                    // Some of the wires are shared, some stand for two inputs, one is the constant.
                    let wires: Vec<u32> = (0..template.inputs).map(|_| rng.gen_range(0..13)).collect();
                    draft.place(template, &wires);
                }
            }
        }
        let built = draft.build();
        vectors += built.vectors();
        built.agrees(&random_inputs(&mut rng, 12));
    }
    assert!(vectors > 20 || !has_lanes());
}

/// How many tasks run in lanes.
fn vectors(schedule: &Schedule) -> usize {
    let tasks = schedule.levels.iter().flatten();
    tasks
        .filter(|task| matches!(task.work, Work::InLanes(..)))
        .count()
}

fn has_lanes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::lanes::available();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[test]
fn groups_of_every_size_run_as_in_order() {
    for (copies, vectors) in [
        (1, 0),
        (2, 0),
        (3, 1),
        (7, 1),
        (8, 1),
        (9, 1),
        (11, 2),
        (16, 2),
        (20, 3),
    ] {
        let mut rng = rng(copies);
        let mut draft = Draft::new(10, &mut rng);
        let template = template(&mut rng, 4);
        for copy in 0..copies as u32 {
            draft.place(&template, &[0, 1 + copy % 4, 5, 6 + copy / 2 % 5]);
        }
        let built = draft.build();
        assert_eq!(built.vectors(), if has_lanes() { vectors } else { 0 });
        built.agrees(&random_inputs(&mut rng, 10));
    }
}

#[test]
fn a_level_reads_what_the_one_before_computes() {
    let mut rng = rng(1);
    let mut draft = Draft::new(4, &mut rng);
    let template = template(&mut rng, 4);
    let mut wires = [1, 2, 3, 4];
    for _ in 0..4 {
        // Eight alike; each of the next eight reads outputs of two of them.
        let out: Vec<u32> = (0..8)
            .map(|shift| {
                wires.rotate_left(shift % 4);
                draft.place(&template, &wires)
            })
            .collect();
        wires = [out[0], out[7], out[3], out[4]];
    }
    let built = draft.build();
    let schedule = built.schedule(true);
    assert_eq!(schedule.levels.len(), 4);
    assert_eq!(vectors(&schedule), if has_lanes() { 4 } else { 0 });
    built.agrees(&random_inputs(&mut rng, 4));
}

#[test]
fn a_level_reads_only_levels_before_it() {
    let mut rng = rng(2);
    let mut draft = Draft::new(6, &mut rng);
    let template = template(&mut rng, 5);
    for _ in 0..60 {
        let known = draft.next;
        let term = combination(&mut rng, known, 4);
        if rng.gen_range(0..4) > 0 {
            draft.mul(term, vec![(rng.gen_range(0..known), 0)]);
        } else {
            let wires: Vec<u32> = (0..5).map(|_| rng.gen_range(0..known)).collect();
            draft.place(&template, &wires);
        }
    }
    let built = draft.build();
    let schedule = built.schedule(true);
    let blocks = split(&built.circuit, &built.ops);
    assert!(schedule.levels.len() > 3);
    let all: BTreeSet<u32> = (0..draft.next)
        .map(|wire| schedule.places[wire as usize])
        .collect();
    assert_eq!(all.len(), draft.next as usize);
    let mut starts = vec![draft.n_inputs as usize + 1];
    for level in &schedule.levels {
        let wires: usize = level.iter().map(|task| task.wires).sum();
        starts.push(starts[starts.len() - 1] + wires);
    }
    for block in &blocks {
        let own = schedule.places[block.first as usize] as usize;
        let start = starts.iter().rfind(|start| **start <= own).unwrap();
        for term in block.reads(&built.circuit, &built.ops).flatten().flatten() {
            let place = schedule.places[term.wire as usize] as usize;
            assert!(place < *start || term.wire >= block.first);
        }
    }
}

#[test]
fn blocks_that_differ_a_little_are_not_alike() {
    let mut rng = rng(3);
    let mut base = template(&mut rng, 4);
    // The last input is read once, so that a wire of the block itself could be taken for it.
    let terms = base.rows.iter_mut().flatten().flatten().chain(&mut base.less);
    terms.filter(|term| term.0 == 3).for_each(|term| term.0 = 2);
    base.rows[40][1] = vec![(3, 2)];
    let other = |change: &dyn Fn(&mut Template)| {
        let mut changed = base.clone();
        change(&mut changed);
        changed
    };
    let changed = [
        other(&|t| t.rows[20][0][0].1 = (t.rows[20][0][0].1 + 1) % COEFS),
        other(&|t| t.rows[20][0][0].0 = if t.rows[20][0][0].0 == 5 { 6 } else { 5 }),
        other(&|t| t.rows[40][1][0].0 = 9),
        other(&|t| t.less[0].1 = (t.less[0].1 + 1) % COEFS),
        other(&|t| {
            let moved = t.rows[4][0].pop().unwrap();
            t.rows[2][0].push(moved);
        }),
    ];
    for changed in &changed {
        let mut draft = Draft::new(8, &mut rng);
        for copy in 0..8 {
            let template = if copy == 5 { changed } else { &base };
            draft.place(template, &[1 + copy % 8, 2, 3, 1 + (copy + 4) % 8]);
        }
        let built = draft.build();
        let blocks = split(&built.circuit, &built.ops);
        let found = families(&built.circuit, &built.ops, &blocks);
        let members: Vec<usize> = found[0].members.iter().map(|(number, _)| *number).collect();
        assert_eq!(members, [0, 1, 2, 3, 4, 6, 7]);
        built.agrees(&random_inputs(&mut rng, 8));
    }
}

#[test]
fn the_longest_rows_of_the_largest_values_fit() {
    // What is r - k in the form of the lanes.
    let inverse = Fr::from(2u64).pow([260]).inverse().unwrap();
    let near_order = |k: u64| -Fr::from(k) * inverse;
    for (length, fits) in [(192, true), (193, false)] {
        let mut rng = rng(4);
        let mut draft = Draft::new(8, &mut rng);
        draft.coefs[2] = near_order(1);
        let largest: Row = (0..length).map(|i| (i % 2, 2)).collect();
        let rows = vec![
            [largest.clone(), largest.clone()],
            [largest.iter().map(|_| (2, 2)).collect(), largest.clone()],
            [vec![(3, 0)], vec![(3, 0)]],
        ];
        let template = Template {
            inputs: 2,
            rows,
            less: largest,
        };
        for copy in 0..8 {
            draft.place(&template, &[1 + copy, 1 + (copy + 1) % 8]);
        }
        let built = draft.build();
        assert_eq!(vectors(&built.schedule(true)) > 0, fits && has_lanes());
        for start in 0..20 {
            let inputs: Vec<Fr> = (1..=8).map(|k| near_order(start * k + 1)).collect();
            built.agrees(&inputs);
        }
        built.agrees(&[-Fr::ONE; 8]);
        built.agrees(&[Fr::ZERO; 8]);
    }
}

#[test]
fn of_several_range_checks_that_fail_the_first_is_named() {
    let mut rng = rng(5);
    let mut draft = Draft::new(2, &mut rng);
    draft.hint(2, vec![(1, 0)], 20);
    let square = draft.mul(vec![(1, 0)], vec![(1, 0)]);
    // In a later level than the last one, which fails as well.
    draft.hint(2, vec![(square, 0)], 10);
    draft.hint(2, vec![(2, 0)], 8);
    let built = draft.build();
    for (x, y, number) in [
        (5, 5, None),
        (40, 256, Some(2)),
        (31, 256, Some(3)),
        (32, 255, Some(2)),
    ] {
        let inputs = [Fr::from(x), Fr::from(y)];
        built.agrees(&inputs);
        let message = built
            .circuit
            .witness(&inputs)
            .err()
            .map(|error| error.to_string());
        let bits = if number == Some(2) { 10 } else { 8 };
        let expected =
            number.map(|number| format!("range check at op {number}: the value does not fit {bits} bits"));
        assert_eq!(message, expected);
    }
}
