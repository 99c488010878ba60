//! The outbox with receivers that do as told. What takes long is tested with lines alone, see `lines_tests`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::backoff::{Answer, REFUSED_TRIES};
use super::event::EventKind;
use super::hook::Webhook;
use super::lines::{AT_A_TIME, AT_A_TIME_PER_HOST, Pace};
use super::outbox::Outbox;
use super::testing::{Logged, Scripted, Told, event, events, failed, hook, nothing, until};

const DAY: Duration = Duration::from_secs(86_400);
const PACE: Pace = Pace { retry_initial: Duration::from_millis(4), window: DAY };
const SOON: Duration = Duration::from_millis(2);
/// Long enough for something to happen that must not.
const A_WHILE: Duration = Duration::from_millis(60);

fn a() -> Webhook {
    hook("https://a.example.com/t0ken")
}

fn b() -> Webhook {
    hook("https://b.example.com/t0ken")
}

fn start(post: &Arc<Scripted>) -> (Outbox, Told) {
    let told = Told::default();
    let outbox = Outbox::posting(Arc::clone(post) as _, PACE, told.callback());
    (outbox, told)
}

fn leading(post: &Arc<Scripted>) -> (Outbox, Told) {
    let (outbox, told) = start(post);
    outbox.lead(true);
    (outbox, told)
}

fn taking() -> Arc<Scripted> {
    Scripted::new(|_, _, _| (SOON, Answer::Taken))
}

#[tokio::test]
async fn events_are_posted_in_order_whatever_fails() {
    // Each is taken the third time, and by the other webhook at once.
    let post = Scripted::new(|hook, _, before| {
        (SOON, if before < 2 && hook.host() == "a.example.com" { failed() } else { Answer::Taken })
    });
    let (outbox, told) = leading(&post);
    outbox.offer("orders", &[a(), b()], &nothing(), &events("orders", 1..=3));
    until("all are told", || told.len() == 6).await;
    let thrice = (1..=3).flat_map(|seq| vec![format!("orders-{seq}"); 3]).collect::<Vec<_>>();
    assert_eq!(post.ids(Some("a.example.com")), thrice);
    assert_eq!(post.ids(Some("b.example.com")), ["orders-1", "orders-2", "orders-3"]);
    assert_eq!(told.got("orders"), BTreeMap::from([(a().id(), 3), (b().id(), 3)]));
    assert_eq!((outbox.taken(), outbox.dropped(), outbox.waiting()), (6, 0, 0));
    outbox.stop().await;
}

#[tokio::test]
async fn many_failures_are_few_lines_in_the_log_and_their_end_is_one() {
    let (logged, _guard) = Logged::begin();
    let post = Scripted::new(|_, _, _| (SOON, failed()));
    let told = Told::default();
    let pace = Pace { retry_initial: Duration::from_millis(1), window: Duration::from_millis(700) };
    let outbox = Outbox::posting(Arc::clone(&post) as _, pace, told.callback());
    outbox.lead(true);
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=1));
    until("it is given up", || told.of("orders") == [1]).await;
    assert_eq!((outbox.dropped(), outbox.taken(), outbox.waiting()), (1, 0, 0));
    let text = logged.text();
    let warnings = text.lines().filter(|line| line.contains(" WARN ")).count();
    let posts = post.ids(None).len();
    assert!(warnings >= 1 && warnings <= 1 + usize::try_from(posts.ilog2()).unwrap(), "{posts}: {text}");
    assert_eq!(text.matches(" ERROR ").count(), 1, "{text}");
    assert!(text.contains("job=\"orders\"") && text.contains("host=\"a.example.com\""), "{text}");
    assert!(text.contains("it is too old to try again") && !text.contains("t0ken"), "{text}");
}

#[tokio::test]
async fn what_is_too_old_is_not_posted() {
    let post = taking();
    let (outbox, told) = leading(&post);
    let mut both = events("orders", 1..=2);
    both[0].at_ms -= 86_400_001;
    outbox.offer("orders", &[a()], &nothing(), &both);
    until("both are settled", || told.of("orders") == [1, 2]).await;
    assert_eq!(post.ids(None), ["orders-2"]);
    assert_eq!((outbox.dropped(), outbox.taken()), (1, 1));
}

#[tokio::test]
async fn refusals_are_tried_a_few_times_and_given_up_loudly() {
    let (logged, _guard) = Logged::begin();
    let post = Scripted::new(|_, event, _| {
        let answer = match event.seq {
            1 => Answer::Refused("it answered 404 Not Found".to_owned()),
            2 => Answer::Final("it answered 410 Gone".to_owned()),
            _ => Answer::Taken,
        };
        (SOON, answer)
    });
    let (outbox, told) = leading(&post);
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=3));
    until("all are settled", || told.of("orders") == [1, 2, 3]).await;
    let mut expected = vec!["orders-1"; REFUSED_TRIES as usize];
    expected.extend(["orders-2", "orders-3"]);
    assert_eq!(post.ids(None), expected);
    assert_eq!((outbox.dropped(), outbox.taken()), (2, 1));
    assert_eq!(logged.text().matches("a webhook will not be told of job.state_changed").count(), 2);
    assert!(logged.text().contains("why=\"it answered 404 Not Found\""), "{}", logged.text());
}

#[tokio::test]
async fn one_that_hangs_holds_up_nobody_else() {
    // Fifty jobs tell a receiver that never answers in time, and each of them another one as well.
    let post = Scripted::new(
        |hook, _, _| {
            if hook.host() == "a.example.com" { (DAY, failed()) } else { (SOON, Answer::Taken) }
        },
    );
    let (outbox, told) = leading(&post);
    for job in 0..50 {
        let job = format!("job{job}");
        outbox.offer(&job, &[a(), b()], &nothing(), &events(&job, 1..=2));
    }
    until("the other one knows everything", || told.len() == 100).await;
    assert_eq!(post.most("a.example.com"), AT_A_TIME_PER_HOST);
    assert_eq!(post.ids(Some("a.example.com")).len(), AT_A_TIME_PER_HOST);
    drop(outbox);
}

#[tokio::test]
async fn posts_at_a_time_are_bounded_and_a_hundred_events_drain() {
    let post = taking();
    let (outbox, told) = leading(&post);
    for job in 0..40 {
        let job = format!("job{job}");
        let hook = hook(&format!("https://{job}.example.com/"));
        outbox.offer(&job, &[hook], &nothing(), &events(&job, 1..=100));
    }
    until("all are told", || told.len() == 4_000).await;
    for job in 0..40 {
        assert_eq!(told.of(&format!("job{job}")), (1..=100).collect::<Vec<_>>());
    }
    assert_eq!(post.most(""), AT_A_TIME);
    assert_eq!(post.ids(None).len(), 4_000);
    drop(outbox);
}

#[tokio::test]
async fn only_the_leader_posts_and_what_is_under_way_is_still_told() {
    let post = Scripted::new(|_, _, _| (Duration::from_millis(200), Answer::Taken));
    let (outbox, told) = start(&post);
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=3));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(post.ids(None).len(), 0);

    outbox.lead(true);
    until("the first is under way", || post.ids(None).len() == 1).await;
    outbox.lead(false);
    until("the first is told", || told.of("orders") == [1]).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(post.ids(None), ["orders-1"]);

    // Meanwhile another leader told the second one.
    outbox.offer("orders", &[a()], &BTreeMap::from([(a().id(), 2)]), &events("orders", 1..=3));
    outbox.lead(true);
    until("the third is told", || told.of("orders") == [1, 3]).await;
    assert_eq!(post.ids(None), ["orders-1", "orders-3"]);
    assert_eq!(outbox.dropped(), 0);
    drop(outbox);
}

#[tokio::test]
async fn a_picture_may_be_old_or_repeated() {
    let post = taking();
    let (outbox, told) = leading(&post);
    for _ in 0..5 {
        outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=2));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    until("both are told", || told.len() == 2).await;
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=3));
    until("the third is told", || told.len() == 3).await;
    assert_eq!(post.ids(None), ["orders-1", "orders-2", "orders-3"]);
    drop(outbox);
}

#[tokio::test]
async fn webhooks_are_told_what_they_want() {
    let post = taking();
    let (outbox, told) = leading(&post);
    let picky = Webhook { events: Some([EventKind::Failing].into()), ..a() };
    let mut three = events("orders", 1..=3);
    three[1].kind = EventKind::Failing;
    // The worker names the first webhook for everything, the job for one kind only.
    outbox.offer("orders", &[a(), b(), picky], &nothing(), &three);
    until("all are told", || told.len() == 4).await;
    assert_eq!(post.ids(Some("a.example.com")), ["orders-2"]);
    assert_eq!(post.ids(Some("b.example.com")), ["orders-1", "orders-2", "orders-3"]);
    drop(outbox);
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_dropped_with_a_word() {
    let post = Scripted::new(|_, _, _| (SOON, failed()));
    let (outbox, told) = leading(&post);
    outbox.offer("orders", &[a(), b()], &nothing(), &events("orders", 1..=2));
    until("posting has begun", || post.ids(None).len() >= 2).await;
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=2));
    // One that was under way is dropped when it has failed.
    until("the others are dropped", || outbox.dropped() == 2 && outbox.waiting() == 2).await;
    // Whoever keeps the events keeps the first no longer.
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 2..=2));
    until("the first is dropped", || outbox.dropped() == 3 && outbox.waiting() == 1).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(outbox.dropped(), 3);
    assert_eq!(told.len(), 0);
    drop(outbox);
}

#[tokio::test]
async fn a_deleted_job_is_told_to_the_end_and_a_new_one_after_it() {
    // Receivers are down for a while.
    let up = tokio::time::Instant::now() + A_WHILE;
    let post =
        Scripted::new(move |_, _, _| (SOON, if tokio::time::Instant::now() < up { failed() } else { Answer::Taken }));
    let (outbox, told) = leading(&post);
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 7..=9));
    outbox.forget("orders");
    assert_eq!(outbox.waiting(), 3);
    let mut anew = events("orders", 1..=2);
    for event in &mut anew {
        event.id = format!("new-{}", event.seq);
    }
    outbox.offer("orders", &[a()], &nothing(), &anew);
    until("everything is told", || outbox.waiting() == 0).await;
    let mut posted = post.ids(None);
    posted.dedup();
    assert_eq!(posted, ["orders-7", "orders-8", "orders-9", "new-1", "new-2"]);
    // The numbers of the old job mean nothing to the new one.
    assert_eq!(told.of("orders"), [1, 2]);
    assert_eq!((outbox.taken(), outbox.dropped()), (5, 0));

    // Without a new one they do no harm, and say what was told.
    outbox.offer("users", &[a()], &nothing(), &events("users", 1..=2));
    outbox.forget("users");
    until("everything is told", || told.of("users") == [1, 2]).await;
    drop(outbox);
}

#[tokio::test]
async fn what_a_deleted_job_left_is_lost_with_the_lead_and_says_so() {
    let post = Scripted::new(|_, _, _| (SOON, failed()));
    let (outbox, _told) = leading(&post);
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=2));
    until("posting has begun", || !post.ids(None).is_empty()).await;
    outbox.forget("orders");
    outbox.lead(false);
    // The first may have been under way when it was forgotten.
    let dropped = outbox.dropped();
    assert!((1..=2).contains(&dropped), "{dropped}");
    assert_eq!(outbox.waiting(), 0);

    // A worker that does not lead has nothing to lose.
    outbox.offer("users", &[a()], &nothing(), &events("users", 1..=2));
    outbox.forget("users");
    assert_eq!((outbox.dropped(), outbox.waiting()), (dropped, 0));
}

#[tokio::test]
async fn deleted_jobs_leave_a_bounded_number_of_lines() {
    let post = Scripted::new(|_, _, _| (DAY, failed()));
    let (outbox, _told) = leading(&post);
    for job in 0..300 {
        let job = format!("job{job}");
        outbox.offer(&job, &[a()], &nothing(), &events(&job, 1..=1));
        outbox.forget(&job);
    }
    assert_eq!((outbox.dropped(), outbox.waiting()), (44, 256));
}

#[tokio::test]
async fn over_a_change_of_leader_nothing_is_lost_and_repeats_have_the_same_id() {
    // What the jobs topic holds: it hears of a delivery, and the leader may die before that.
    for dies_after in 1..=12 {
        let order = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&order);
        let post = Scripted::new(move |_, event, before| {
            if before == 0 && event.seq % 3 == 0 {
                return (SOON, failed());
            }
            taken.lock().push(event.seq);
            (SOON, Answer::Taken)
        });
        let topic = Told::default();
        let all = events("orders", 1..=9);
        let first = Outbox::posting(Arc::clone(&post) as _, PACE, topic.callback());
        first.lead(true);
        first.offer("orders", &[a()], &topic.got("orders"), &all);
        until("it dies", || post.ids(None).len() >= dies_after || topic.len() == 9).await;
        let kept = topic.got("orders");
        if dies_after % 2 == 0 {
            first.lead(false);
        }
        drop(first);

        let second = Outbox::posting(Arc::clone(&post) as _, PACE, topic.callback());
        second.offer("orders", &[a()], &kept, &all);
        second.lead(true);
        until("everything is told", || second.waiting() == 0).await;
        let order = order.lock().clone();
        let mut once = order.clone();
        once.dedup();
        assert_eq!(once, (1..=9).collect::<Vec<_>>(), "{dies_after}: {order:?}");
        assert!(order.len() <= 10, "{dies_after}: only what was under way is repeated: {order:?}");
    }
}

#[tokio::test]
async fn stopping_waits_for_what_is_under_way() {
    let post = Scripted::new(|_, _, _| (Duration::from_millis(200), Answer::Taken));
    let (outbox, told) = leading(&post);
    outbox.offer("orders", &[a()], &nothing(), &events("orders", 1..=2));
    until("the first is under way", || post.ids(None).len() == 1).await;
    outbox.clone().stop().await;
    assert_eq!(told.of("orders"), [1]);
    assert_eq!(post.ids(None).len(), 1);
    // Nothing is begun any more.
    outbox.lead(true);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(post.ids(None).len(), 1);
}

#[tokio::test]
async fn a_post_that_panics_is_made_again() {
    let post = Scripted::new(|_, _, before| {
        assert!(before > 0, "as told");
        (SOON, Answer::Taken)
    });
    let (outbox, told) = leading(&post);
    outbox.offer("orders", &[a()], &nothing(), &[event("orders", 1)]);
    until("it is told", || told.of("orders") == [1]).await;
    assert_eq!(post.ids(None).len(), 2);
    drop(outbox);
}
