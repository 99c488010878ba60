//! Which actions a job allows.

use connect_api::Phase;

use super::view::{Action, JobState};

/// The actions that are shown for a state, in order. A snapshot is terminated, a stream is completed.
pub fn listed(state: JobState, phase: Option<Phase>) -> Vec<Action> {
    use Action::{Complete, Delete, Pause, Resume, Retry, Start, Stop, Terminate};
    match state {
        JobState::Created | JobState::Stopped => vec![Start, Delete],
        JobState::Pending | JobState::Starting => vec![Stop],
        JobState::Running if phase == Some(Phase::Streaming) => vec![Pause, Stop, Complete],
        JobState::Running => vec![Pause, Stop, Terminate],
        JobState::Paused => vec![Resume, Stop],
        JobState::Failed => vec![Retry, Stop, Delete],
        JobState::Completed | JobState::Cancelled => vec![Delete],
        JobState::Deleted => Vec::new(),
    }
}

/// Whether a state allows an action: what is listed, and what begins with a stop of its own.
pub fn allows(action: Action, state: JobState, phase: Option<Phase>) -> bool {
    match action {
        Action::Delete => state != JobState::Deleted,
        Action::Restart => !state.is_final() && state != JobState::Created,
        action => listed(state, phase).contains(&action),
    }
}

/// True when a job is already where an action leads: asking again changes nothing.
pub fn is_there(action: Action, cleanup: bool, state: JobState) -> bool {
    match action {
        Action::Start | Action::Resume | Action::Retry => {
            matches!(state, JobState::Pending | JobState::Starting | JobState::Running)
        }
        Action::Pause => state == JobState::Paused,
        Action::Stop => state == JobState::Stopped && !cleanup,
        Action::Complete => state == JobState::Completed,
        Action::Terminate => state == JobState::Cancelled,
        Action::Restart | Action::Delete => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_job_depends_on_its_phase() {
        let names = |phase| -> Vec<&str> { listed(JobState::Running, phase).iter().map(|a| a.name()).collect() };
        assert_eq!(names(Some(Phase::Snapshot)), ["pause", "stop", "terminate"]);
        assert_eq!(names(Some(Phase::Streaming)), ["pause", "stop", "complete"]);
        assert!(!allows(Action::Complete, JobState::Running, Some(Phase::Snapshot)));
    }

    #[test]
    fn a_final_job_can_only_be_deleted() {
        for state in [JobState::Completed, JobState::Cancelled] {
            let allowed: Vec<Action> = Action::ALL.into_iter().filter(|action| allows(*action, state, None)).collect();
            assert_eq!(allowed, [Action::Delete]);
        }
    }

    /// An action is idempotent: where it leads to, it changes nothing.
    #[test]
    fn every_action_is_there_where_it_leads() {
        for (action, state) in [
            (Action::Start, JobState::Running),
            (Action::Pause, JobState::Paused),
            (Action::Resume, JobState::Running),
            (Action::Stop, JobState::Stopped),
            (Action::Retry, JobState::Running),
            (Action::Complete, JobState::Completed),
            (Action::Terminate, JobState::Cancelled),
        ] {
            assert!(is_there(action, false, state), "{action:?}");
        }
        assert!(!is_there(Action::Stop, true, JobState::Stopped), "a stopped job can still be cleaned up");
    }
}
