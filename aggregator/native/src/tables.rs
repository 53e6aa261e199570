//! A policy laid out for the loops: risk rows in limbs of 52 bits, sums of marks and add-ons, lines by side.

use crate::contingency::GroupLines;
use crate::error::Result;
use crate::policy::{Group, Header, Instrument, IDS, LEVELS, MAX_CLASSES, SCENARIOS};
use crate::refuse;

pub const LIMB_BITS: u32 = 52;
pub const LIMB: u64 = (1 << LIMB_BITS) - 1;

/// One limb of the 32 scenarios of an instrument.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Row(pub [u64; SCENARIOS]);

/// What a quantity's magnitude is multiplied by beside the scenarios, in limbs of 52 bits, low one first:
/// mark where it adds to equity, mark where it takes away, add-on at MM, add-on at IM.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct SumRow(pub [u64; 8]);

/// The kernel's view of one policy. Rows are indexed by instrument id; an absent instrument has a limit of 0, which no
/// position keeps.
pub struct Tables {
    header: Header,
    instruments: Vec<Option<Box<Instrument>>>,
    groups: Vec<Option<Box<Group>>>,
    pub(crate) low: Box<[Row; IDS]>,
    pub(crate) high: Box<[Row; IDS]>,
    /// [id][0 long, 1 short]
    pub(crate) sums: Box<[[SumRow; 2]; IDS]>,
    pub(crate) limit: Box<[u64; IDS]>,
    pub(crate) unit: Box<[i64; IDS]>,
    pub(crate) class_of: Box<[u8; IDS]>,
    pub(crate) group_of: Box<[u16; IDS]>,
    pub(crate) lines: Vec<GroupLines>,
    known: Vec<bool>,
    /// Limbs of the risk rows of each class id.
    pub(crate) limbs: [u8; MAX_CLASSES + 1],
    /// Accounts with more positions than this take the exact path: their sums could leave 126 bits.
    pub(crate) max_positions: usize,
    /// Positions of a class that the IFMA loop takes.
    pub(crate) max_run: usize,
}

fn boxed<T: Copy, const N: usize>(value: T) -> Box<[T; N]> {
    match vec![value; N].into_boxed_slice().try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("the length is N"),
    }
}

impl Tables {
    /// An empty policy with `header`.
    pub fn new(header: Header) -> Result<Tables> {
        header.check()?;
        let mut tables = Tables {
            header,
            instruments: (0..IDS).map(|_| None).collect(),
            groups: (0..IDS).map(|_| None).collect(),
            low: boxed(Row([0; SCENARIOS])),
            high: boxed(Row([0; SCENARIOS])),
            sums: boxed([SumRow([0; 8]); 2]),
            limit: boxed(0),
            unit: boxed(0),
            class_of: boxed(0),
            group_of: boxed(0),
            lines: vec![GroupLines::none(); IDS],
            known: vec![false; IDS],
            limbs: [1; MAX_CLASSES + 1],
            max_positions: 0,
            max_run: 0,
        };
        tables.settle();
        Ok(tables)
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn instrument(&self, id: u16) -> Option<&Instrument> {
        self.instruments.get(usize::from(id))?.as_deref()
    }

    pub fn group(&self, id: u16) -> Option<&Group> {
        self.groups.get(usize::from(id))?.as_deref()
    }

    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.instruments.iter().filter_map(|i| i.as_deref())
    }

    /// Whether the id was ever listed, so that an account may hold it.
    pub fn known(&self, id: u16) -> bool {
        self.known[usize::from(id)]
    }

    /// Whether `new` is laid out in another class or group than the id was.
    pub fn moves(&self, new: &Instrument) -> bool {
        let n = usize::from(new.id);
        self.class_of[n] != new.class || self.group_of[n] != new.group
    }

    /// Every check of `put`, `put_group`, `remove` and `set_header`, taken together and before any change.
    pub fn check(&self, header: &Header, groups: &[Group], instruments: &[Instrument]) -> Result<()> {
        header.check()?;
        for group in groups {
            group.check()?;
        }
        for instrument in instruments {
            instrument.check(header.classes)?;
            let group = instrument.group;
            if group != 0 && self.group(group).is_none() && groups.iter().all(|g| g.id != group) {
                return refuse!(
                    "instrument {} is in group {group}, which the policy lacks; add it",
                    instrument.id
                );
            }
        }
        let given: Vec<u16> = instruments.iter().map(|i| i.id).collect();
        if let Some(old) = self.instruments().find(|i| i.class > header.classes && !given.contains(&i.id)) {
            return refuse!(
                "instrument {} is in class {}, which the policy lacks; move it",
                old.id,
                old.class
            );
        }
        Ok(())
    }

    pub fn set_header(&mut self, header: Header) {
        self.header = header;
    }

    pub fn put_group(&mut self, group: Group) {
        let n = usize::from(group.id);
        self.lines[n] = GroupLines::of(&group);
        self.groups[n] = Some(Box::new(group));
    }

    /// Puts in or replaces an instrument; call `settle` after the last one.
    pub fn put(&mut self, instrument: Instrument) {
        let n = usize::from(instrument.id);
        self.limit[n] = u64::try_from(instrument.max_quantity).unwrap_or(u64::MAX);
        self.unit[n] = instrument.unit as i64;
        self.class_of[n] = instrument.class;
        self.group_of[n] = instrument.group;
        for (short, row) in self.sums[n].iter_mut().enumerate() {
            let adds = (instrument.mark >= 0) == (short == 0);
            let mark = instrument.mark.unsigned_abs();
            let parts = [
                if adds { mark } else { 0 },
                if adds { 0 } else { mark },
                instrument.addon[0][short],
                instrument.addon[1][short],
            ];
            for (limbs, part) in row.0.chunks_exact_mut(2).zip(parts) {
                limbs.copy_from_slice(&[part as u64 & LIMB, (part >> LIMB_BITS) as u64]);
            }
        }
        self.known[n] = true;
        self.instruments[n] = Some(Box::new(instrument));
        self.write_row(n);
    }

    /// Takes an instrument out: whoever holds it has no value from here on.
    pub fn remove(&mut self, id: u16) {
        let n = usize::from(id);
        self.limit[n] = 0;
        self.instruments[n] = None;
    }

    fn write_row(&mut self, n: usize) {
        let Some(instrument) = self.instruments[n].as_deref() else {
            return;
        };
        let two = self.limbs[usize::from(instrument.class)] == 2;
        for (s, &risk) in instrument.risk.iter().enumerate() {
            let bias = 1i128 << if two { 2 * LIMB_BITS - 1 } else { LIMB_BITS - 1 };
            let raised = risk.wrapping_add(bias) as u128;
            self.low[n].0[s] = raised as u64 & LIMB;
            self.high[n].0[s] = if two { (raised >> LIMB_BITS) as u64 } else { 0 };
        }
    }

    /// Chooses each class's limbs, rewrites the rows of a class whose choice changed, and bounds the sums.
    pub fn settle(&mut self) {
        let mut limbs = [1u8; MAX_CLASSES + 1];
        let mut reach = 1u128;
        for instrument in self.instruments() {
            reach = reach.max(instrument.reach());
            let wide = instrument.risk.iter().any(|r| r.unsigned_abs() >> (LIMB_BITS - 1) != 0);
            if wide {
                limbs[usize::from(instrument.class)] = 2;
            }
        }
        self.max_positions = usize::try_from((1u128 << 125) / reach - 1).unwrap_or(usize::MAX).min(IDS);
        self.max_run = usize::try_from(((1u128 << 113) - 1) / reach).unwrap_or(usize::MAX).min(2047);
        let before = std::mem::replace(&mut self.limbs, limbs);
        for n in 0..IDS {
            let class = self.instruments[n].as_ref().map(|i| usize::from(i.class));
            if class.is_some_and(|k| before[k] != limbs[k]) {
                self.write_row(n);
            }
        }
    }

    /// A policy from its parts.
    pub fn build(header: Header, groups: Vec<Group>, instruments: Vec<Instrument>) -> Result<Tables> {
        let mut tables = Tables::new(header)?;
        tables.check(&tables.header, &groups, &instruments)?;
        for group in groups {
            if tables.group(group.id).is_some() {
                return refuse!("group {} is given twice; ids are unique", group.id);
            }
            tables.put_group(group);
        }
        for instrument in instruments {
            if tables.instrument(instrument.id).is_some() {
                return refuse!("instrument {} is given twice; ids are unique", instrument.id);
            }
            tables.put(instrument);
        }
        tables.settle();
        Ok(tables)
    }
}

/// Levels share one order everywhere: MM, IM.
const _: () = assert!(LEVELS == 2);
