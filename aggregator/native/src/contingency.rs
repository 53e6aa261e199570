//! M4 for the loops: the lines of a group that can be above zero on each side of its net quantity.

use num_traits::ToPrimitive;

use crate::divide::{ceil_e20, ceil_e20_short};
use crate::policy::{Group, Line, LEVELS, LINES};

/// Lines that rise on one side. With m = abs(net), a line's height there is slope x m + intercept.
#[derive(Debug, Clone, Copy)]
struct Side {
    count: usize,
    slope: [u64; LINES],
    /// Not above zero; `i128::MIN / 2` for one too deep for 126 bits, which is never above zero while
    /// slope x m < 2^126.
    intercept: [i128; LINES],
}

/// What holds near the origin of one side: below `knee` the steepest line through the origin is the highest at both levels.
#[derive(Debug, Clone, Copy)]
struct Near {
    slope: [u64; LEVELS],
    /// Up to here the height is below 2^113.
    knee: u128,
}

/// A group's lines: [level][net > 0, net < 0]. Beyond `reach` the exact path takes over.
#[derive(Debug, Clone)]
pub struct GroupLines {
    near: [Near; 2],
    sides: [[Side; 2]; LEVELS],
    reach: u128,
}

const HEIGHT_BITS: u32 = 124;
const NEAR_BITS: u32 = 113;

/// slope x magnitude below 2^128.
#[inline(always)]
fn rise(magnitude: u128, slope: u64) -> u128 {
    let (low, high) = (magnitude as u64, (magnitude >> 64) as u64);
    low as u128 * slope as u128 + ((high as u128 * slope as u128) << 64)
}

impl Side {
    const NONE: Side = Side { count: 0, slope: [0; LINES], intercept: [0; LINES] };

    /// Lines of the other side fall from a point at or below zero, so they never count.
    fn of(lines: &[Line; LINES], short: bool) -> Option<Side> {
        let mut side = Side::NONE;
        for line in lines.iter().filter(|line| line.slope != 0 && (line.slope < 0) == short) {
            side.slope[side.count] = u64::try_from(line.slope.unsigned_abs()).ok()?;
            let deep = line.intercept.bits() > u64::from(HEIGHT_BITS);
            side.intercept[side.count] = if deep { i128::MIN / 2 } else { line.intercept.to_i128()? };
            side.count += 1;
        }
        Some(side)
    }

    /// The steepest slope through the origin, and the first magnitude at which another line reaches it.
    fn near(&self) -> (u64, u128) {
        let lines = || self.slope.iter().zip(&self.intercept).take(self.count);
        let slope = lines().filter(|(_, &c)| c == 0).map(|(&s, _)| s).max().unwrap_or(0);
        let meets =
            |(&s, &c): (&u64, &i128)| (s > slope).then(|| c.unsigned_abs().div_ceil(u128::from(s - slope)));
        (slope, lines().filter_map(meets).min().unwrap_or(u128::MAX))
    }

    #[inline(always)]
    fn charge(&self, magnitude: u128) -> u64 {
        let mut top = 0i128;
        for n in 0..self.count {
            let slope = self.slope[n];
            top = top.max(rise(magnitude, slope) as i128 + self.intercept[n]);
        }
        ceil_e20(top as u128) as u64
    }
}

impl GroupLines {
    /// No line: nothing is charged, at any net quantity.
    pub fn none() -> GroupLines {
        let near = Near { slope: [0; LEVELS], knee: 1 << NEAR_BITS };
        GroupLines { near: [near; 2], sides: [[Side::NONE; 2]; LEVELS], reach: u128::MAX }
    }

    pub fn of(group: &Group) -> GroupLines {
        let mut lines = GroupLines::none();
        let mut steepest = 1;
        for (level, given) in group.lines.iter().enumerate() {
            for (n, short) in [false, true].into_iter().enumerate() {
                match Side::of(given, short) {
                    Some(side) => lines.sides[level][n] = side,
                    None => lines.reach = 0,
                }
            }
            steepest = given.iter().map(|line| line.slope.unsigned_abs()).fold(steepest, u128::max);
        }
        lines.reach = lines.reach.min((1 << HEIGHT_BITS) / steepest);
        for side in 0..2 {
            let (mm, im) = (lines.sides[0][side].near(), lines.sides[1][side].near());
            let low = (1 << NEAR_BITS) / u128::from(mm.0.max(im.0).max(1));
            let knee = mm.1.min(im.1).min(lines.reach).min(low);
            lines.near[side] = Near { slope: [mm.0, im.0], knee };
        }
        lines
    }

    /// The slopes at both levels that hold on one side while the magnitude is below the second number.
    pub fn near(&self, short: bool) -> ([u64; LEVELS], u128) {
        let near = &self.near[usize::from(short)];
        (near.slope, near.knee)
    }

    /// C_g at both levels in 1e-6 USD; None when the net quantity is beyond what 64 x 128 bits hold.
    #[inline(always)]
    pub fn charges(&self, net: i128) -> Option<[u64; LEVELS]> {
        let magnitude = net.unsigned_abs();
        let near = &self.near[usize::from(net < 0)];
        if magnitude < near.knee {
            let height = |v: usize| rise(magnitude, near.slope[v]);
            return Some([ceil_e20_short(height(0)), ceil_e20_short(height(1))]);
        }
        self.beyond(magnitude, net < 0)
    }

    #[cold]
    #[inline(never)]
    fn beyond(&self, magnitude: u128, short: bool) -> Option<[u64; LEVELS]> {
        if magnitude > self.reach {
            return None;
        }
        let side = usize::from(short);
        Some([self.sides[0][side].charge(magnitude), self.sides[1][side].charge(magnitude)])
    }
}
