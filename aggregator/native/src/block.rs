//! A few hundred accounts laid out by class, with their results: the unit of work of a thread.

use std::collections::BTreeMap;

use crate::charge::Nets;
use crate::correlation::{self, Weights};
use crate::divide::floor_signed_e14;
use crate::exact::{self, Reason, NO_SCENARIO};
use crate::policy::{LEVELS, MAX_CLASSES};
use crate::scan::{self, Kernel, Out, Sums, Totals, FLAG, SLOW};
use crate::tables::{Tables, LIMB};

/// Accounts of a block: their scratch stays in the second-level cache.
pub const BLOCK: usize = 1024;

/// Positions of a block's accounts in one class (or in netting groups), account after account.
#[derive(Debug, Clone)]
pub struct Segment {
    starts: Vec<u32>,
    ids: Vec<u16>,
    quantities: Vec<i64>,
}

impl Segment {
    fn new() -> Segment {
        Segment { starts: vec![0], ids: Vec::new(), quantities: Vec::new() }
    }

    /// The positions of one account.
    #[inline(always)]
    pub fn run(&self, local: usize) -> (&[u16], &[i64]) {
        let range = self.starts[local] as usize..self.starts[local + 1] as usize;
        (&self.ids[range.clone()], &self.quantities[range])
    }

    fn push(&mut self, positions: &[(u16, i64)]) {
        self.ids.extend(positions.iter().map(|p| p.0));
        self.quantities.extend(positions.iter().map(|p| p.1));
        self.starts.push(self.ids.len() as u32);
    }

    fn replace(&mut self, local: usize, positions: &[(u16, i64)]) {
        let range = self.starts[local] as usize..self.starts[local + 1] as usize;
        let grown = positions.len() as i64 - range.len() as i64;
        self.ids.splice(range.clone(), positions.iter().map(|p| p.0));
        self.quantities.splice(range, positions.iter().map(|p| p.1));
        for start in &mut self.starts[local + 1..] {
            *start = (i64::from(*start) + grown) as u32;
        }
    }

    fn bytes(&self) -> usize {
        4 * self.starts.capacity() + 2 * self.ids.capacity() + 8 * self.quantities.capacity()
    }
}

/// How an account was valued, or why it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    Valued = 0,
    /// Valued on the exact path; a column of 64 bits may be saturated.
    Wide = 1,
    Unpriced = 2,
    OverLimit = 3,
    Beyond = 4,
}

impl From<Reason> for Status {
    fn from(reason: Reason) -> Status {
        match reason {
            Reason::Unpriced => Status::Unpriced,
            Reason::OverLimit => Status::OverLimit,
            Reason::Beyond => Status::Beyond,
        }
    }
}

impl Status {
    pub fn valued(self) -> bool {
        matches!(self, Status::Valued | Status::Wide)
    }
}

/// Work space of a thread.
pub struct Scratch {
    pub(crate) sums: Vec<Sums>,
    pub(crate) totals: Vec<Totals>,
    pub(crate) flags: Vec<u8>,
    pub(crate) locals: Vec<u16>,
    pub(crate) roots: Vec<f64>,
    pub(crate) weights: Weights,
}

impl Scratch {
    pub fn new(tables: &Tables) -> Scratch {
        Scratch {
            sums: vec![Sums::ZERO; BLOCK],
            totals: vec![Totals::default(); BLOCK],
            flags: vec![0; BLOCK],
            locals: Vec::with_capacity(BLOCK),
            roots: vec![0.0; BLOCK],
            weights: correlation::weights(tables.header()),
        }
    }
}

/// The accounts of a block and their results, each vector indexed by place in the block, `scan` and `worst` first by
/// class id - 1. Amounts of money are in 1e-20 USD (`totals`, `requirement`) or 1e-6 USD.
pub struct Block {
    pub(crate) segments: [Segment; MAX_CLASSES + 1],
    pub(crate) grouped: Segment,
    /// From `grouped`; None when positions or units have changed since.
    pub(crate) nets: Option<Nets>,
    /// Accounts with a quantity beyond 63 bits: all their positions are here.
    pub(crate) huge: BTreeMap<u16, Vec<(u16, i128)>>,
    counts: Vec<u16>,
    /// `SLOW` for an account with a quantity of 52 bits or more.
    sizes: Vec<u8>,
    pub(crate) totals: Vec<Totals>,
    pub(crate) contingency: Vec<[u64; LEVELS]>,
    pub(crate) scan: [Vec<u64>; MAX_CLASSES],
    pub(crate) worst: [Vec<u8>; MAX_CLASSES],
    pub(crate) requirement: Vec<[i128; LEVELS]>,
    pub(crate) excess: [Vec<i64>; LEVELS],
    pub(crate) status: Vec<Status>,
}

impl Default for Block {
    fn default() -> Block {
        Block {
            segments: std::array::from_fn(|_| Segment::new()),
            grouped: Segment::new(),
            nets: None,
            huge: BTreeMap::new(),
            counts: Vec::new(),
            sizes: Vec::new(),
            totals: Vec::new(),
            contingency: Vec::new(),
            scan: Default::default(),
            worst: Default::default(),
            requirement: Vec::new(),
            excess: Default::default(),
            status: Vec::new(),
        }
    }
}

/// One account's positions, split as a block keeps them.
struct Split {
    size: u8,
    by_class: [Vec<(u16, i64)>; MAX_CLASSES + 1],
    grouped: Vec<(u16, i64)>,
    huge: Option<Vec<(u16, i128)>>,
}

impl Split {
    /// `positions` are sorted by id.
    fn of(tables: &Tables, positions: &[(u16, i128)]) -> Split {
        let wide = positions.iter().any(|p| p.1.unsigned_abs() > u128::from(LIMB));
        let size = if wide { SLOW } else { 0 };
        let mut split = Split { size, by_class: Default::default(), grouped: Vec::new(), huge: None };
        if positions.iter().any(|p| i64::try_from(p.1.unsigned_abs()).is_err()) {
            split.huge = Some(positions.to_vec());
            return split;
        }
        for &(id, quantity) in positions {
            let n = usize::from(id);
            let entry = (id, quantity as i64);
            split.by_class[usize::from(tables.class_of[n])].push(entry);
            if tables.group_of[n] != 0 {
                split.grouped.push(entry);
            }
        }
        split.grouped.sort_by_key(|p| tables.group_of[usize::from(p.0)]);
        split
    }
}

impl Block {
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Appends an account with positions within the limits; it has no value until `value` has run on it.
    pub fn push(&mut self, tables: &Tables, positions: &[(u16, i128)]) {
        let split = Split::of(tables, positions);
        for (segment, part) in self.segments.iter_mut().zip(&split.by_class) {
            segment.push(part);
        }
        self.grouped.push(&split.grouped);
        self.nets = None;
        let local = self.len() as u16;
        if let Some(all) = split.huge {
            self.huge.insert(local, all);
        }
        self.counts.push(positions.len() as u16);
        self.sizes.push(split.size);
        self.totals.push(Totals::default());
        self.contingency.push([0; LEVELS]);
        for k in 0..MAX_CLASSES {
            self.scan[k].push(0);
            self.worst[k].push(NO_SCENARIO);
        }
        self.requirement.push([0; LEVELS]);
        for column in &mut self.excess {
            column.push(0);
        }
        self.status.push(Status::Valued);
    }

    /// Gives an account other positions, within the limits; it has its old value until `value` has run on it.
    pub fn replace(&mut self, tables: &Tables, local: usize, positions: &[(u16, i128)]) {
        let split = Split::of(tables, positions);
        for (segment, part) in self.segments.iter_mut().zip(&split.by_class) {
            segment.replace(local, part);
        }
        self.grouped.replace(local, &split.grouped);
        self.nets = None;
        self.huge.remove(&(local as u16));
        if let Some(all) = split.huge {
            self.huge.insert(local as u16, all);
        }
        self.counts[local] = positions.len() as u16;
        self.sizes[local] = split.size;
        self.status[local] = Status::Valued;
    }

    /// An account's positions by instrument id.
    pub fn positions(&self, local: usize) -> Vec<(u16, i128)> {
        if let Some(all) = self.huge.get(&(local as u16)) {
            return all.clone();
        }
        let mut held = Vec::with_capacity(usize::from(self.counts[local]));
        for segment in &self.segments {
            let (ids, quantities) = segment.run(local);
            held.extend(ids.iter().zip(quantities).map(|(&id, &q)| (id, i128::from(q))));
        }
        held.sort_unstable();
        held
    }

    /// Lays every account out again, after instruments have changed their class or group.
    pub fn lay_out(&mut self, tables: &Tables) {
        let accounts: Vec<_> = (0..self.len()).map(|local| self.positions(local)).collect();
        *self = Block::default();
        for positions in &accounts {
            self.push(tables, positions);
        }
    }

    /// The flags an account starts with: `FLAG` where its sums could leave 126 bits, or where it had no value, because the
    /// loops check neither listing nor limits: the exact path finds out whether it has one again.
    pub(crate) fn first_flags(&self, tables: &Tables, local: usize) -> u8 {
        let crowded = usize::from(self.counts[local]) > tables.max_positions;
        let unsure = crowded || !self.status[local].valued();
        self.sizes[local] | if unsure { FLAG } else { 0 }
    }

    /// Whether an account holds more of an instrument of a class than its limit, which is 0 for one not listed.
    pub(crate) fn over_limit(&self, tables: &Tables, class: usize, local: usize) -> bool {
        let (ids, quantities) = self.segments[class].run(local);
        let over = |(&id, &q): (&u16, &i64)| q.unsigned_abs() > tables.limit[usize::from(id) & 4095];
        ids.iter().zip(quantities).any(over)
    }

    /// M1, M2 and M5 of one class; equity and add-ons go to the scratch.
    pub(crate) fn scan_class(
        &mut self,
        kernel: Kernel,
        tables: &Tables,
        class: usize,
        scratch: &mut Scratch,
    ) {
        let mut unused = ([0; BLOCK], [0; BLOCK]);
        let (scan, worst) = match class {
            0 => (&mut unused.0[..], &mut unused.1[..]),
            _ => (&mut self.scan[class - 1][..], &mut self.worst[class - 1][..]),
        };
        let Scratch { sums, totals, flags, locals, .. } = scratch;
        let mut out = Out { scan, worst, flags, sums, totals };
        scan::class(kernel, tables, class, &self.segments[class], locals, &mut out);
    }

    /// Values one account on the exact path.
    pub(crate) fn value_exactly(&mut self, tables: &Tables, local: usize) {
        let found = match exact::evaluate(tables, &self.positions(local)) {
            Ok(found) => found,
            Err(reason) => {
                self.status[local] = reason.into();
                return;
            }
        };
        self.status[local] = Status::Wide;
        self.totals[local] = Totals { equity: found.equity, addon: found.addon };
        self.requirement[local] = found.requirement;
        for k in 0..MAX_CLASSES {
            self.scan[k][local] = u64::try_from(found.scan[k]).unwrap_or(u64::MAX);
            self.worst[k][local] = found.worst[k];
        }
        for level in 0..LEVELS {
            let excess = floor_signed_e14(found.equity - found.requirement[level]);
            self.excess[level][local] = excess.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            self.contingency[local][level] = u64::try_from(found.contingency[level]).unwrap_or(u64::MAX);
        }
    }

    /// Values the accounts in `scratch.locals` from their positions.
    pub fn value(&mut self, kernel: Kernel, tables: &Tables, scratch: &mut Scratch) {
        scratch.sums.fill(Sums::ZERO);
        scratch.totals.fill(Totals::default());
        scratch.flags.fill(0);
        for local in 0..self.len() {
            scratch.flags[local] = self.first_flags(tables, local);
        }
        for &local in self.huge.keys() {
            scratch.flags[usize::from(local)] |= FLAG;
        }
        for class in 0..=usize::from(tables.header().classes) {
            self.scan_class(kernel, tables, class, scratch);
        }
        for &local in &scratch.locals {
            let local = usize::from(local);
            let mut totals = scratch.totals[local];
            scratch.sums[local].fold(&mut totals);
            self.totals[local] = totals;
        }
        self.charge_groups(kernel, tables, scratch);
        self.conclude(kernel, tables, scratch);
        self.value_flagged(tables, scratch);
    }

    /// Values those of `scratch.locals` that carry a flag on the exact path.
    pub(crate) fn value_flagged(&mut self, tables: &Tables, scratch: &Scratch) {
        for &local in &scratch.locals {
            if scratch.flags[usize::from(local)] & FLAG != 0 {
                self.value_exactly(tables, usize::from(local));
            }
        }
    }

    /// Values every account.
    pub fn value_all(&mut self, kernel: Kernel, tables: &Tables, scratch: &mut Scratch) {
        scratch.locals.clear();
        scratch.locals.extend(0..self.len() as u16);
        self.value(kernel, tables, scratch);
    }

    /// Values every account after a change that may have moved limits.
    pub fn value_checked(&mut self, kernel: Kernel, tables: &Tables, scratch: &mut Scratch) {
        for local in 0..self.len() {
            if (0..=MAX_CLASSES).any(|class| self.over_limit(tables, class, local)) {
                self.status[local] = Status::OverLimit;
            }
        }
        self.value_all(kernel, tables, scratch);
    }

    /// Bytes held by the block.
    pub fn bytes(&self) -> usize {
        let positions: usize = self.segments.iter().chain([&self.grouped]).map(Segment::bytes).sum();
        let results = 2 + 48 + 8 * LEVELS + 9 * MAX_CLASSES + 16 * LEVELS + 8 * LEVELS + 1;
        let huge: usize = self.huge.values().map(|p| 32 * p.len()).sum();
        let nets = self.nets.as_ref().map_or(0, Nets::bytes);
        std::mem::size_of::<Block>() + positions + nets + huge + self.counts.capacity() * results
    }
}
