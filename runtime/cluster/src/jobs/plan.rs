//! What an action does, step by step.
//!
//! Each step can be done again: a leader that takes over repeats the one that was under way.

use connect_api::CleanUp;

use super::view::Action;
use crate::herd::Target;

/// Connectors of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    All,
    Source,
    Sinks,
}

/// One step of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Drops what the sinks wrote before, when the job asks for it and it was not done yet.
    DropDestinations,
    /// Writes what is wanted of connectors.
    Target(Who, Target),
    /// Waits until nothing of them runs and everything in flight is written.
    AwaitStopped(Who),
    /// Notes where the source's log ends.
    LogEnd,
    /// Waits until the source has read up to there.
    AwaitResolved,
    /// Makes sure that everything that the source read is in Kafka, now that it has stopped; else it runs again.
    VerifySource,
    /// Notes where the topics of the sinks end, now that the source has stopped.
    TopicEnds,
    /// Waits until the sinks have put everything up to there.
    AwaitPut,
    /// Makes sure that the sinks have committed past it; else they run again.
    Verify,
    /// Takes away what was made at the source's system.
    CleanUp(CleanUp),
    /// Forgets the source's position.
    ResetOffsets,
    /// Restarts what failed.
    RestartFailed,
    DeleteConnectors,
}

const CLEAN: [Step; 4] = [
    Step::Target(Who::All, Target::Stopped),
    Step::AwaitStopped(Who::All),
    Step::CleanUp(CleanUp::Everything),
    Step::ResetOffsets,
];

/// The steps of an action.
pub const fn plan(action: Action, cleanup: bool) -> &'static [Step] {
    match action {
        Action::Start => &[Step::DropDestinations, Step::Target(Who::All, Target::Started)],
        Action::Resume => &[Step::Target(Who::All, Target::Started)],
        Action::Pause => &[Step::Target(Who::All, Target::Paused)],
        Action::Stop if cleanup => &CLEAN,
        Action::Stop => &[Step::Target(Who::All, Target::Stopped), Step::AwaitStopped(Who::All)],
        Action::Retry => &[Step::RestartFailed],
        Action::Restart => &[
            Step::Target(Who::All, Target::Stopped),
            Step::AwaitStopped(Who::All),
            Step::CleanUp(CleanUp::Position),
            Step::ResetOffsets,
            Step::Target(Who::All, Target::Started),
        ],
        Action::Complete => &[
            Step::LogEnd,
            Step::Target(Who::Source, Target::Started),
            Step::AwaitResolved,
            Step::Target(Who::Source, Target::Stopped),
            Step::AwaitStopped(Who::Source),
            Step::VerifySource,
            Step::TopicEnds,
            Step::Target(Who::Sinks, Target::Started),
            Step::AwaitPut,
            Step::Target(Who::Sinks, Target::Stopped),
            Step::AwaitStopped(Who::Sinks),
            Step::Verify,
            Step::CleanUp(CleanUp::Everything),
            Step::ResetOffsets,
        ],
        Action::Terminate => &CLEAN,
        Action::Delete => &[CLEAN[0], CLEAN[1], CLEAN[2], CLEAN[3], Step::DeleteConnectors],
    }
}

/// Where a verification that failed goes back to: the sinks run again.
pub fn before_put(action: Action, cleanup: bool) -> usize {
    let again = Step::Target(Who::Sinks, Target::Started);
    plan(action, cleanup).iter().position(|step| *step == again).unwrap_or(0)
}

/// Where a source that has stopped too early goes back to: it runs again.
pub fn before_read(action: Action, cleanup: bool) -> usize {
    let again = Step::Target(Who::Source, Target::Started);
    plan(action, cleanup).iter().position(|step| *step == again).unwrap_or(0)
}

/// True when whoever asked is answered as soon as the first target was written.
pub const fn is_quick(action: Action) -> bool {
    matches!(action, Action::Start | Action::Resume | Action::Pause | Action::Stop | Action::Retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(action: Action, step: Step) -> usize {
        plan(action, true).iter().position(|of| *of == step).unwrap_or_else(|| panic!("{action:?} has no {step:?}"))
    }

    /// Nothing is taken away before everything that depends on it has ended.
    #[test]
    fn cleaning_up_comes_after_the_end_of_all_work() {
        for action in [Action::Stop, Action::Terminate, Action::Delete] {
            let clean = place(action, Step::CleanUp(CleanUp::Everything));
            assert!(place(action, Step::AwaitStopped(Who::All)) < clean);
            assert!(clean < place(action, Step::ResetOffsets));
        }
        let complete = |step| place(Action::Complete, step);
        assert!(complete(Step::AwaitResolved) < complete(Step::Target(Who::Source, Target::Stopped)));
        assert!(complete(Step::AwaitStopped(Who::Source)) < complete(Step::TopicEnds));
        assert!(complete(Step::Verify) < complete(Step::CleanUp(CleanUp::Everything)));
        assert_eq!(before_put(Action::Complete, false), complete(Step::Target(Who::Sinks, Target::Started)));
    }
}
