//! The rules of lines, whatever happens in whatever order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::backoff::{Answer, LONGEST};
use super::hook::Webhook;
use super::line::Clocks;
use super::lines::{AT_A_TIME, AT_A_TIME_PER_HOST, LineId, Lines, Outcome, Pace, Settled, Step};
use super::testing::{events, failed, hook, now_ms};

const JOBS: usize = 6;
const PACE: Pace = Pace { retry_initial: Duration::from_secs(1), window: Duration::from_secs(600) };

#[derive(Clone, Debug)]
enum Act {
    /// Something happened to a job.
    Happens(usize),
    /// The picture of a job is shown (again).
    Offer(usize),
    Lead(bool),
    /// A post ends: which of those under way, and how.
    Answer(usize, u8),
    Pass(u64),
    /// Another worker told a job's webhook of everything, while this one did not lead.
    Elsewhere(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0..JOBS).prop_map(Act::Happens),
        2 => (0..JOBS).prop_map(Act::Offer),
        1 => any::<bool>().prop_map(Act::Lead),
        6 => (any::<usize>(), 0..6_u8).prop_map(|(which, how)| Act::Answer(which, how)),
        2 => (0..60_000_u64).prop_map(Act::Pass),
        1 => (0..JOBS).prop_map(Act::Elsewhere),
    ];
    prop::collection::vec(act, 1..120)
}

fn answer(how: u8) -> Answer {
    match how {
        0 => failed(),
        1 => Answer::Refused("it answered 404 Not Found".to_owned()),
        2 => Answer::Final("it answered 410 Gone".to_owned()),
        _ => Answer::Taken,
    }
}

/// A worker, the topic, and what was posted.
struct World {
    lines: Lines,
    now: Clocks,
    leading: bool,
    /// The last event of each job.
    last: [u64; JOBS],
    /// What the topic says of each job and webhook.
    got: BTreeMap<(String, String), u64>,
    under_way: Vec<(LineId, u64)>,
    /// What was settled by this worker, per line in order.
    settled: BTreeMap<(String, String), Vec<u64>>,
}

impl World {
    fn new() -> Self {
        Self {
            lines: Lines::new(PACE),
            now: Clocks { instant: Instant::now(), wall_ms: now_ms() },
            leading: false,
            last: [0; JOBS],
            got: BTreeMap::new(),
            under_way: Vec::new(),
            settled: BTreeMap::new(),
        }
    }

    /// Two webhooks for each job, one of them the same for all.
    fn hooks(job: usize) -> [Webhook; 2] {
        [hook("https://all.example.com/"), hook(&format!("https://job{job}.example.com/"))]
    }

    fn offer(&mut self, job: usize) {
        let name = format!("job{job}");
        let got = self.got.iter().filter(|(of, _)| of.0 == name).map(|(of, seq)| (of.1.clone(), *seq)).collect();
        let mut events = if self.last[job] == 0 { Vec::new() } else { events(&name, 1..=self.last[job]) };
        for event in &mut events {
            event.at_ms = self.now.wall_ms;
        }
        let lost = self.lines.offer(&name, &Self::hooks(job), &got, &events, self.now);
        assert!(lost.is_empty(), "nothing was taken from the picture: {lost:?}");
    }

    fn settle(&mut self, settled: Settled) {
        assert!(settled.tell);
        let line = (settled.line.job.to_string(), settled.line.hook.clone());
        self.settled.entry(line.clone()).or_default().push(settled.event.seq);
        let got = self.got.entry(line).or_default();
        *got = settled.event.seq.max(*got);
    }

    /// Begins whatever can begin, and looks at what that is.
    fn work(&mut self) -> Option<Instant> {
        loop {
            match self.lines.next(self.now.instant) {
                Step::Post { line, event, .. } => {
                    assert!(self.leading, "only the leader posts");
                    assert!(self.under_way.iter().all(|(other, _)| *other != line), "one at a time in a line");
                    let key = (line.job.to_string(), line.hook.clone());
                    let got = self.got.get(&key).copied().unwrap_or(0);
                    assert_eq!(event.seq, got + 1, "the one before is settled, and it itself is not");
                    self.under_way.push((line, event.seq));
                    assert!(self.under_way.len() <= AT_A_TIME);
                    let mut per_hook = BTreeMap::<&str, usize>::new();
                    self.under_way.iter().for_each(|(line, _)| *per_hook.entry(&line.hook).or_default() += 1);
                    assert!(per_hook.values().all(|count| *count <= AT_A_TIME_PER_HOST));
                }
                Step::GiveUp(settled) => self.settle(settled),
                Step::Wait(until) => return until,
            }
        }
    }

    fn answer(&mut self, which: usize, answer: Answer) {
        if self.under_way.is_empty() {
            return;
        }
        let (line, seq) = self.under_way.swap_remove(which % self.under_way.len());
        match self.lines.answered(&line, answer, self.now.instant, 0.5) {
            Outcome::Settled(settled) => {
                assert_eq!(settled.event.seq, seq);
                // What another worker told meanwhile may be told again here, when it was under way.
                if self.got.get(&(line.job.to_string(), line.hook)).is_none_or(|got| seq > *got) {
                    self.settle(settled);
                }
            }
            Outcome::Retry(retry) => assert_eq!(retry.event.seq, seq),
            Outcome::Moot => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.wall_ms += i64::try_from(time.as_millis()).unwrap();
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Happens(job) => {
                self.last[job] += 1;
                self.offer(job);
            }
            Act::Offer(job) => self.offer(job),
            Act::Lead(leading) => {
                if leading {
                    (0..JOBS).for_each(|job| self.offer(job));
                }
                self.leading = leading;
                assert!(self.lines.lead(leading).is_empty());
            }
            Act::Answer(which, how) => self.answer(which, answer(how)),
            Act::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Act::Elsewhere(job) if !self.leading => {
                for hook in Self::hooks(job) {
                    self.got.insert((format!("job{job}"), hook.id()), self.last[job]);
                }
                self.offer(job);
            }
            Act::Elsewhere(_) => {}
        }
        self.work();
    }
}

/// Numbers of events, and how long after the beginning something became of them.
type Moments = Vec<(u64, Duration)>;

/// Posts what one line has until nothing is left, in time that costs nothing. Gives back what was posted when, and what was
/// given up when.
fn simulate(pace: Pace, count: u64, jitter: f64, answer: impl Fn(u64, usize) -> Answer) -> (Moments, Moments) {
    const TAKES: Duration = Duration::from_millis(100);
    let began = Clocks { instant: Instant::now(), wall_ms: now_ms() };
    let mut events = events("orders", 1..=count);
    events.iter_mut().for_each(|event| event.at_ms = began.wall_ms);
    let mut lines = Lines::new(pace);
    assert!(lines.offer("orders", &[hook("https://a.example.com/")], &BTreeMap::new(), &events, began).is_empty());
    lines.lead(true);
    let (mut posts, mut given_up) = (Moments::new(), Moments::new());
    let mut now = began.instant;
    loop {
        let settled = match lines.next(now) {
            Step::Post { line, event, .. } => {
                let before = posts.iter().filter(|(seq, _)| *seq == event.seq).count();
                posts.push((event.seq, now - began.instant));
                now += TAKES;
                match lines.answered(&line, answer(event.seq, before), now, jitter) {
                    Outcome::Settled(settled) => settled,
                    _ => continue,
                }
            }
            Step::GiveUp(settled) => settled,
            Step::Wait(Some(until)) => {
                assert!(until > now, "it waits for the future");
                now = until;
                continue;
            }
            Step::Wait(None) => return (posts, given_up),
        };
        if settled.given_up.is_some() {
            given_up.push((settled.event.seq, now - began.instant));
        }
    }
}

#[test]
fn a_receiver_that_is_down_is_asked_less_and_less_and_for_a_day() {
    let day = Duration::from_secs(86_400);
    for jitter in [0.0, 0.5, 1.0] {
        let pace = Pace { retry_initial: Duration::from_secs(1), window: day };
        let (posts, given_up) = simulate(pace, 3, jitter, |_, _| failed());
        let waits = posts.windows(2).map(|pair| pair[1].1 - pair[0].1).collect::<Vec<_>>();
        let full = |failures: u32| Duration::from_secs(1 << failures).min(LONGEST);
        for (failures, wait) in (0..).zip(&waits) {
            let full = full(failures.min(20));
            assert!(*wait >= full / 2 && *wait <= full + Duration::from_millis(200), "{failures}: {wait:?}");
        }
        assert!(posts.len() < 2 * 288 + 20, "{}", posts.len());
        // The last post is as late as the window allows, and then all that are as old are given up without another one.
        let last = posts.last().unwrap().1;
        assert!(last > day - LONGEST - Duration::from_secs(1) && last < day, "{last:?}");
        assert_eq!(given_up.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(given_up.iter().all(|(_, at)| *at <= day && *at + LONGEST >= day), "{given_up:?}");
    }
}

#[test]
fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
    let asked = Duration::from_secs(600);
    let pace = Pace { retry_initial: Duration::from_secs(1), window: Duration::from_secs(86_400) };
    let (posts, given_up) = simulate(pace, 2, 1.0, |seq, before| {
        let wait = Some(asked).filter(|_| seq == 1 && before == 0);
        if wait.is_some() { Answer::Failed { why: "it answered 429".to_owned(), wait } } else { Answer::Taken }
    });
    assert_eq!(posts.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 1, 2]);
    assert!(posts[1].1 - posts[0].1 >= asked, "{posts:?}");
    assert!(posts[2].1 - posts[1].1 < Duration::from_secs(1), "after success nobody waits: {posts:?}");
    assert!(given_up.is_empty());
}

#[test]
fn a_receiver_that_asks_for_no_wait_is_not_stormed() {
    let pace = Pace { retry_initial: Duration::from_secs(1), window: Duration::from_secs(3_600) };
    let (posts, _) =
        simulate(pace, 1, 1.0, |_, _| Answer::Failed { why: "it answered 429".to_owned(), wait: Some(Duration::ZERO) });
    assert!(posts.len() < 40, "{}", posts.len());
}

#[test]
fn settings_without_sense_do_no_harm() {
    // The longest that a configuration can say.
    let longest = Duration::from_millis(i64::MAX.unsigned_abs());
    let pace = Pace { retry_initial: longest, window: longest };
    let (posts, given_up) = simulate(pace, 2, 0.0, |_, before| if before < 3 { failed() } else { Answer::Taken });
    assert_eq!((posts.len(), given_up.len()), (8, 0));
    let pace = Pace { retry_initial: Duration::from_millis(1), window: Duration::from_millis(1) };
    let (posts, given_up) = simulate(pace, 2, 0.0, |_, _| failed());
    assert_eq!((posts.len(), given_up.len()), (1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lines_keep_their_order_and_lose_nothing(acts in acts()) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        // In the end receivers are well, and everything is told.
        world.act(Act::Lead(true));
        loop {
            while !world.under_way.is_empty() {
                world.answer(0, Answer::Taken);
                world.work();
            }
            let until = world.work();
            match until {
                Some(until) if world.under_way.is_empty() => {
                    prop_assert!(until > world.now.instant);
                    world.pass(until - world.now.instant);
                }
                None if world.under_way.is_empty() => break,
                _ => {}
            }
        }
        prop_assert_eq!(world.lines.waiting(), 0);
        for job in 0..JOBS {
            for hook in World::hooks(job).iter().filter(|_| world.last[job] > 0) {
                let line = (format!("job{job}"), hook.id());
                prop_assert_eq!(world.got.get(&line).copied(), Some(world.last[job]), "{:?}", line);
            }
        }
        for settled in world.settled.values() {
            let once: BTreeSet<u64> = settled.iter().copied().collect();
            prop_assert_eq!(once.into_iter().collect::<Vec<_>>(), settled.clone(), "in order, each once");
        }
    }
}
