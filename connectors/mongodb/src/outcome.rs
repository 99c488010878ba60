//! What becomes of a batch that failed: what is rejected, and whether the rest is sent again, given back, or the task fails
//! (`handleTolerableWriteException`, and what the JVM's connector does not have).

use connect_api::{Error, ErrorKind};

use crate::batch::{Batch, Sent};
use crate::failure::{ConcernError, Failure, WriteError, skipped};
use crate::kinds;
use crate::statement::Kind;
use crate::topic::Tolerance;

/// What decides.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub tolerance: Tolerance,
    pub ordered: bool,
    /// `errors.isolate.bad.records`.
    pub isolate: bool,
    /// Whether errors that pass are waited out at all.
    pub waits: bool,
    /// Whether this attempt may fail and be made again.
    pub may_wait: bool,
    /// Whether what stands behind the first error may be written: `write.lanes`.
    pub lanes: bool,
}

/// What follows.
#[derive(Debug)]
pub enum Next {
    /// Nothing is left of the batch.
    Done,
    /// What is left is sent again now.
    Again,
    /// What is left is given back, to come again later.
    Later(Error),
    /// The task fails.
    Fail(Error),
}

/// What becomes of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// Places of statements in the batch, with why their records are rejected.
    pub rejected: Vec<(usize, Error)>,
    pub next: Next,
}

impl From<Next> for Outcome {
    fn from(next: Next) -> Self {
        Self { rejected: Vec::new(), next }
    }
}

/// Decides. Statements of records that are rejected are closed in the batch.
pub fn of(batch: &mut Batch, failure: Failure, rules: Rules, server: &str) -> Outcome {
    if rules.may_wait && failure.passes() {
        return later(batch, failure, rules, server);
    }
    if rules.tolerance == Tolerance::None {
        return Next::Fail(as_data_error(failure.into_error(server))).into();
    }
    if rules.isolate { isolated(batch, failure, rules, server) } else { as_on_the_jvm(batch, failure, rules) }
}

/// Part of the batch, or all of it, may be written later. What is wrong with single records does not pass.
fn later(batch: &mut Batch, failure: Failure, rules: Rules, server: &str) -> Outcome {
    let Failure::Bulk { errors, concern } = failure else {
        return Next::Later(failure.into_error(server)).into();
    };
    let (passing, lasting): (Vec<_>, Vec<_>) = errors.into_iter().partition(|error| error.kind().retriable());
    if !lasting.is_empty() && !tolerates(&lasting, rules) {
        let all = Failure::Bulk { errors: lasting, concern };
        return Next::Fail(as_data_error(all.into_error(server))).into();
    }
    let rejected = lasting.into_iter().filter_map(|error| reject(batch, error.index, error.rejection())).collect();
    if !rules.ordered
        && let Some(first) = passing.iter().map(|error| error.index).min()
    {
        write_again_behind(batch, first);
    }
    let passing = Failure::Bulk { errors: passing, concern };
    Outcome { rejected, next: Next::Later(passing.into_error(server)) }
}

/// What stands behind a statement that comes later than it should is written once more: it may be of the same document. An insert
/// is not, it would only meet itself.
fn write_again_behind(batch: &mut Batch, first: usize) {
    for op in batch.ops.iter_mut().skip(first + 1) {
        if op.sent == Sent::Written && op.kind != Kind::Insert {
            op.sent = Sent::No;
        }
    }
}

/// True when these errors are the records' and may be reported.
fn tolerates(errors: &[WriteError], rules: Rules) -> bool {
    rules.tolerance != Tolerance::None && (!rules.isolate || errors.iter().all(|error| error.kind() == ErrorKind::Data))
}

/// Only bad records are rejected. What no record is to blame for fails the task.
fn isolated(batch: &mut Batch, failure: Failure, rules: Rules, server: &str) -> Outcome {
    let fail = |failure: Failure| {
        let error = failure.into_error(server);
        Outcome::from(Next::Fail(match rules.tolerance {
            Tolerance::Data => no_data_error(error),
            Tolerance::None | Tolerance::All => as_data_error(error),
        }))
    };
    let rejected = match failure {
        Failure::Statement { index, error } => reject(batch, index, error).into_iter().collect(),
        Failure::Bulk { errors, concern: None } if tolerates(&errors, rules) => {
            errors.into_iter().filter_map(|error| reject(batch, error.index, error.rejection())).collect()
        }
        Failure::Whole(error) if error.kind() == ErrorKind::Data && kinds::is_answer(&error) => match search(batch) {
            Search::Goes => return Next::Again.into(),
            Search::Found(index) => reject(batch, index, error).into_iter().collect(),
            Search::Nothing => return fail(Failure::Whole(error)),
        },
        failure => return fail(failure),
    };
    next_of(batch, rejected)
}

/// What is left is sent. If nothing was left out it would fail in the same way for ever.
fn next_of(batch: &Batch, rejected: Vec<(usize, Error)>) -> Outcome {
    let next = match (batch.open(), rejected.is_empty()) {
        (0, _) => Next::Done,
        (_, false) => Next::Again,
        (_, true) => Next::Fail(Error::connect("MongoDB refused statements that were not sent to it")),
    };
    Outcome { rejected, next }
}

enum Search {
    /// With commands of half the size.
    Goes,
    /// The statement that was alone in its command.
    Found(usize),
    /// No command was sent.
    Nothing,
}

/// The server refused a command for something in it, and did nothing of it.
fn search(batch: &mut Batch) -> Search {
    let Some(refused) = batch.unanswered.take() else { return Search::Nothing };
    match refused.ops.as_slice() {
        [] => Search::Nothing,
        [index] => {
            batch.at_most = 0;
            Search::Found(*index)
        }
        ops => {
            batch.at_most = ops.len() / 2;
            Search::Goes
        }
    }
}

fn as_on_the_jvm(batch: &mut Batch, failure: Failure, rules: Rules) -> Outcome {
    let rejected = match failure {
        Failure::Bulk { errors, concern } => after_bulk(batch, &errors, concern.as_deref(), rules),
        Failure::Unconfirmed(concern) => after_bulk(batch, &[], Some(&concern), rules),
        Failure::Whole(error) | Failure::Statement { error, .. } => {
            if rules.tolerance == Tolerance::Data {
                return Next::Fail(no_data_error(error)).into();
            }
            let places = (0..batch.ops.len()).filter(|index| concerned(batch, *index, rules));
            places.map(|index| (index, error.duplicate())).collect()
        }
    };
    Outcome { rejected, next: Next::Done }
}

fn after_bulk(
    batch: &Batch,
    errors: &[WriteError],
    concern: Option<&ConcernError>,
    rules: Rules,
) -> Vec<(usize, Error)> {
    let first_error = errors.first().map(|error| error.index);
    let mut rejected = Vec::new();
    for index in (0..batch.ops.len()).filter(|index| concerned(batch, *index, rules)) {
        let error = if let Some(error) = errors.iter().find(|error| error.index == index) {
            error.rejection()
        } else if rules.ordered && first_error.is_some_and(|first| index > first) && !is_ahead(batch, index, rules) {
            skipped()
        } else if let Some(concern) = concern {
            concern.rejection()
        } else {
            continue;
        };
        rejected.push((index, error));
    }
    rejected
}

/// The JVM reports a whole bulk, with what was written of it. One that was given back may have had other failures, and what
/// was written before is as good as its own batch.
fn concerned(batch: &Batch, index: usize, rules: Rules) -> bool {
    batch.ops.get(index).is_some_and(|op| match op.sent {
        Sent::No | Sent::Unsure => true,
        Sent::Written => !rules.waits,
        Sent::Rejected => false,
    })
}

/// True for a statement that another lane has written by the time that an error before it was met.
fn is_ahead(batch: &Batch, index: usize, rules: Rules) -> bool {
    rules.lanes && batch.ops.get(index).is_some_and(|op| op.sent == Sent::Written)
}

/// Closes a statement, if it is open.
fn reject(batch: &mut Batch, index: usize, error: Error) -> Option<(usize, Error)> {
    let op = batch.ops.get_mut(index).filter(|op| op.open())?;
    op.sent = Sent::Rejected;
    Some((index, error))
}

/// `new DataException(cause)`.
pub(crate) fn as_data_error(error: Error) -> Error {
    Error::data(format!("{}: {}", error.java_class(), error.message())).caused_by(error)
}

fn no_data_error(error: Error) -> Error {
    Error::data("non Data Error, fail the connector.").caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bson::Document;

    use super::*;
    use crate::batch::{Batches, Op};
    use crate::namespace::Namespace;
    use crate::statement::Statement;

    const RULES: Rules =
        Rules { tolerance: Tolerance::All, ordered: true, isolate: false, waits: false, may_wait: false, lanes: false };

    fn batch(count: usize) -> Batch {
        let namespace = Arc::new(Namespace::new("db", "a").unwrap());
        let mut batches = Batches::default();
        for index in 0..count {
            batches.push(0, 0, namespace.clone(), Statement::new(Kind::Insert), index, 0..1);
        }
        batches.batches.remove(0)
    }

    fn error(index: usize, code: i32) -> WriteError {
        WriteError { index, code, message: "no".to_owned(), details: Document::new(), id_taken: false }
    }

    fn bulk(errors: Vec<WriteError>) -> Failure {
        Failure::Bulk { errors, concern: None }
    }

    fn places(outcome: &Outcome) -> Vec<usize> {
        outcome.rejected.iter().map(|(index, _)| *index).collect()
    }

    #[test]
    fn a_bulk_that_was_given_back_before_does_not_report_what_is_written() {
        let down = || Failure::Whole(Error::new(ErrorKind::NotReady, "no primary"));
        for (waits, expected) in [(false, vec![0, 1, 2]), (true, vec![1, 2])] {
            let mut batch = batch(3);
            batch.ops[0].sent = Sent::Written;
            let outcome = of(&mut batch, down(), Rules { waits, ..RULES }, "host");
            assert_eq!(places(&outcome), expected, "waits: {waits}");
        }
    }

    #[test]
    fn what_another_lane_wrote_behind_an_error_is_not_skipped() {
        for (lanes, expected) in [(false, vec![1, 2, 3]), (true, vec![1, 3])] {
            let mut batch = batch(4);
            batch.ops[2].sent = Sent::Written;
            let outcome = of(&mut batch, bulk(vec![error(1, 121)]), Rules { lanes, ..RULES }, "host");
            assert_eq!(places(&outcome), expected, "lanes: {lanes}");
        }
    }

    #[test]
    fn the_rest_is_sent_at_once_or_later() {
        let isolate = Rules { isolate: true, ..RULES };
        let outcome = of(&mut batch(3), bulk(vec![error(1, 121)]), isolate, "host");
        assert!(matches!(outcome.next, Next::Again) && places(&outcome) == [1], "{outcome:?}");
        let outcome = of(&mut batch(1), bulk(vec![error(0, 121)]), isolate, "host");
        assert!(matches!(outcome.next, Next::Done) && places(&outcome) == [0], "{outcome:?}");
        let waits = Rules { waits: true, may_wait: true, ..RULES };
        let outcome = of(&mut batch(3), bulk(vec![error(1, 112)]), waits, "host");
        assert!(matches!(outcome.next, Next::Later(_)) && places(&outcome).is_empty(), "{outcome:?}");
        // At the last attempt a conflict is as good a reason as any other, but no record's fault.
        let last = Rules { may_wait: false, ..waits };
        assert_eq!(places(&of(&mut batch(3), bulk(vec![error(1, 112)]), last, "host")), [1, 2]);
        let last = Rules { isolate: true, ..last };
        assert!(matches!(of(&mut batch(3), bulk(vec![error(1, 112)]), last, "host").next, Next::Fail(_)));
    }

    #[test]
    fn an_unordered_statement_that_comes_late_is_followed_again_by_what_is_behind_it() {
        let waits = Rules { ordered: false, waits: true, may_wait: true, ..RULES };
        let mut batch = batch(4);
        for (place, kind) in [(0, Kind::Replace), (2, Kind::Delete), (3, Kind::Insert)] {
            (batch.ops[place].kind, batch.ops[place].sent) = (kind, Sent::Written);
        }
        let outcome = of(&mut batch, bulk(vec![error(1, 16500)]), waits, "host");
        assert!(matches!(outcome.next, Next::Later(_)), "{outcome:?}");
        let open: Vec<bool> = batch.ops.iter().map(Op::open).collect();
        assert_eq!(open, [false, true, true, false]);
    }

    #[test]
    fn what_no_record_is_to_blame_for_fails_the_task() {
        let isolate = Rules { isolate: true, ..RULES };
        for code in [166, 371, 14031] {
            let outcome = of(&mut batch(2), bulk(vec![error(0, code)]), isolate, "host");
            assert!(matches!(outcome.next, Next::Fail(_)) && places(&outcome).is_empty(), "{code}: {outcome:?}");
        }
    }

    #[test]
    fn an_error_that_lasts_fails_the_task_without_tolerance_whatever_passes_beside_it() {
        let rules = Rules { tolerance: Tolerance::None, ordered: false, waits: true, may_wait: true, ..RULES };
        let outcome = of(&mut batch(3), bulk(vec![error(0, 112), error(1, 121)]), rules, "host");
        let Next::Fail(error) = outcome.next else { panic!("{outcome:?}") };
        assert!(error.message().contains("code=121") && !error.kind().retriable(), "{}", error.trace());
    }

    #[test]
    fn an_answer_about_nothing_that_was_sent_does_not_go_on_for_ever() {
        let isolate = Rules { isolate: true, ..RULES };
        let outcome = of(&mut batch(2), bulk(vec![error(9, 121)]), isolate, "host");
        assert!(matches!(outcome.next, Next::Fail(_)), "{outcome:?}");
    }
}
