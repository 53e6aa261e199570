//! The book against the exact path, account by account, on random policies, ticks and trades.

use crate::block::Status;
use crate::book::{Amount, Book, Quantities, Rows, Update};
use crate::divide::floor_signed_e14;
use crate::exact::{self, NO_SCENARIO};
use crate::policy::{Group, Header, Instrument, LEVELS};
use crate::scan::Kernel;
use crate::tables::Tables;
use crate::testing::{self, Random, Sizes, EXTREME, LIMBS, ORDINARY};

type Positions = Vec<(u16, i128)>;
type Change = dyn Fn(&mut Header, &mut Vec<Group>, &mut Vec<Instrument>);

fn kernels() -> Vec<Kernel> {
    let mut all = vec![Kernel::Portable];
    if Kernel::best() != Kernel::Portable {
        all.push(Kernel::best());
    }
    all
}

fn load(book: &mut Book, accounts: &[Positions]) {
    let mut starts = vec![0];
    let (mut ids, mut quantities) = (Vec::new(), Vec::new());
    for positions in accounts {
        ids.extend(positions.iter().map(|p| p.0));
        quantities.extend(positions.iter().map(|p| p.1));
        starts.push(ids.len() as i64);
    }
    let rows = Rows { starts: &starts, ids: &ids, quantities: Quantities::Wide(&quantities) };
    book.load(&rows).unwrap();
}

/// Every result of the book equals that of the exact path under `tables`; returns how many took the fast way.
fn agrees(book: &Book, tables: &Tables, accounts: &[Positions]) -> usize {
    let statuses = book.statuses();
    let equity = book.amounts(Amount::EquityE20, 0);
    let classes = usize::from(tables.header().classes);
    let scans: Vec<_> = (1..=classes).map(|k| book.scan_risk(k).unwrap()).collect();
    let worst: Vec<_> = (1..=classes).map(|k| book.worst(k).unwrap()).collect();
    for level in 0..LEVELS {
        let required = book.amounts(Amount::RequirementE20, level);
        let excess = book.amounts(Amount::ExcessE6, level);
        let below = book.below(level);
        for (n, positions) in accounts.iter().enumerate() {
            let found = match exact::evaluate(tables, positions) {
                Err(reason) => {
                    assert_eq!(statuses[n], Status::from(reason) as u8, "account {n}");
                    assert!(!below.contains(&(n as u64)));
                    continue;
                }
                Ok(found) => found,
            };
            assert!(statuses[n] <= Status::Wide as u8, "account {n}: {} {found:?}", statuses[n]);
            assert_eq!(equity[n], found.equity, "equity of {n}");
            for k in 0..classes {
                assert_eq!(
                    scans[k][n],
                    u64::try_from(found.scan[k]).unwrap_or(u64::MAX),
                    "scan of {n} in {k}"
                );
                assert_eq!(worst[k][n], found.worst[k], "scenario of {n} in {k}");
            }
            assert_eq!(required[n], found.requirement[level], "requirement of {n}");
            assert_eq!(excess[n], floor_signed_e14(found.equity - found.requirement[level]), "excess of {n}");
            assert_eq!(below.contains(&(n as u64)), excess[n] < 0);
        }
    }
    statuses.iter().filter(|&&s| s == Status::Valued as u8).count()
}

fn random_book(
    random: &mut Random,
    kernel: Kernel,
    sizes: Sizes,
) -> (Book, Tables, Vec<Instrument>, Vec<Positions>) {
    let count = 1 + random.below(30) as u16;
    let (header, groups, instruments) = testing::policy(random, count, sizes);
    let tables = Tables::build(header.clone(), groups.clone(), instruments.clone()).unwrap();
    let mut book = Book::new(kernel, Tables::build(header, groups, instruments.clone()).unwrap());
    let wanted = random.below(600);
    let accounts: Vec<_> = (0..wanted).map(|_| testing::positions(random, &instruments, 25)).collect();
    let half = accounts.len() / 2;
    load(&mut book, &accounts[..half]);
    load(&mut book, &accounts[half..]);
    (book, tables, instruments, accounts)
}

#[test]
fn equals_the_exact_path_on_random_books() {
    for kernel in kernels() {
        let mut fast = 0;
        for seed in 0..24 {
            let mut random = Random::new(seed);
            let sizes = [ORDINARY, LIMBS, EXTREME][seed as usize % 3];
            let (mut book, tables, _, accounts) = random_book(&mut random, kernel, sizes);
            fast += agrees(&book, &tables, &accounts);
            book.value_all();
            agrees(&book, &tables, &accounts);
            for (n, positions) in accounts.iter().enumerate() {
                let held: Positions = positions.iter().copied().filter(|p| p.1 != 0).collect();
                assert_eq!(book.positions(n).unwrap(), held);
            }
        }
        assert!(fast > 1000, "the fast way was hardly taken: {fast}");
    }
}

fn moved(random: &mut Random, one: &Instrument, sizes: Sizes) -> Instrument {
    let mut new = testing::instrument(random, one.id, one.class, 0, sizes);
    new.group = one.group;
    new.class = one.class;
    if one.class == 0 {
        new.risk = one.risk;
    } else if new.risk == [0; 32] {
        new.risk[3] = -1;
    }
    // Now and then only one number moves.
    match random.below(5) {
        0 => Instrument { mark: new.mark / 2, max_quantity: 1000, ..one.clone() },
        1 => Instrument { unit: new.unit, ..one.clone() },
        2 => Instrument { max_quantity: one.max_quantity / 2, ..one.clone() },
        _ => {
            new.max_quantity = ((1u128 << 118) - 1) / new.factor().max(1);
            new.max_quantity = new.max_quantity.min(one.max_quantity);
            new
        }
    }
}

#[test]
fn ticks_and_trades_leave_what_a_full_valuation_gives() {
    for kernel in kernels() {
        for seed in 100..118 {
            let mut random = Random::new(seed);
            let sizes = [ORDINARY, LIMBS, EXTREME][seed as usize % 3];
            let (mut book, mut tables, mut instruments, mut accounts) =
                random_book(&mut random, kernel, sizes);
            for step in 0..6 {
                let mut update = Update::default();
                for n in 0..instruments.len() {
                    let comes_back = step == 5 && n == 0;
                    if random.below(3) == 0 && !comes_back {
                        let new = moved(&mut random, &instruments[n], sizes);
                        if new.check(tables.header().classes).is_ok() {
                            instruments[n] = new.clone();
                            update.instruments.push(new);
                        }
                    }
                }
                if step == 2 && tables.group(1).is_some() {
                    update.groups.push(testing::group(&mut random, 1, sizes));
                }
                if step == 5 {
                    update.instruments.push(instruments[0].clone());
                }
                if step == 3 {
                    update.header = Some(testing::header(&mut random, tables.header().classes));
                }
                if step == 4 {
                    update.instruments.retain(|i| i.id != instruments[0].id);
                    update.removed.push(instruments[0].id);
                }
                let mut groups: Vec<_> = (1..4).filter_map(|g| tables.group(g).cloned()).collect();
                for new in &update.groups {
                    groups.retain(|g| g.id != new.id);
                    groups.push(new.clone());
                }
                let header = update.header.clone().unwrap_or(tables.header().clone());
                let gone = update.removed.clone();
                book.apply(update).unwrap();
                let listed = instruments.iter().filter(|i| !gone.contains(&i.id)).cloned().collect();
                tables = Tables::build(header, groups, listed).unwrap();
                agrees(&book, &tables, &accounts);
                if gone.is_empty() {
                    for _ in 0..5.min(accounts.len()) {
                        let n = random.below(accounts.len() as u64) as usize;
                        let positions = testing::positions(&mut random, &instruments, 25);
                        book.set(n, &positions).unwrap();
                        accounts[n] = positions;
                    }
                    agrees(&book, &tables, &accounts);
                }
                // What blocks keep from one valuation to the next is still true.
                book.value_all();
                agrees(&book, &tables, &accounts);
            }
        }
    }
}

#[test]
fn an_instrument_that_comes_back_in_another_class_is_laid_out_anew() {
    for kernel in kernels() {
        let mut random = Random::new(5);
        let header = testing::header(&mut random, 3);
        let group = testing::group(&mut random, 1, ORDINARY);
        let instruments: Vec<_> =
            (1..9).map(|id| testing::instrument(&mut random, id, 3, 1, ORDINARY)).collect();
        let mut book = Book::new(
            kernel,
            Tables::build(header.clone(), vec![group.clone()], instruments.clone()).unwrap(),
        );
        let accounts: Vec<_> = (0..700).map(|_| testing::positions(&mut random, &instruments, 8)).collect();
        load(&mut book, &accounts);
        book.apply(Update { removed: vec![1], ..Update::default() }).unwrap();
        let mut back = instruments.clone();
        back[0] =
            Instrument { class: if instruments[0].class == 2 { 1 } else { 2 }, ..instruments[0].clone() };
        back[0].risk = std::array::from_fn(|s| 5 - s as i128);
        book.apply(Update { instruments: vec![back[0].clone()], ..Update::default() }).unwrap();
        let tables = Tables::build(header, vec![group], back).unwrap();
        agrees(&book, &tables, &accounts);
    }
}

#[test]
fn an_instrument_that_comes_back_with_another_unit_nets_at_that_unit() {
    for kernel in kernels() {
        let mut random = Random::new(6);
        let header = testing::header(&mut random, 1);
        let mut group = testing::group(&mut random, 1, ORDINARY);
        group.lines.iter_mut().flatten().for_each(|line| line.slope += 1 << 40);
        let mut instruments: Vec<_> =
            (1..5).map(|id| testing::instrument(&mut random, id, 1, 1, ORDINARY)).collect();
        instruments.iter_mut().for_each(|one| (one.group, one.unit) = (1, 1_000_000));
        let tables = Tables::build(header.clone(), vec![group.clone()], instruments.clone()).unwrap();
        let mut book = Book::new(kernel, tables);
        let accounts: Vec<_> = (0..100).map(|_| testing::positions(&mut random, &instruments, 4)).collect();
        load(&mut book, &accounts);
        book.apply(Update { removed: vec![1], ..Update::default() }).unwrap();
        book.value_all();
        instruments[0].unit = 3_000_000;
        book.apply(Update { instruments: vec![instruments[0].clone()], ..Update::default() }).unwrap();
        book.value_all();
        let tables = Tables::build(header, vec![group], instruments).unwrap();
        assert!(agrees(&book, &tables, &accounts) > 50);
    }
}

#[test]
fn many_positions_at_their_limits_take_the_exact_path_and_agree() {
    for kernel in kernels() {
        let mut random = Random::new(11);
        let header = testing::header(&mut random, 1);
        let mut instruments: Vec<_> =
            (1..4096).map(|id| testing::instrument(&mut random, id, 0, 0, EXTREME)).collect();
        for one in &mut instruments {
            one.class = 1;
            one.risk = [-(1 << 60); 32];
            one.risk[7] -= 1;
            one.max_quantity = (1 << 57) - 1;
            one.mark = 0;
            one.addon = [[0; 2]; 2];
        }
        let tables = Tables::build(header.clone(), vec![], instruments.clone()).unwrap();
        let mut book = Book::new(kernel, Tables::build(header, vec![], instruments.clone()).unwrap());
        let all: Positions = instruments.iter().map(|i| (i.id, i.max_quantity as i128)).collect();
        let accounts = vec![
            all.clone(),
            all[..400].to_vec(),
            all[..127].to_vec(),
            all.iter().map(|p| (p.0, p.1 >> 8)).collect(),
        ];
        load(&mut book, &accounts);
        agrees(&book, &tables, &accounts);
        assert_eq!(book.worst(1).unwrap()[3], 7);
    }
}

#[test]
fn refusals_name_the_thing_and_change_nothing() {
    let mut random = Random::new(3);
    let (header, groups, instruments) = testing::policy(&mut random, 5, ORDINARY);
    let tables = || Tables::build(header.clone(), groups.clone(), instruments.clone()).unwrap();
    let mut book = Book::new(Kernel::best(), tables());
    assert!(book.is_empty());
    book.value_all();
    let one = &instruments[0];
    let limit = one.max_quantity as i128;
    load(&mut book, &[vec![(one.id, limit)]]);
    let before = book.amounts(Amount::EquityE20, 0);

    let mut refused = |starts: &[i64], ids: &[u16], quantities: &[i64]| {
        book.load(&Rows { starts, ids, quantities: Quantities::Narrow(quantities) }).unwrap_err().0
    };
    assert!(refused(&[0, 1, 2], &[one.id, 4000], &[1, 1]).contains("account 2 holds instrument 4000"));
    assert!(refused(&[0, 2], &[one.id, one.id], &[1, 1]).contains("twice"));
    assert!(refused(&[0, 1], &[one.id], &[limit as i64 + 1]).contains("beyond the policy's bound"));
    assert!(refused(&[], &[], &[]).contains("no start"));
    for starts in [&[0, 2][..], &[1, 1], &[0, 1, 0, 1], &[-1, 1]] {
        assert!(refused(starts, &[one.id], &[1]).contains("do not rise"), "{starts:?}");
    }
    assert!(refused(&[0, 1], &[one.id], &[1, 2]).contains("1 instruments for 2 quantities"));
    assert!(book.set(1, &[]).unwrap_err().0.contains("account 1 is not in the book"));
    assert!(book.set(0, &[(one.id, limit + 1)]).unwrap_err().0.contains("beyond"));
    assert!(book.trade(0, &[(one.id, 1)]).unwrap_err().0.contains("beyond"));
    assert!(book.trade(0, &[(one.id, i128::MAX)]).unwrap_err().0.contains("2^81"));
    assert!(book.apply(Update { removed: vec![4000], ..Update::default() }).unwrap_err().0.contains("4000"));
    assert!(book.scan_risk(0).is_err());
    assert_eq!(book.len(), 1);
    assert_eq!(book.amounts(Amount::EquityE20, 0), before);

    book.trade(0, &[(one.id, -limit)]).unwrap();
    assert_eq!(book.positions(0).unwrap(), []);
    assert_eq!(book.health(0).unwrap(), [i64::MAX]);
    assert!((1..=usize::from(header.classes)).all(|k| book.worst(k).unwrap() == [NO_SCENARIO]));
}

#[test]
fn a_policy_out_of_its_bounds_is_refused() {
    let mut random = Random::new(4);
    let (header, groups, instruments) = loop {
        let made = testing::policy(&mut random, 5, ORDINARY);
        if made.0.classes > 1 && !made.1.is_empty() {
            break made;
        }
    };
    let build = |change: &Change| {
        let (mut h, mut g, mut i) = (header.clone(), groups.clone(), instruments.clone());
        change(&mut h, &mut g, &mut i);
        Tables::build(h, g, i).map(|_| ()).map_err(|e| e.0)
    };
    assert_eq!(build(&|_, _, _| ()), Ok(()));
    assert!(build(&|h, _, _| h.rho[0][1] += 1).is_err());
    assert!(build(&|h, _, _| h.rho[1][1] = 5).is_err());
    assert!(build(&|h, _, _| h.factor[0] = 10_000_001).is_err());
    assert!(build(&|h, _, _| h.classes = 9).is_err());
    assert!(build(&|_, _, i| i[0].id = 0).is_err());
    assert!(build(&|_, _, i| i[0].id = i[1].id).is_err());
    assert!(build(&|_, _, i| i[0].class = 9).is_err());
    assert!(build(&|_, _, i| i[0].group = 77).is_err());
    assert!(build(&|_, _, i| i[0].mark = 1 << 80).is_err());
    assert!(build(&|_, _, i| i[0].mark = i128::MIN).is_err());
    assert!(build(&|_, _, i| i[0].unit = 1 << 40).is_err());
    assert!(build(&|_, _, i| i[0].max_quantity = u128::MAX).is_err());
    assert!(build(&|_, _, i| (i[0].mark, i[0].max_quantity) = (1 << 60, 1 << 58)).is_err());
    assert!(build(&|_, _, i| (i[0].class, i[0].risk) = (0, [1; 32])).is_err());
    assert!(build(&|_, g, _| g[0].id = 4096).is_err());
    assert!(build(&|_, g, _| g[0].lines[0][1].slope = i128::MIN).is_err());
    assert!(build(&|_, g, _| g[0].lines[1][1].intercept = 1.into()).is_err());
    assert!(build(&|_, g, _| g[0].lines[1][1].intercept = -(num_bigint::BigInt::from(1) << 142u32)).is_err());
    assert!(build(&|_, g, _| g.push(g[0].clone())).is_err());
}
