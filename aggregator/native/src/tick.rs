//! A changed policy applied to what depends on it: classes, groups and accounts that hold a changed instrument.

use crate::block::{Block, Scratch, Status, BLOCK};
use crate::policy::{Header, Instrument, IDS, LEVELS, MAX_CLASSES};
use crate::scan::{Kernel, FLAG};
use crate::tables::Tables;

/// The mark or an add-on changed: equity and add-ons move by quantity x difference.
const SUMS: u8 = 1;
/// The unit or the lines of the group changed: the account's contingency is computed again.
const CHARGE: u8 = 2;
/// The risk array changed: the class is scanned again.
const SCAN: u8 = 4;
/// The limit changed, or whether the instrument is listed.
const LIMIT: u8 = 8;
/// The unit changed, so that net quantities kept by blocks are stale.
const UNIT: u8 = 16;

/// Differences of the numbers that enter equity and add-ons, mod 2^128.
#[derive(Debug, Clone, Copy, Default)]
struct Delta {
    mark: i128,
    /// [level][long, short]
    addon: [[i128; 2]; LEVELS],
}

/// What an update of the policy changes, by instrument id.
pub struct Changes {
    bits: Vec<u8>,
    at: Vec<u16>,
    deltas: Vec<Delta>,
    classes: [bool; MAX_CLASSES + 1],
    /// Scan factors or correlations changed: R and the requirement of every account.
    pub conclude_all: bool,
    /// Classes or groups changed their members: everything is laid out and valued again.
    pub lay_out: bool,
}

impl Changes {
    pub fn new() -> Changes {
        Changes {
            bits: vec![0; IDS],
            at: vec![0; IDS],
            deltas: Vec::new(),
            classes: [false; MAX_CLASSES + 1],
            conclude_all: false,
            lay_out: false,
        }
    }

    pub fn header(&mut self, old: &Header, new: &Header) {
        self.lay_out |= old.classes != new.classes;
        self.conclude_all |= old != new;
    }

    fn mark(&mut self, id: u16, class: u8, bits: u8) {
        self.bits[usize::from(id)] |= bits;
        self.classes[usize::from(class)] |= bits != 0;
    }

    /// The lines of a group have changed.
    pub fn group(&mut self, tables: &Tables, id: u16) {
        for one in tables.instruments().filter(|i| i.group == id) {
            self.mark(one.id, one.class, CHARGE);
        }
    }

    /// An instrument is taken out or comes back; holders are valued from their positions.
    pub fn listing(&mut self, tables: &Tables, id: u16) {
        self.mark(id, tables.class_of[usize::from(id)], LIMIT | UNIT);
    }

    pub fn instrument(&mut self, old: &Instrument, new: &Instrument) {
        let mut bits = 0;
        if old.mark != new.mark || old.addon != new.addon {
            bits |= SUMS;
            let addon = |v: usize, s: usize| (new.addon[v][s] as i128).wrapping_sub(old.addon[v][s] as i128);
            self.at[usize::from(new.id)] = self.deltas.len() as u16;
            self.deltas.push(Delta {
                mark: new.mark.wrapping_sub(old.mark),
                addon: [[addon(0, 0), addon(0, 1)], [addon(1, 0), addon(1, 1)]],
            });
        }
        if old.unit != new.unit && new.group != 0 {
            bits |= CHARGE | UNIT;
        }
        if old.risk != new.risk {
            bits |= SCAN;
        }
        if old.max_quantity != new.max_quantity {
            bits |= LIMIT;
        }
        self.mark(new.id, new.class, bits);
    }
}

impl Default for Changes {
    fn default() -> Changes {
        Changes::new()
    }
}

impl Block {
    /// Adds quantity x difference for the changed instruments of one run.
    fn shift(&mut self, changes: &Changes, class: usize, local: usize) {
        let (ids, quantities) = self.segments[class].run(local);
        let totals = &mut self.totals[local];
        for (&id, &quantity) in ids.iter().zip(quantities) {
            let n = usize::from(id);
            if changes.bits[n] & SUMS == 0 {
                continue;
            }
            let delta = &changes.deltas[usize::from(changes.at[n])];
            let size = quantity.unsigned_abs() as i128;
            let short = usize::from(quantity < 0);
            totals.equity = totals.equity.wrapping_add((quantity as i128).wrapping_mul(delta.mark));
            for level in 0..LEVELS {
                let more = size.wrapping_mul(delta.addon[level][short]);
                totals.addon[level] = totals.addon[level].wrapping_add(more);
            }
        }
    }

    /// Values again what depends on `changes`; returns the number of accounts that do.
    pub fn tick(
        &mut self,
        kernel: Kernel,
        tables: &Tables,
        changes: &Changes,
        scratch: &mut Scratch,
    ) -> usize {
        let mut touched = [0u8; BLOCK];
        for local in 0..self.len() {
            scratch.flags[local] = self.first_flags(tables, local);
        }
        for class in 0..=usize::from(tables.header().classes) {
            if !changes.classes[class] {
                continue;
            }
            scratch.locals.clear();
            for local in 0..self.len() {
                let (ids, _) = self.segments[class].run(local);
                let seen = ids.iter().fold(0, |seen, &id| seen | changes.bits[usize::from(id) & 4095]);
                touched[local] |= seen;
                if seen == 0 || self.status[local] != Status::Valued {
                    continue;
                }
                if seen & LIMIT != 0 && self.over_limit(tables, class, local) {
                    scratch.flags[local] |= FLAG;
                }
                if seen & SUMS != 0 {
                    self.shift(changes, class, local);
                }
                if seen & SCAN != 0 {
                    scratch.locals.push(local as u16);
                }
            }
            self.scan_class(kernel, tables, class, scratch);
        }
        self.touch_huge(changes, &mut touched);
        if touched[..self.len()].iter().any(|bits| bits & UNIT != 0) {
            self.nets = None;
        }

        let chosen = |block: &Block, bits: u8, fast: bool, all: bool| {
            let fits = move |l: &u16| {
                let local = usize::from(*l);
                (touched[local] & bits != 0 || all) && (block.status[local] == Status::Valued) == fast
            };
            (0..block.len() as u16).filter(fits).collect::<Vec<u16>>()
        };
        let slow = chosen(self, u8::MAX, false, changes.conclude_all);
        scratch.locals = chosen(self, CHARGE, true, false);
        self.charge_groups(kernel, tables, scratch);
        scratch.locals = chosen(self, u8::MAX, true, changes.conclude_all);
        self.conclude(kernel, tables, scratch);
        self.value_flagged(tables, scratch);
        // The exact path first says who has a value at all; whoever has may fit the loops again.
        slow.iter().for_each(|&local| self.value_exactly(tables, usize::from(local)));
        scratch.locals = slow;
        scratch.locals.retain(|&local| self.status[usize::from(local)].valued());
        if !scratch.locals.is_empty() {
            self.value(kernel, tables, scratch);
        }
        touched[..self.len()].iter().filter(|&&bits| bits != 0).count()
    }

    fn touch_huge(&self, changes: &Changes, touched: &mut [u8; BLOCK]) {
        for (&local, positions) in &self.huge {
            touched[usize::from(local)] |=
                positions.iter().fold(0, |seen, p| seen | changes.bits[usize::from(p.0)]);
        }
    }
}
