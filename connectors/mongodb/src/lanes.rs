//! Writing a batch over several connections at a time (`write.lanes`).
//!
//! All statements on one document go through one lane, in their order. Statements that say in different ways what they are
//! about can't be compared, and of some only the server knows the document: the lanes wait for each other between those.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::identity::{Identity, Targets};

/// Statements that may be written at the same time: one list of places for each lane, which may be empty. A lane
/// is always the same connection: what is given again to a document then follows what was sent before in the same session.
pub type Stretch = Vec<Vec<usize>>;

/// Deals the statements `kept` of a batch out to lanes. Stretches are written one after another.
pub fn deal(targets: &Targets, kept: &[usize], lanes: usize) -> Vec<Stretch> {
    if lanes < 2 {
        return vec![vec![kept.to_vec()]];
    }
    let mut stretches = Vec::new();
    for run in kept.chunk_by(|a, b| way(targets.identity(*a)) == way(targets.identity(*b))) {
        let mut stretch: Stretch = vec![Vec::new(); lanes];
        for index in run {
            stretch[lane(targets.identity(*index), lanes)].push(*index);
        }
        stretches.push(stretch);
    }
    stretches
}

/// How a statement says what it is about; only what is said in the same way is comparable.
#[derive(PartialEq, Eq)]
enum Way<'a> {
    Id,
    Fields(&'a [u8]),
    Unknown,
}

fn way(identity: Identity<'_>) -> Way<'_> {
    match identity {
        Identity::Id(_) => Way::Id,
        Identity::Fields { names, .. } => Way::Fields(names),
        Identity::Unknown => Way::Unknown,
    }
}

fn lane(identity: Identity<'_>, lanes: usize) -> usize {
    let value = match identity {
        Identity::Id(id) => id,
        Identity::Fields { values, .. } => values,
        Identity::Unknown => return 0,
    };
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;
    use crate::doc::Writer;
    use crate::statement::Model;

    fn targets(filters: impl IntoIterator<Item = Document>) -> Targets {
        let mut targets = Targets::default();
        for filter in filters {
            let mut w = Writer::new();
            let statement = Model::Delete { filter }.write(&mut w).unwrap();
            targets.push(statement.kind, w.bytes());
        }
        targets
    }

    fn all(targets: &Targets) -> Vec<usize> {
        (0..targets.len()).collect()
    }

    #[test]
    fn statements_on_one_document_stay_in_one_lane_and_in_order() {
        let targets = targets((0..100).map(|n| match n % 2 {
            0 => doc! {"_id": {"id": n % 10}},
            _ => doc! {"_id": {"id": f64::from(n % 10)}},
        }));
        let stretches = deal(&targets, &all(&targets), 4);
        assert_eq!(stretches.len(), 1);
        assert!(stretches[0].len() > 1 && stretches[0].len() <= 4);
        for part in &stretches[0] {
            assert!(part.is_sorted());
        }
        for n in 0..10 {
            let of_document = |index: &&usize| **index % 10 == n;
            let holding = stretches[0].iter().filter(|part| part.iter().any(|index| index % 10 == n)).count();
            assert_eq!(holding, 1);
            let dealt: usize = stretches[0].iter().map(|part| part.iter().filter(of_document).count()).sum();
            assert_eq!(dealt, 10);
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not_written_at_the_same_time() {
        let targets = targets([
            doc! {"_id": 1},
            doc! {"_id": 2},
            doc! {"a": {"$gt": 1}},
            doc! {"b": {"$gt": 1}},
            doc! {"_id": 1},
            doc! {"sku": 1},
            doc! {"sku": 2},
            doc! {"sku": 1, "shop": 1},
        ]);
        let stretches = deal(&targets, &all(&targets), 8);
        let sizes: Vec<usize> = stretches.iter().map(|stretch| stretch.iter().map(Vec::len).sum()).collect();
        assert_eq!(sizes, [2, 2, 1, 2, 1]);
        assert_eq!(stretches[1].concat(), [2, 3]);
    }

    #[test]
    fn one_lane_takes_everything_as_it_comes() {
        let targets = targets([doc! {"_id": 1}, doc! {"a": 1}, doc! {"_id": 2}]);
        assert_eq!(deal(&targets, &[0, 2], 1), [[vec![0, 2]]]);
    }
}
