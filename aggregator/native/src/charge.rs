//! M4 of a block: the net quantities of its accounts by group, and what they are charged.

use crate::block::{Block, Scratch, Segment};
use crate::policy::LEVELS;
use crate::scan::{Kernel, FLAG};
use crate::tables::{Tables, LIMB, LIMB_BITS};

/// Each charge is below 2^58, so this many fit a word.
const MAX_GROUPS: usize = 64;

/// Eight accounts with the magnitudes of their net quantities in one group, in limbs of 52 bits. A place that is not needed
/// has a magnitude of 0.
#[derive(Debug, Clone)]
pub struct Eight {
    pub low: [u64; 8],
    pub high: [u64; 8],
    pub local: [u16; 8],
}

/// The accounts that are net long, or net short, in one group.
#[derive(Debug, Clone)]
struct Column {
    group: u16,
    short: bool,
    eights: Vec<Eight>,
    /// Those beyond two limbs.
    wide: Vec<(u16, i128)>,
}

impl Column {
    fn of(group: u16, short: bool, nets: &[(u16, i128)]) -> Column {
        let (narrow, wide): (Vec<_>, Vec<_>) = nets
            .iter()
            .filter(|n| (n.1 < 0) == short)
            .partition(|n| n.1.unsigned_abs() >> (2 * LIMB_BITS) == 0);
        let eight = |part: &[(u16, i128)]| {
            let mut one = Eight { low: [0; 8], high: [0; 8], local: [part[0].0; 8] };
            for (n, &(local, net)) in part.iter().enumerate() {
                one.local[n] = local;
                one.low[n] = net.unsigned_abs() as u64 & LIMB;
                one.high[n] = (net.unsigned_abs() >> LIMB_BITS) as u64;
            }
            one
        };
        Column { group, short, eights: narrow.chunks(8).map(eight).collect(), wide }
    }

    fn signed(&self, magnitude: u128) -> i128 {
        if self.short {
            -(magnitude as i128)
        } else {
            magnitude as i128
        }
    }

    /// Adds C_g of one account; false when its net quantity is beyond the loops.
    fn charge(&self, tables: &Tables, net: i128, sum: &mut [u64; LEVELS]) -> bool {
        match tables.lines[usize::from(self.group) & 4095].charges(net) {
            Some(both) => {
                add(sum, both);
                true
            }
            None => false,
        }
    }
}

#[inline(always)]
fn add(sum: &mut [u64; LEVELS], both: [u64; LEVELS]) {
    for (total, charge) in sum.iter_mut().zip(both) {
        *total = total.wrapping_add(charge);
    }
}

/// What M4 needs of a block's positions, as long as neither they nor the units change.
#[derive(Debug, Clone)]
pub struct Nets {
    columns: Vec<Column>,
    /// Accounts in more groups than a word of charges holds.
    crowded: Vec<u16>,
}

/// One account's net quantities by group; `grouped` is sorted by group.
fn nets_of<'a>(
    tables: &'a Tables,
    grouped: &'a Segment,
    local: usize,
) -> impl Iterator<Item = (u16, i128)> + 'a {
    let (ids, mut quantities) = grouped.run(local);
    let of = |id: &u16| tables.group_of[usize::from(*id) & 4095];
    ids.chunk_by(move |a, b| of(a) == of(b)).map(move |members| {
        let (own, rest) = quantities.split_at(members.len());
        quantities = rest;
        let value = |(&id, &q): (&u16, &i64)| q as i128 * tables.unit[usize::from(id) & 4095] as i128;
        (of(&members[0]), members.iter().zip(own).map(value).sum())
    })
}

impl Nets {
    fn of(tables: &Tables, grouped: &Segment, accounts: usize) -> Nets {
        let mut all = Vec::new();
        let mut crowded = Vec::new();
        for local in 0..accounts {
            let before = all.len();
            all.extend(nets_of(tables, grouped, local).map(|(group, net)| (group, local as u16, net)));
            if all.len() - before > MAX_GROUPS {
                crowded.push(local as u16);
            }
        }
        all.sort_by_key(|n| n.0);
        let both = |part: &[(u16, u16, i128)]| {
            let nets: Vec<_> = part.iter().map(|n| (n.1, n.2)).collect();
            [false, true].map(|short| Column::of(part[0].0, short, &nets))
        };
        Nets { columns: all.chunk_by(|a, b| a.0 == b.0).flat_map(both).collect(), crowded }
    }

    pub fn bytes(&self) -> usize {
        let of = |c: &Column| {
            c.eights.capacity() * size_of::<Eight>() + c.wide.capacity() * size_of::<(u16, i128)>()
        };
        self.columns.iter().map(|c| size_of::<Column>() + of(c)).sum()
    }
}

impl Block {
    /// M4 of the accounts in `scratch.locals`.
    pub(crate) fn charge_groups(&mut self, kernel: Kernel, tables: &Tables, scratch: &mut Scratch) {
        if scratch.locals.len() < self.len() {
            self.charge_some(tables, scratch);
            return;
        }
        let flags = &mut scratch.flags;
        let nets = match self.nets.take() {
            Some(nets) => nets,
            None => Nets::of(tables, &self.grouped, self.len()),
        };
        self.contingency.fill([0; LEVELS]);
        let mut left = Vec::new();
        for column in &nets.columns {
            left.clear();
            match kernel {
                #[cfg(target_arch = "x86_64")]
                Kernel::Ifma => {
                    let (slopes, knee) = tables.lines[usize::from(column.group) & 4095].near(column.short);
                    // SAFETY: `Kernel::Ifma` is only made by `Kernel::best`, which has seen its features.
                    unsafe {
                        crate::lanes::charge(slopes, knee, &column.eights, &mut self.contingency, &mut left);
                    }
                }
                _ => left.extend(column.eights.iter().flat_map(|eight| {
                    let whole = |n: usize| eight.low[n] as u128 | (eight.high[n] as u128) << LIMB_BITS;
                    (0..8).map(move |n| (eight.local[n], whole(n)))
                })),
            }
            let rest = left.iter().map(|&(local, magnitude)| (local, column.signed(magnitude)));
            for (local, net) in rest.chain(column.wide.iter().copied()) {
                let local = usize::from(local);
                if !column.charge(tables, net, &mut self.contingency[local]) {
                    flags[local] |= FLAG;
                }
            }
        }
        for &local in &nets.crowded {
            flags[usize::from(local)] |= FLAG;
        }
        self.nets = Some(nets);
    }

    fn charge_some(&mut self, tables: &Tables, scratch: &mut Scratch) {
        for &local in &scratch.locals {
            let local = usize::from(local);
            let mut sum = [0; LEVELS];
            let mut fits = true;
            for (n, (group, net)) in nets_of(tables, &self.grouped, local).enumerate() {
                match tables.lines[usize::from(group) & 4095].charges(net) {
                    Some(both) => add(&mut sum, both),
                    None => fits = false,
                }
                fits &= n < MAX_GROUPS;
            }
            self.contingency[local] = sum;
            if !fits {
                scratch.flags[local] |= FLAG;
            }
        }
    }
}
