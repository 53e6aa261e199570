//! M1-M7 of one account in integers of any size: what the fast paths are held against, and what takes the accounts
//! that they do not.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::policy::{
    Group, Header, Instrument, CLAIM_BITS, E20_PER_E6, E26_PER_E6, LEVELS, MAX_CLASSES, RATE_SCALE,
    SCENARIOS, TOTAL_BITS,
};
use crate::tables::Tables;

/// Why an account has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It holds an instrument that the policy does not list.
    Unpriced,
    /// A quantity is beyond the policy's limit for the instrument.
    OverLimit,
    /// A result is beyond the bounds of docs/protocol.md, section 1.
    Beyond,
}

/// One account's results. `scan` is L_k and `worst` its scenario by class id - 1, 255 where none loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    pub equity: i128,
    pub addon: [i128; LEVELS],
    pub contingency: [u128; LEVELS],
    pub scan: [u128; MAX_CLASSES],
    pub worst: [u8; MAX_CLASSES],
    pub requirement: [i128; LEVELS],
}

/// The scenario index that says "none loses".
pub const NO_SCENARIO: u8 = 255;

fn bounded(value: &BigInt, bits: u32) -> Result<(), Reason> {
    if value.abs() >= BigInt::one() << bits {
        return Err(Reason::Beyond);
    }
    Ok(())
}

/// The smallest R with R^2 x 1e6 >= total.
pub fn root_up(total: &BigUint) -> BigUint {
    let wanted = total.div_ceil(&BigUint::from(RATE_SCALE));
    let root = wanted.sqrt();
    if &root * &root == wanted {
        root
    } else {
        root + 1u8
    }
}

/// sum rho_kl L_k L_l.
pub fn radicand(header: &Header, scan: &[u128]) -> BigUint {
    let mut total = BigUint::zero();
    for (row, &left) in header.rho.iter().zip(scan) {
        for (&rho, &right) in row.iter().zip(scan) {
            total += BigUint::from(left) * right * rho;
        }
    }
    total
}

fn scan_risk(held: &[(&Instrument, i128)], class: u8) -> Result<(u128, u8), Reason> {
    let mut pnl = vec![BigInt::zero(); SCENARIOS];
    for (instrument, quantity) in held.iter().filter(|(i, _)| i.class == class) {
        for (sum, &risk) in pnl.iter_mut().zip(&instrument.risk) {
            *sum += BigInt::from(*quantity) * risk;
        }
    }
    let mut lane = 0;
    for s in 1..SCENARIOS {
        if pnl[s] < pnl[lane] {
            lane = s;
        }
    }
    if !pnl[lane].is_negative() {
        return Ok((0, NO_SCENARIO));
    }
    let risk = (-&pnl[lane]).div_ceil(&BigInt::from(E20_PER_E6));
    bounded(&risk, CLAIM_BITS)?;
    Ok((risk.to_u128().unwrap_or(u128::MAX), lane as u8))
}

fn charge(group: &Group, held: &[(&Instrument, i128)], level: usize) -> Result<BigInt, Reason> {
    let mut net = BigInt::zero();
    for (instrument, quantity) in held.iter().filter(|(i, _)| i.group == group.id) {
        net += BigInt::from(*quantity) * instrument.unit;
    }
    let top = group.lines[level].iter().map(|line| &net * line.slope + &line.intercept).max();
    let charge = top.unwrap_or_default().div_ceil(&BigInt::from(E26_PER_E6)).max(BigInt::zero());
    bounded(&charge, CLAIM_BITS)?;
    Ok(charge)
}

/// Evaluates one account; `positions` are (instrument id, quantity), each instrument once.
pub fn evaluate(tables: &Tables, positions: &[(u16, i128)]) -> Result<Evaluation, Reason> {
    let mut held = Vec::with_capacity(positions.len());
    for &(id, quantity) in positions {
        let instrument = tables.instrument(id).ok_or(Reason::Unpriced)?;
        held.push((instrument, quantity));
    }
    if held.iter().any(|(i, q)| q.unsigned_abs() > i.max_quantity) {
        return Err(Reason::OverLimit);
    }
    let header = tables.header();
    let mut scan = [0; MAX_CLASSES];
    let mut worst = [NO_SCENARIO; MAX_CLASSES];
    for class in 1..=header.classes {
        let k = usize::from(class) - 1;
        (scan[k], worst[k]) = scan_risk(&held, class)?;
    }
    let equity: BigInt = held.iter().map(|(i, q)| BigInt::from(*q) * i.mark).sum();
    let correlated = BigInt::from(root_up(&radicand(header, &scan)));
    bounded(&correlated, TOTAL_BITS)?;

    let mut groups: Vec<u16> = held.iter().map(|(i, _)| i.group).filter(|&g| g != 0).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut result = Evaluation {
        equity: equity.to_i128().ok_or(Reason::Beyond)?,
        addon: [0; LEVELS],
        contingency: [0; LEVELS],
        scan,
        worst,
        requirement: [0; LEVELS],
    };
    for level in 0..LEVELS {
        let mut contingency = BigInt::zero();
        for &id in &groups {
            let group = tables.group(id).ok_or(Reason::Unpriced)?;
            contingency += charge(group, &held, level)?;
        }
        let rate = |i: &Instrument, q: i128| i.addon[level][usize::from(q < 0)];
        let addon: BigInt = held.iter().map(|(i, q)| BigInt::from(q.abs()) * rate(i, *q)).sum();
        let unit = BigInt::from(E20_PER_E6);
        let scaled: BigInt = &correlated * header.factor[level] * (E20_PER_E6 as u64 / RATE_SCALE);
        let requirement: BigInt = scaled + &contingency * &unit + &addon;
        bounded(&requirement.div_ceil(&unit), TOTAL_BITS)?;
        bounded(&(&equity - &requirement).div_floor(&unit), TOTAL_BITS)?;
        result.addon[level] = addon.to_i128().ok_or(Reason::Beyond)?;
        result.contingency[level] = contingency.to_u128().ok_or(Reason::Beyond)?;
        result.requirement[level] = requirement.to_i128().ok_or(Reason::Beyond)?;
    }
    Ok(result)
}
