//! What the members have while a round is computed (`WorkerLoad`), and the placing of units on them.

use std::collections::BTreeSet;

use indexmap::IndexSet;

use crate::unit::UnitId;

/// A member with its connectors and tasks, each in the order in which it got them.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub id: String,
    connectors: IndexSet<UnitId>,
    tasks: IndexSet<UnitId>,
}

/// Connectors and tasks are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connector,
    Task,
}

fn kind_of(unit: &UnitId) -> Kind {
    if unit.task().is_none() { Kind::Connector } else { Kind::Task }
}

impl Load {
    pub(super) fn new(id: &str, running: &[UnitId]) -> Self {
        let (connectors, tasks) = running.iter().cloned().partition(|unit| kind_of(unit) == Kind::Connector);
        Self { id: id.to_owned(), connectors, tasks }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connectors.is_empty() && self.tasks.is_empty()
    }

    pub(super) fn units(&self) -> impl Iterator<Item = &UnitId> {
        self.connectors.iter().chain(&self.tasks)
    }

    pub(super) fn into_units(self) -> Vec<UnitId> {
        self.connectors.into_iter().chain(self.tasks).collect()
    }

    /// Removes what is to go, and answers with it.
    pub(super) fn take(&mut self, gone: impl Fn(&UnitId) -> bool) -> Vec<UnitId> {
        let mut taken = Vec::new();
        for units in [&mut self.connectors, &mut self.tasks] {
            taken.extend(units.iter().filter(|unit| gone(unit)).cloned());
            units.retain(|unit| !gone(unit));
        }
        taken
    }

    fn of(&self, kind: Kind) -> &IndexSet<UnitId> {
        match kind {
            Kind::Connector => &self.connectors,
            Kind::Task => &self.tasks,
        }
    }

    fn assign(&mut self, unit: UnitId) {
        match kind_of(&unit) {
            Kind::Connector => self.connectors.insert(unit),
            Kind::Task => self.tasks.insert(unit),
        };
    }
}

/// Units that more than one member claims.
pub(super) fn duplicated(loads: &[Load]) -> BTreeSet<UnitId> {
    let mut seen = BTreeSet::new();
    loads.iter().flat_map(Load::units).filter(|unit| !seen.insert(*unit)).cloned().collect()
}

/// Gives each unit to the least loaded: rounds over the members that have the fewest of its kind, in order of load and id.
pub(super) fn place(loads: &mut [Load], units: &[UnitId]) {
    for kind in [Kind::Connector, Kind::Task] {
        loads.sort_by(|a, b| a.of(kind).len().cmp(&b.of(kind).len()).then_with(|| a.id.cmp(&b.id)));
        let mut waiting = units.iter().filter(|unit| kind_of(unit) == kind).peekable();
        while waiting.peek().is_some() {
            let Some(least) = loads.first().map(|load| load.of(kind).len()) else { return };
            for load in loads.iter_mut().take_while(|load| load.of(kind).len() <= least) {
                let Some(unit) = waiting.next() else { break };
                load.assign(unit.clone());
            }
        }
    }
}

/// Deals units of each kind round-robin over the chosen members.
pub(super) fn deal(loads: &mut [Load], chosen: &[usize], units: &BTreeSet<UnitId>) {
    for kind in [Kind::Connector, Kind::Task] {
        let of_kind = units.iter().filter(|unit| kind_of(unit) == kind);
        for (unit, at) in of_kind.zip(chosen.iter().cycle()) {
            if let Some(load) = loads.get_mut(*at) {
                load.assign(unit.clone());
            }
        }
    }
}

/// How many connectors and tasks there are to be spread.
pub(super) struct Balance {
    connectors: usize,
    tasks: usize,
}

impl Balance {
    pub(super) fn of(configured: &BTreeSet<UnitId>) -> Self {
        let tasks = configured.iter().filter(|unit| kind_of(unit) == Kind::Task).count();
        Self { connectors: configured.len() - tasks, tasks }
    }

    /// What each member has beyond its fair part, in the order of the members; nothing at all when nobody has too much.
    pub(super) fn excess(&self, loads: &[Load]) -> Vec<BTreeSet<UnitId>> {
        if self.connectors + self.tasks == 0 || loads.iter().all(Load::is_empty) {
            return Vec::new();
        }
        let mut excess = vec![BTreeSet::new(); loads.len()];
        excess_of(Kind::Connector, self.connectors, loads, &mut excess);
        excess_of(Kind::Task, self.tasks, loads, &mut excess);
        if excess.iter().all(BTreeSet::is_empty) { Vec::new() } else { excess }
    }
}

/// A fair part is total / members, and one more for as many members as are left over.
fn excess_of(kind: Kind, total: usize, loads: &[Load], excess: &mut [BTreeSet<UnitId>]) {
    let (floor, mut extras) = (total / loads.len().max(1), total % loads.len().max(1));
    let with = |count: usize| loads.iter().filter(|load| load.of(kind).len() == count).count();
    if with(floor + 1) == extras && with(floor) + with(floor + 1) == loads.len() {
        return;
    }
    for (load, excess) in loads.iter().zip(excess) {
        let mine = load.of(kind);
        if mine.len() <= floor {
            continue;
        }
        let mut fair = floor;
        if extras > 0 {
            extras -= 1;
            fair += 1;
        }
        // What a member got first goes first.
        excess.extend(mine.iter().take(mine.len() - fair).cloned());
    }
}
