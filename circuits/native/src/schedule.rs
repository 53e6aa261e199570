//! The witness program on all cores: blocks of one level, none of which reads what another computes, run beside each
//! other, and blocks that are alike run in the lanes of vectors.
//!
//! While they are computed, wires are kept in the order of the levels. A level then writes one stretch, of which each task
//! has a part to itself, and reads only what is before it.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

use crate::blocks::{families, split, Block, Family};
use crate::circuit::Circuit;
use crate::lane_program::{coefficients, LaneProgram};
use crate::matrix::LastDot;
use crate::program::{compute, Op, Wires};

/// Blocks that run in the lanes of a vector, at most and at least: fewer are faster one after the other.
const LANES: usize = 8;
const FEWEST: usize = 3;
/// Terms of a task, some 20 us; a smaller one costs more than it gains.
const TASK: usize = 1500;

enum Work {
    /// One block after the other.
    InOrder(Vec<Block>),
    /// Blocks that are alike beside each other, and the places of each input.
    InLanes(Arc<LaneProgram>, Vec<[u32; LANES]>),
}

/// What one thread does at a time.
struct Task {
    work: Work,
    /// How many wires it computes.
    wires: usize,
}

pub struct Schedule {
    levels: Vec<Vec<Task>>,
    /// Where each wire is kept.
    places: Vec<u32>,
}

impl Schedule {
    /// The schedule of a checked program. Without `lanes`, or where the processor has none, no blocks run in vectors.
    pub fn new(circuit: &Circuit, ops: &[Op], lanes: bool) -> Self {
        let blocks = split(circuit, ops);
        let families = families(circuit, ops, &blocks);
        let mut member_of = vec![None; blocks.len()];
        for (family, Family { members, .. }) in families.iter().enumerate() {
            for (number, inputs) in members {
                member_of[*number] = Some((family, inputs.as_slice()));
            }
        }
        let levels = levels(circuit, ops, &blocks, &member_of);
        let mut builder = Builder {
            blocks: &blocks,
            member_of: &member_of,
            programs: programs(circuit, &families, lanes),
            places: (0..circuit.n_wires).collect(),
            next: circuit.n_inputs + 1,
        };
        Schedule {
            levels: levels.iter().map(|level| builder.tasks(level)).collect(),
            places: builder.places,
        }
    }

    /// All wires; `None` when a value does not fit its bits.
    pub fn run(&self, circuit: &Circuit, ops: &[Op], inputs: &[Fr]) -> Option<Vec<Fr>> {
        // In the pool once, instead of once for each level.
        rayon::scope(|_| {
            let mut kept = vec![Fr::ZERO; circuit.n_wires as usize];
            kept[0] = Fr::ONE;
            kept[1..=inputs.len()].copy_from_slice(inputs);
            let mut done = 1 + inputs.len();
            for tasks in &self.levels {
                let (known, rest) = kept.split_at_mut(done);
                if !self.run_level(circuit, ops, tasks, known, rest) {
                    return None;
                }
                done += tasks.iter().map(|task| task.wires).sum::<usize>();
            }
            let places = self.places.par_iter();
            Some(places.map(|&place| kept[place as usize]).collect())
        })
    }

    /// Computes a level into the start of `rest`. Returns whether all values fit their bits.
    fn run_level(
        &self,
        circuit: &Circuit,
        ops: &[Op],
        tasks: &[Task],
        known: &[Fr],
        mut rest: &mut [Fr],
    ) -> bool {
        let mut parts = Vec::with_capacity(tasks.len());
        for task in tasks {
            let (part, after) = rest.split_at_mut(task.wires);
            parts.push((task, part));
            rest = after;
        }
        let parts = parts.into_par_iter().with_max_len(1);
        parts.all(|(task, part)| task.run(circuit, ops, &self.places, known, part))
    }
}

/// The blocks of each level. Each reads inputs and wires of levels before its own.
fn levels(
    circuit: &Circuit,
    ops: &[Op],
    blocks: &[Block],
    member_of: &[Option<(usize, &[u32])>],
) -> Vec<Vec<usize>> {
    let mut level_of = vec![0u32; circuit.n_wires as usize];
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let level = match member_of[number] {
            Some((_, inputs)) => inputs.iter().map(|&wire| level_of[wire as usize]).max(),
            None => {
                let terms = block.reads(circuit, ops).flatten().flatten();
                let outside = terms.filter(|term| term.wire < block.first);
                outside.map(|term| level_of[term.wire as usize]).max()
            }
        };
        let level = level.unwrap_or(0);
        let own = block.first as usize..(block.first + block.wires) as usize;
        level_of[own].fill(level + 1);
        if levels.len() <= level as usize {
            levels.push(Vec::new());
        }
        levels[level as usize].push(number);
    }
    levels
}

/// The lane program of each family that has one.
fn programs(circuit: &Circuit, families: &[Family], lanes: bool) -> Vec<Option<Arc<LaneProgram>>> {
    let coefs = coefficients(if lanes { &circuit.coefs } else { &[] });
    let program = |family: &Family| {
        let pays = lanes && family.members.len() >= FEWEST;
        let program = pays.then(|| LaneProgram::new(&family.pattern, &coefs));
        program.flatten().map(Arc::new)
    };
    families.iter().map(program).collect()
}

struct Builder<'a> {
    blocks: &'a [Block],
    member_of: &'a [Option<(usize, &'a [u32])>],
    programs: Vec<Option<Arc<LaneProgram>>>,
    places: Vec<u32>,
    next: u32,
}

impl Builder<'_> {
    /// The tasks of one level, in the order of their wires.
    fn tasks(&mut self, level: &[usize]) -> Vec<Task> {
        let mut tasks = Vec::new();
        let mut alike: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut alone = Vec::new();
        for &number in level {
            match self.member_of[number] {
                Some((family, _)) if self.programs[family].is_some() => {
                    alike.entry(family).or_default().push(number)
                }
                _ => alone.push(number),
            }
        }
        for (family, members) in alike {
            for group in members.chunks(LANES) {
                if group.len() < FEWEST {
                    alone.extend(group);
                } else {
                    tasks.extend(self.in_lanes(family, group));
                }
            }
        }
        for group in self.by_cost(&alone) {
            let blocks = group.iter().map(|&number| self.blocks[number].clone());
            let work = Work::InOrder(blocks.collect());
            tasks.push(self.task(work, &group));
        }
        tasks
    }

    /// Groups of blocks that are each worth a task, but for the last.
    fn by_cost(&self, numbers: &[usize]) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut cost = TASK;
        for &number in numbers {
            if cost >= TASK {
                groups.push(Vec::new());
                cost = 0;
            }
            cost += self.blocks[number].terms;
            groups.last_mut().into_iter().for_each(|group| group.push(number));
        }
        groups
    }

    fn in_lanes(&mut self, family: usize, group: &[usize]) -> Option<Task> {
        let program = self.programs[family].clone()?;
        let members: Vec<&[u32]> = group.iter().filter_map(|&n| Some(self.member_of[n]?.1)).collect();
        let place = |lane: usize, input: usize| {
            // A lane without a block repeats the first.
            let member = members.get(lane).unwrap_or(&members[0]);
            self.places[member[input] as usize]
        };
        let inputs = (0..members[0].len())
            .map(|input| std::array::from_fn(|lane| place(lane, input)))
            .collect();
        Some(self.task(Work::InLanes(program, inputs), group))
    }

    fn task(&mut self, work: Work, group: &[usize]) -> Task {
        let before = self.next;
        for &number in group {
            let block = &self.blocks[number];
            for wire in block.first..block.first + block.wires {
                self.places[wire as usize] = self.next;
                self.next += 1;
            }
        }
        Task {
            work,
            wires: (self.next - before) as usize,
        }
    }
}

impl Task {
    /// Computes its wires into `part`. Returns whether all values fit their bits.
    fn run(&self, circuit: &Circuit, ops: &[Op], places: &[u32], known: &[Fr], part: &mut [Fr]) -> bool {
        match &self.work {
            Work::InOrder(blocks) => {
                let mut last = LastDot::default();
                let mut rest = part;
                blocks.iter().all(|block| {
                    let (own, after) = std::mem::take(&mut rest).split_at_mut(block.wires as usize);
                    rest = after;
                    let mut wires = Stretch {
                        places,
                        known,
                        first: block.first as usize,
                        own,
                        done: 0,
                    };
                    ops[block.ops.clone()]
                        .iter()
                        .all(|op| compute(circuit, *op, &mut last, &mut wires))
                })
            }
            Work::InLanes(program, inputs) => {
                program.run(known, inputs, part);
                true
            }
        }
    }
}

/// The wires of a block, and those it may read.
struct Stretch<'a> {
    places: &'a [u32],
    known: &'a [Fr],
    first: usize,
    own: &'a mut [Fr],
    done: usize,
}

impl Index<usize> for Stretch<'_> {
    type Output = Fr;

    #[inline]
    fn index(&self, wire: usize) -> &Fr {
        match wire.checked_sub(self.first) {
            Some(own) => &self.own[own],
            None => &self.known[self.places[wire] as usize],
        }
    }
}

impl Wires for Stretch<'_> {
    #[inline]
    fn put(&mut self, value: Fr) {
        self.own[self.done] = value;
        self.done += 1;
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
