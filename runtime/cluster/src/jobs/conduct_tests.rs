//! Commands from the request to the end, with a worker that is played by the test.

use connect_api::CleanUp;

use super::super::engine::JobsEvent;
use super::super::keep::Alerts;
use super::super::record::{PutReport, StoredKind, StreamReport, TaskReport};
use super::super::rig::{cluster, connector, running, stopped};
use super::*;
use crate::herd::{ClusterView, TaskId};

/// An engine, and what came of it.
struct Stage {
    engine: Engine,
    now: i64,
    /// Work that was asked for and not answered.
    work: Vec<(String, String, usize, Work)>,
    commits: Vec<u64>,
    replies: Vec<(RequestId, Result<Vec<String>, HerdError>)>,
    written: Vec<JobRecord>,
    /// How much of it has come back.
    read: usize,
}

impl Stage {
    fn new() -> Self {
        let engine = Engine::new(Alerts::default(), 10);
        let mut stage =
            Self { engine, now: 1_000, work: vec![], commits: vec![], replies: vec![], written: vec![], read: 0 };
        let definition = Definition {
            source: Some("src".into()),
            sinks: vec!["snk".into()],
            pipeline: true,
            made: true,
            started: true,
            ..Definition::default()
        };
        let (key, value) = JobRecord::Job("job".into(), Some(definition)).encode();
        stage.step(JobsEvent::Record { key, value: value.map(String::into_bytes) });
        stage.step(JobsEvent::Loaded);
        stage.view(cluster([running("src", "source"), running("snk", "sink")]));
        stage
    }

    fn step(&mut self, event: JobsEvent) -> &mut Self {
        self.now += 10;
        let mut effects = Vec::new();
        self.engine.step(self.now, event, &mut effects);
        for effect in effects {
            match effect {
                JobsEffect::Do { job, order, step, work } => self.work.push((job, order, step, work)),
                JobsEffect::Commit { token, .. } => self.commits.push(token),
                JobsEffect::Reply { request, outcome } => self.replies.push((request, outcome)),
                JobsEffect::Put(records) => self.written.extend(records),
                _ => {}
            }
        }
        self.read_back()
    }

    /// What was written comes back from the topic, in order.
    fn read_back(&mut self) -> &mut Self {
        while self.read < self.written.len() {
            let (key, value) = self.written[self.read].encode();
            self.read += 1;
            self.step(JobsEvent::Record { key, value: value.map(String::into_bytes) });
        }
        self
    }

    fn view(&mut self, view: Arc<ClusterView>) -> &mut Self {
        self.step(JobsEvent::View(view))
    }

    fn act(&mut self, request: RequestId, action: Action, cleanup: bool) -> &mut Self {
        let order = Order::new(format!("order-{request}"), action, cleanup, self.now, "api");
        self.step(JobsEvent::Act { request, order, job: "job".into() });
        while let Some(token) = self.commits.pop() {
            self.step(JobsEvent::Committed { token, outcome: Ok(()) });
        }
        self
    }

    /// The one thing that is being done; it is done.
    fn done(&mut self, outcome: Outcome) -> Work {
        self.answer(Ok(outcome))
    }

    fn answer(&mut self, outcome: Result<Outcome, String>) -> Work {
        assert_eq!(self.work.len(), 1, "{:?}", self.work);
        let (job, order, step, work) = self.work.remove(0);
        self.step(JobsEvent::Done { job, order, step, outcome });
        work
    }

    fn stream(&mut self, resolved: u64) -> &mut Self {
        let stream = StreamReport { resolved: Some(resolved), ..StreamReport::default() };
        self.report(
            "src",
            TaskReport { stream: Some(stream), phase: Some("STREAMING".into()), ..TaskReport::default() },
        )
    }

    fn report(&mut self, connector: &str, report: TaskReport) -> &mut Self {
        let report = TaskReport { at_ms: self.now, ..report };
        let id = TaskId { connector: connector.into(), task: 0 };
        self.step(JobsEvent::Report(JobRecord::Task(id, Some(Box::new(report)))))
    }

    fn state(&self) -> JobState {
        self.engine.shown("job").unwrap().state
    }

    fn wait(&mut self, ms: i64) -> &mut Self {
        self.now += ms;
        self.step(JobsEvent::Tick)
    }
}

fn target(connectors: &[&str], target: Target) -> Work {
    Work::Target { connectors: connectors.iter().map(|name| (*name).to_owned()).collect(), target }
}

#[test]
fn a_pause_is_answered_when_the_connectors_were_told() {
    let mut stage = Stage::new();
    stage.act(1, Action::Pause, false);
    assert!(stage.replies.is_empty());
    assert_eq!(stage.done(Outcome::default()), target(&["src", "snk"], Target::Paused));
    assert_eq!(stage.replies, [(1, Ok(vec!["job".to_owned()]))]);
    let paused = |name, kind| connector(name, kind, Target::Paused, Some(State::Paused), &[State::Paused]);
    stage.view(cluster([paused("src", "source"), paused("snk", "sink")]));
    assert_eq!(stage.state(), JobState::Paused);
    // Asked again, it is there already.
    stage.act(2, Action::Pause, false);
    assert_eq!((stage.replies[1].clone(), stage.work.len()), ((2, Ok(vec![])), 0));
}

#[test]
fn a_command_that_the_topic_brings_first_is_done_once() {
    let mut stage = Stage::new();
    let order = Order { id: "x".into(), ..stage_order() };
    stage.step(JobsEvent::Act { request: 1, order: order.clone(), job: "job".into() });
    let (key, value) = JobRecord::Order("job".into(), Some(order)).encode();
    stage.step(JobsEvent::Record { key, value: value.map(String::into_bytes) });
    assert_eq!(stage.done(Outcome::default()), target(&["src", "snk"], Target::Paused));
    let token = stage.commits[0];
    stage.step(JobsEvent::Committed { token, outcome: Ok(()) });
    assert!(stage.work.is_empty(), "{:?}", stage.work);
    assert_eq!(stage.replies, [(1, Ok(vec!["job".to_owned()]))]);
}

#[test]
fn what_was_asked_can_be_taken_back_before_the_tasks_have_followed() {
    let mut stage = Stage::new();
    stage.act(1, Action::Pause, false);
    stage.done(Outcome::default());
    let pausing = |name, kind| connector(name, kind, Target::Paused, Some(State::Running), &[State::Running]);
    stage.view(cluster([pausing("src", "source"), pausing("snk", "sink")]));
    assert_eq!(stage.state(), JobState::Running, "nothing rests yet");
    stage.act(2, Action::Resume, false);
    assert_eq!(stage.done(Outcome::default()), target(&["src", "snk"], Target::Started));
    assert_eq!(stage.replies.len(), 2);
}

#[test]
fn what_the_state_does_not_allow_is_refused_with_what_it_allows() {
    let mut stage = Stage::new();
    stage.stream(1).act(1, Action::Terminate, false);
    let HerdError::Refused { status, message } = stage.replies[0].1.clone().unwrap_err() else { panic!() };
    assert_eq!(status, 409);
    assert!(message.contains("Allowed: pause, stop, complete"), "{message}");
    stage.step(JobsEvent::Act { request: 2, order: Order { id: "x".into(), ..stage_order() }, job: "nobody".into() });
    assert!(matches!(&stage.replies[1].1, Err(HerdError::Refused { status: 404, .. })));
}

fn stage_order() -> Order {
    Order::new("", Action::Pause, false, 0, "api")
}

#[test]
fn completing_drains_verifies_and_cleans_up_in_this_order() {
    let mut stage = Stage::new();
    stage.stream(50).act(1, Action::Complete, false);
    assert_eq!(stage.replies, [(1, Ok(vec!["job".to_owned()]))], "it is answered at once");
    let log_end = Outcome { log_end: Some(100), ..Outcome::default() };
    assert_eq!(stage.done(log_end), Work::LogEnd { source: "src".into() });
    assert_eq!(stage.done(Outcome::default()), target(&["src"], Target::Started));
    assert!(stage.work.is_empty(), "the source has not read so far");
    assert!(stage.engine.waits_for("job").unwrap().contains("up to 0/64"));
    stage.stream(99).stream(100);
    assert_eq!(stage.done(Outcome::default()), target(&["src"], Target::Stopped));
    // The task may still write: its worker says that it runs.
    stage.report("src", TaskReport { live: true, ..TaskReport::default() });
    stage.view(cluster([stopped("src", "source"), running("snk", "sink")]));
    assert!(stage.work.is_empty(), "{:?}", stage.work);
    assert_eq!(stage.state(), JobState::Running, "a job runs until it is completed");
    // Not everything is in Kafka: the source runs again.
    let stream = StreamReport { resolved: Some(100), ..StreamReport::default() };
    let short = TaskReport { unsettled: Some(3), stream: Some(stream.clone()), ..TaskReport::default() };
    stage.report("src", short);
    assert!(stage.engine.waits_for("job").unwrap().contains("3 records of src were not acknowledged"));
    stage.wait(1_100);
    assert_eq!(stage.done(Outcome::default()), target(&["src"], Target::Started));
    stage.report("src", TaskReport { unsettled: Some(0), stream: Some(stream), ..TaskReport::default() });
    assert_eq!(stage.done(Outcome::default()), target(&["src"], Target::Stopped));
    let end = SinkEnd { sink: "snk".into(), topic: "t".into(), partition: 0, end: 7 };
    let ends = Outcome { ends: vec![end.clone()], ..Outcome::default() };
    assert_eq!(stage.done(ends), Work::TopicEnds { sinks: vec!["snk".into()] });
    assert_eq!(stage.done(Outcome::default()), target(&["snk"], Target::Started));
    let put =
        |next| TaskReport { put: vec![PutReport { topic: "t".into(), partition: 0, next }], ..TaskReport::default() };
    stage.report("snk", put(6));
    assert!(stage.work.is_empty());
    stage.report("snk", put(7));
    assert_eq!(stage.done(Outcome::default()), target(&["snk"], Target::Stopped));
    stage.view(cluster([stopped("src", "source"), stopped("snk", "sink")]));
    // Not everything was committed: the sinks run again.
    let missing = Outcome { missing: Some("t-0 is committed up to 5 of 7".into()), ..Outcome::default() };
    assert_eq!(stage.done(missing), Work::Verify { ends: vec![end] });
    stage.wait(1_100);
    assert_eq!(stage.done(Outcome::default()), target(&["snk"], Target::Started));
    assert_eq!(stage.done(Outcome::default()), target(&["snk"], Target::Stopped));
    stage.done(Outcome::default());
    let work = Work::CleanUp { source: "src".into(), what: CleanUp::Everything };
    assert_eq!(stage.done(Outcome::default()), work);
    assert_eq!(stage.done(Outcome::default()), Work::ResetOffsets { source: "src".into() });
    assert_eq!(stage.state(), JobState::Completed);
    let view = stage.engine.view_of("job", stage.now).unwrap();
    assert_eq!((view.reason.as_str(), view.waiting_for), ("CDC Completed", None));
    assert!(view.phases.iter().all(|(_, state)| state.name() == "completed"));
    stage.wait(100_000);
    assert_eq!(stage.state(), JobState::Completed);
}

#[test]
fn another_leader_goes_on_where_the_first_one_stopped() {
    let mut stage = Stage::new();
    stage.stream(100).act(1, Action::Complete, false);
    stage.done(Outcome { log_end: Some(100), ..Outcome::default() });
    assert_eq!(stage.work.len(), 1);
    let mut next = Engine::new(Alerts::default(), 10);
    let mut effects = Vec::new();
    for record in stage.written.iter().filter(|record| !matches!(record, JobRecord::State(..))) {
        let (key, value) = record.encode();
        next.step(1, JobsEvent::Record { key, value: value.map(String::into_bytes) }, &mut effects);
    }
    let definition = stage.engine.log().entry("job").unwrap().definition.clone();
    let (key, value) = JobRecord::Job("job".into(), definition).encode();
    next.step(1, JobsEvent::Record { key, value: value.map(String::into_bytes) }, &mut effects);
    next.step(2, JobsEvent::Loaded, &mut effects);
    effects.clear();
    next.step(3, JobsEvent::View(cluster([running("src", "source"), running("snk", "sink")])), &mut effects);
    let work: Vec<&Work> = effects
        .iter()
        .filter_map(|effect| match effect {
            JobsEffect::Do { work, .. } => Some(work),
            _ => None,
        })
        .collect();
    assert_eq!(work, [&target(&["src"], Target::Started)]);
}

#[test]
fn a_step_that_fails_is_tried_again_and_says_why() {
    let mut stage = Stage::new();
    stage.act(1, Action::Stop, true);
    stage.done(Outcome::default());
    stage.view(cluster([stopped("src", "source"), stopped("snk", "sink")]));
    stage.answer(Err("the slot is active for PID 7".into()));
    assert!(stage.work.is_empty(), "not at once");
    let waits = stage.engine.waits_for("job").unwrap();
    assert!(waits.contains("last attempt: the slot is active for PID 7"), "{waits}");
    stage.wait(600);
    assert!(matches!(stage.done(Outcome::default()), Work::CleanUp { .. }));
    stage.done(Outcome::default());
    assert_eq!((stage.state(), stage.engine.waits_for("job")), (JobState::Stopped, None));
}

#[test]
fn terminating_ends_a_snapshot() {
    let mut stage = Stage::new();
    stage.report("src", TaskReport { phase: Some("SNAPSHOT".into()), ..TaskReport::default() });
    stage.act(1, Action::Complete, false);
    assert!(stage.replies[0].1.is_err(), "a snapshot is not completed");
    stage.act(2, Action::Terminate, false);
    stage.done(Outcome::default());
    stage.view(cluster([stopped("src", "source"), stopped("snk", "sink")]));
    stage.done(Outcome::default());
    stage.done(Outcome::default());
    let view = stage.engine.view_of("job", stage.now).unwrap();
    assert_eq!((view.state, view.reason.as_str()), (JobState::Cancelled, "Snapshot cancelled"));
    assert_eq!(view.phases[1].1.name(), "cancelled");
    stage.act(3, Action::Start, false);
    assert!(stage.replies[2].1.is_err(), "a final job can not be started again");
}

#[test]
fn a_deletion_is_answered_when_the_job_is_gone_and_leaves_nothing() {
    let mut stage = Stage::new();
    stage.act(1, Action::Delete, false);
    stage.done(Outcome::default());
    stage.view(cluster([stopped("src", "source"), stopped("snk", "sink")]));
    stage.done(Outcome::default());
    stage.done(Outcome::default());
    assert_eq!(stage.done(Outcome::default()), Work::DeleteConnectors { connectors: vec!["src".into(), "snk".into()] });
    stage.view(cluster([]));
    assert_eq!(stage.replies, [(1, Ok(vec!["job".to_owned()]))]);
    assert!(stage.engine.shown("job").is_none());
    assert!(stage.engine.log().entry("job").is_none());
}

/// A definition whose maker is gone: it was made at `now`.
fn unmade(stage: &mut Stage) {
    let definition = Definition {
        source: Some("half".into()),
        sinks: vec!["other".into()],
        pipeline: true,
        created_ms: stage.now,
        ..Definition::default()
    };
    stage.step(JobsEvent::Define { job: "unmade".into(), definition: Some(definition) });
}

fn with(connectors: Vec<Arc<ConnectorView>>) -> Arc<ClusterView> {
    cluster([running("src", "source"), running("snk", "sink")].into_iter().chain(connectors))
}

/// Its connectors may be somebody else's: they stay.
#[test]
fn a_job_that_was_never_made_to_the_end_is_forgotten() {
    for left in [stopped("half", "source"), running("half", "source")] {
        let state = if left.target == Target::Stopped { JobState::Stopped } else { JobState::Running };
        let mut stage = Stage::new();
        unmade(&mut stage);
        stage.view(with(vec![left]));
        stage.wait(290_000);
        assert!(stage.engine.log().entry("unmade").is_some(), "somebody may still be at it");
        stage.wait(20_000).wait(1_000);
        assert!(stage.work.is_empty(), "{:?}", stage.work);
        assert!(stage.engine.shown("unmade").is_none() && stage.engine.log().entry("unmade").is_none());
        assert_eq!(stage.engine.shown("half").map(|shown| shown.state), Some(state));
    }
}

/// A round of the group is no change of the leader: what was written and is under way stays.
#[test]
fn a_round_of_the_group_forgets_nothing() {
    let mut stage = Stage::new();
    let leader = Arc::clone(&stage.engine.view);
    let mut forgets = |is_unsettled_leader| {
        let view = ClusterView { is_leader: false, is_unsettled_leader, ..(*leader).clone() };
        let mut effects = Vec::new();
        stage.engine.step(stage.now, JobsEvent::View(Arc::new(view)), &mut effects);
        assert_eq!((stage.engine.still_leads(), stage.engine.leads()), (is_unsettled_leader, false));
        effects.iter().any(|effect| matches!(effect, JobsEffect::Forget))
    };
    assert!(!forgets(true));
    assert!(forgets(false));
}

#[test]
fn what_takes_time_is_seen_without_news() {
    let mut stage = Stage::new();
    let failed = connector("src", "source", Target::Started, Some(State::Failed), &[]);
    stage.view(cluster([failed, running("snk", "sink")]));
    assert_eq!(stage.state(), JobState::Running, "its worker has not said yet what it does about it");
    stage.wait(3_100);
    assert_eq!(stage.state(), JobState::Failed);
    stage.wait(300_100);
    let notices = &stage.engine.log().entry("job").unwrap().recorded.notices;
    assert!(notices.iter().any(|notice| matches!(notice.what, StoredKind::Failing { .. })), "{notices:?}");
}

#[test]
fn whoever_waits_too_long_is_told_for_what() {
    let mut stage = Stage::new();
    stage.act(1, Action::Delete, false);
    stage.done(Outcome::default());
    stage.wait(60_000);
    let HerdError::Refused { status, message } = stage.replies[0].1.clone().unwrap_err() else { panic!() };
    assert_eq!(status, 409);
    assert!(message.contains("connector src to stop"), "{message}");
}

#[test]
fn all_jobs_that_allow_it_are_paused_with_one_write() {
    let mut stage = Stage::new();
    let names = ["a", "b", "c"];
    let all = names.iter().map(|name| running(name, "source"));
    stage.view(cluster(all.chain([running("src", "source"), running("snk", "sink"), stopped("d", "sink")])));
    stage.step(JobsEvent::ActOnAll { request: 1, order: stage_order() });
    assert_eq!(stage.commits.len(), 1);
    let token = stage.commits[0];
    stage.step(JobsEvent::Committed { token, outcome: Ok(()) });
    assert_eq!(stage.work.len(), 4, "{:?}", stage.work);
    for (job, order, step, _) in std::mem::take(&mut stage.work) {
        stage.step(JobsEvent::Done { job, order, step, outcome: Ok(Outcome::default()) });
    }
    let changed: Vec<String> = ["a", "b", "c", "job"].map(str::to_owned).to_vec();
    assert_eq!(stage.replies, [(1, Ok(changed))]);
}

#[test]
fn a_write_that_failed_is_an_error_without_effect() {
    let mut stage = Stage::new();
    stage.step(JobsEvent::Act { request: 1, order: Order { id: "x".into(), ..stage_order() }, job: "job".into() });
    let token = stage.commits[0];
    stage.step(JobsEvent::Committed { token, outcome: Err("away".into()) });
    assert!(matches!(&stage.replies[0].1, Err(HerdError::Refused { status: 500, .. })));
    stage.wait(10_000);
    assert!(stage.work.is_empty());
}
