//! The book: blocks of accounts under one policy, valued at every change.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::ToPrimitive;
use rayon::prelude::*;

use crate::block::{Block, Scratch, Status, BLOCK};
use crate::divide::{ceil_e14, floor_signed_e14};
use crate::error::Result;
use crate::exact::NO_SCENARIO;
use crate::policy::{Group, Header, Instrument, IDS, MAX_CLASSES, QUANTITY_BITS};
use crate::refuse;
use crate::scan::Kernel;
use crate::tables::Tables;
use crate::tick::Changes;

/// Accounts' positions as rows: account n has the entries starts[n]..starts[n + 1].
pub struct Rows<'a> {
    pub starts: &'a [i64],
    pub ids: &'a [u16],
    pub quantities: Quantities<'a>,
}

/// Quantities in 1e-8 units.
pub enum Quantities<'a> {
    Narrow(&'a [i64]),
    Wide(&'a [i128]),
}

impl Quantities<'_> {
    fn len(&self) -> usize {
        match self {
            Quantities::Narrow(q) => q.len(),
            Quantities::Wide(q) => q.len(),
        }
    }

    fn at(&self, n: usize) -> i128 {
        match self {
            Quantities::Narrow(q) => q[n].into(),
            Quantities::Wide(q) => q[n],
        }
    }
}

/// A change of the policy. What is not named stays.
#[derive(Default)]
pub struct Update {
    pub header: Option<Header>,
    pub groups: Vec<Group>,
    pub instruments: Vec<Instrument>,
    pub removed: Vec<u16>,
}

/// An amount of every account: equity and requirement in 1e-20 USD, or requirement and excess in 1e-6 USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    EquityE20,
    RequirementE20,
    RequirementE6,
    ExcessE6,
}

pub struct Book {
    kernel: Kernel,
    tables: Tables,
    blocks: Vec<Block>,
    len: usize,
}

impl Book {
    pub fn new(kernel: Kernel, tables: Tables) -> Book {
        Book { kernel, tables, blocks: Vec::new(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Bytes held by the accounts and the tables.
    pub fn bytes(&self) -> usize {
        let tables = IDS * (2 * 256 + 128 + 8 + 8 + 1 + 2);
        tables + self.blocks.iter().map(Block::bytes).sum::<usize>()
    }

    /// Positions sorted by id without those of quantity zero; every refusal names the account and the instrument.
    fn checked(&self, account: usize, given: impl Iterator<Item = (u16, i128)>) -> Result<Vec<(u16, i128)>> {
        let mut positions: Vec<(u16, i128)> = given.collect();
        positions.sort_unstable_by_key(|p| p.0);
        for pair in positions.windows(2) {
            if pair[0].0 == pair[1].0 {
                return refuse!(
                    "account {account} names instrument {} twice; add its quantities up",
                    pair[0].0
                );
            }
        }
        for &(id, quantity) in &positions {
            let Some(instrument) = self.tables.instrument(id) else {
                return refuse!(
                    "account {account} holds instrument {id}, which is not in the policy; use one that lists it"
                );
            };
            if quantity.unsigned_abs() > instrument.max_quantity {
                return refuse!(
                    "account {account} has the quantity {quantity}e-8 of instrument {id}, beyond the policy's bound of \
                     {}e-8; split the account or use a policy with a higher bound",
                    instrument.max_quantity
                );
            }
        }
        positions.retain(|p| p.1 != 0);
        Ok(positions)
    }

    fn row(&self, rows: &Rows<'_>, n: usize) -> Result<Vec<(u16, i128)>> {
        let range = rows.starts[n] as usize..rows.starts[n + 1] as usize;
        self.checked(self.len + n, range.map(|at| (rows.ids[at], rows.quantities.at(at))))
    }

    /// Appends accounts and values them; returns the number of the first. Nothing changes when a row is refused.
    pub fn load(&mut self, rows: &Rows<'_>) -> Result<usize> {
        let Some(count) = rows.starts.len().checked_sub(1) else {
            return refuse!("the rows have no start; give one more start than accounts");
        };
        if rows.ids.len() != rows.quantities.len() {
            return refuse!(
                "{} instruments for {} quantities; give one each",
                rows.ids.len(),
                rows.quantities.len()
            );
        }
        let ordered = rows.starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if !ordered || rows.starts[0] != 0 || rows.starts[count] != rows.ids.len() as i64 {
            return refuse!("the starts of rows do not rise from 0 to the number of positions; correct them");
        }
        if u32::try_from(self.len + count).is_err() {
            return refuse!("a book holds fewer than 2^32 accounts; split it");
        }
        let first = self.len;
        // The last block is filled up first, then whole blocks are made side by side.
        let room = match self.blocks.last() {
            Some(last) => (BLOCK - last.len()).min(count),
            None => 0,
        };
        let head = (0..room).map(|n| self.row(rows, n)).collect::<Result<Vec<_>>>()?;
        let chunks: Vec<usize> = (room..count).step_by(BLOCK).collect();
        let this = &*self;
        let made = chunks
            .par_iter()
            .map_init(
                || Scratch::new(&this.tables),
                |scratch, &from| {
                    let mut block = Block::default();
                    for n in from..(from + BLOCK).min(count) {
                        block.push(&this.tables, &this.row(rows, n)?);
                    }
                    block.value_all(this.kernel, &this.tables, scratch);
                    Ok(block)
                },
            )
            .collect::<Result<Vec<Block>>>()?;
        if let Some(last) = self.blocks.last_mut() {
            for positions in &head {
                last.push(&self.tables, positions);
            }
            last.value_all(self.kernel, &self.tables, &mut Scratch::new(&self.tables));
        }
        self.blocks.extend(made);
        self.len += count;
        Ok(first)
    }

    fn place(&self, account: usize) -> Result<(usize, usize)> {
        if account >= self.len {
            return refuse!("account {account} is not in the book, which has {}; add it first", self.len);
        }
        Ok((account / BLOCK, account % BLOCK))
    }

    /// An account's positions by instrument id.
    pub fn positions(&self, account: usize) -> Result<Vec<(u16, i128)>> {
        let (block, local) = self.place(account)?;
        Ok(self.blocks[block].positions(local))
    }

    /// Gives an account other positions and values it.
    pub fn set(&mut self, account: usize, positions: &[(u16, i128)]) -> Result<()> {
        let (block, local) = self.place(account)?;
        let positions = self.checked(account, positions.iter().copied())?;
        let block = &mut self.blocks[block];
        block.replace(&self.tables, local, &positions);
        let mut scratch = Scratch::new(&self.tables);
        scratch.locals.push(local as u16);
        block.value(self.kernel, &self.tables, &mut scratch);
        Ok(())
    }

    /// Adds to (or takes from) an account's positions and values it.
    pub fn trade(&mut self, account: usize, changes: &[(u16, i128)]) -> Result<()> {
        let mut held: std::collections::BTreeMap<u16, i128> = self.positions(account)?.into_iter().collect();
        for &(id, quantity) in changes {
            // From one limit to the other is below 2^81.
            if quantity.unsigned_abs() >> (QUANTITY_BITS + 1) != 0 {
                return refuse!(
                    "account {account} trades {quantity}e-8 of instrument {id}, 2^81e-8 or more; split it"
                );
            }
            *held.entry(id).or_default() += quantity;
        }
        let positions: Vec<_> = held.into_iter().collect();
        self.set(account, &positions)
    }

    /// Values every account from its positions.
    pub fn value_all(&mut self) {
        let (kernel, tables) = (self.kernel, &self.tables);
        self.blocks.par_iter_mut().for_each_init(
            || Scratch::new(tables),
            |scratch, block| block.value_all(kernel, tables, scratch),
        );
    }

    fn changes(&self, update: &Update) -> Changes {
        let mut changes = Changes::new();
        if let Some(header) = &update.header {
            changes.header(self.tables.header(), header);
        }
        for new in &update.instruments {
            if let Some(old) = self.tables.instrument(new.id) {
                changes.instrument(old, new);
            } else if self.tables.known(new.id) {
                changes.listing(&self.tables, new.id);
            }
            changes.lay_out |= self.tables.known(new.id) && self.tables.moves(new);
        }
        for &id in &update.removed {
            changes.listing(&self.tables, id);
        }
        for group in &update.groups {
            if self.tables.group(group.id).is_some_and(|old| old != group) {
                changes.group(&self.tables, group.id);
            }
        }
        changes
    }

    /// Changes the policy and values what depends on the change; returns the number of accounts that hold a changed
    /// instrument. Nothing changes when the update is refused.
    pub fn apply(&mut self, update: Update) -> Result<usize> {
        let header = update.header.as_ref().unwrap_or(self.tables.header());
        self.tables.check(header, &update.groups, &update.instruments)?;
        for &id in &update.removed {
            if self.tables.instrument(id).is_none() {
                return refuse!("instrument {id} is not in the policy and cannot be taken out; leave it out");
            }
        }
        let changes = self.changes(&update);
        for group in update.groups {
            self.tables.put_group(group);
        }
        for id in update.removed {
            self.tables.remove(id);
        }
        for instrument in update.instruments {
            self.tables.put(instrument);
        }
        if let Some(header) = update.header {
            self.tables.set_header(header);
        }
        self.tables.settle();
        let (kernel, tables) = (self.kernel, &self.tables);
        if changes.lay_out {
            self.blocks.par_iter_mut().for_each_init(
                || Scratch::new(tables),
                |scratch, block| {
                    block.lay_out(tables);
                    block.value_checked(kernel, tables, scratch);
                },
            );
            return Ok(self.len);
        }
        Ok(self
            .blocks
            .par_iter_mut()
            .map_init(|| Scratch::new(tables), |scratch, block| block.tick(kernel, tables, &changes, scratch))
            .sum())
    }

    fn collect<T: Send>(&self, each: impl Fn(&Block, usize) -> T + Sync) -> Vec<T> {
        self.blocks
            .par_iter()
            .flat_map_iter(|block| (0..block.len()).map(|local| each(block, local)).collect::<Vec<_>>())
            .collect()
    }

    /// An amount of every account at a level; 0 for an account without a value.
    pub fn amounts(&self, amount: Amount, level: usize) -> Vec<i128> {
        self.collect(|block, local| block.amount(amount, level, local))
    }

    /// `amounts` where each fits 64 bits.
    pub fn narrow(&self, amount: Amount, level: usize) -> Result<Vec<i64>> {
        let found = self.collect(|block, local| match (amount, block.status[local]) {
            (Amount::ExcessE6, Status::Valued) => Some(block.excess[level][local]),
            _ => i64::try_from(block.amount(amount, level, local)).ok(),
        });
        self.all_fit(found)
    }

    fn all_fit(&self, found: Vec<Option<i64>>) -> Result<Vec<i64>> {
        if let Some(account) = found.iter().position(Option::is_none) {
            return refuse!("an amount of account {account} does not fit 64 bits; read the wide column");
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// floor(equity x 1e6 / requirement) of every account; i64::MAX where nothing is required.
    pub fn health(&self, level: usize) -> Result<Vec<i64>> {
        let found = self.collect(|block, local| {
            let required = block.requirement[local][level];
            if !block.status[local].valued() {
                return Some(0);
            }
            if required == 0 {
                return Some(i64::MAX);
            }
            let equity = block.totals[local].equity;
            match equity.checked_mul(1_000_000) {
                Some(scaled) => i64::try_from(scaled.div_euclid(required)).ok(),
                None => (BigInt::from(equity) * 1_000_000i64).div_floor(&BigInt::from(required)).to_i64(),
            }
        });
        self.all_fit(found)
    }

    /// How each account was valued, as `Status`.
    pub fn statuses(&self) -> Vec<u8> {
        self.collect(|block, local| block.status[local] as u8)
    }

    /// Accounts with a value whose equity is below the requirement at a level.
    pub fn below(&self, level: usize) -> Vec<u64> {
        self.blocks
            .par_iter()
            .enumerate()
            .flat_map_iter(|(n, block)| {
                (0..block.len())
                    .filter(|&local| {
                        let short = block.totals[local].equity < block.requirement[local][level];
                        short && block.status[local].valued()
                    })
                    .map(|local| (n * BLOCK + local) as u64)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// L_k in 1e-6 USD of every account for a class id; saturated for a `Wide` account beyond 64 bits.
    pub fn scan_risk(&self, class: usize) -> Result<Vec<u64>> {
        let k = self.class_index(class)?;
        Ok(self.collect(|block, local| if block.status[local].valued() { block.scan[k][local] } else { 0 }))
    }

    /// The scenario that decides L_k for a class id; 255 where none loses.
    pub fn worst(&self, class: usize) -> Result<Vec<u8>> {
        let k = self.class_index(class)?;
        let of = |block: &Block, l: usize| {
            if block.status[l].valued() {
                block.worst[k][l]
            } else {
                NO_SCENARIO
            }
        };
        Ok(self.collect(of))
    }

    fn class_index(&self, class: usize) -> Result<usize> {
        let classes = usize::from(self.tables.header().classes).min(MAX_CLASSES);
        if class == 0 || class > classes {
            return refuse!("class {class} is not in the policy; its classes are 1..{classes}");
        }
        Ok(class - 1)
    }
}

impl Block {
    fn amount(&self, amount: Amount, level: usize, local: usize) -> i128 {
        if !self.status[local].valued() {
            return 0;
        }
        let equity = self.totals[local].equity;
        let requirement = self.requirement[local][level];
        match amount {
            Amount::EquityE20 => equity,
            Amount::RequirementE20 => requirement,
            Amount::RequirementE6 => ceil_e14(requirement as u128) as i128,
            Amount::ExcessE6 => floor_signed_e14(equity - requirement),
        }
    }
}
