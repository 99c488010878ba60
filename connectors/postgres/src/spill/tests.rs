use std::path::Path;

use proptest::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::*;
use crate::settings::Settings;

fn metrics() -> Arc<PostgresMetrics> {
    let props = [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")]
        .map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
    let settings = Settings::parse(&props.into_iter().collect()).expect("valid settings");
    PostgresMetrics::new(&settings, mpsc::channel(1).0.downgrade())
}

fn spill(directory: &Path, memory: usize, disk: Option<u64>) -> Spill {
    Spill::new(Bounds { directory: Some(directory.to_owned()), memory, disk }, metrics())
}

async fn read(spill: &mut Spill, xid: u32) -> Vec<(u64, Vec<u8>)> {
    let mut kept = spill.commit(xid).expect("it is known");
    let mut read = Vec::new();
    while let Some(entry) = kept.next().await.expect("readable") {
        read.push((entry.lsn, entry.payload.to_vec()));
    }
    spill.done(kept);
    read
}

fn nothing_is_left(spill: &Spill) {
    assert_eq!((spill.memory, spill.disk, spill.transactions.len()), (0, 0, 0));
}

#[tokio::test]
async fn what_does_not_fit_into_memory_goes_to_disk_and_comes_back_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spill = spill(directory.path(), 1_000, None);
    let payload = |n: u64| vec![u8::try_from(n % 251).expect("small"); usize::try_from(n * 7 % 900).expect("small")];
    for xid in [7, 8] {
        spill.begin(xid, 100);
    }
    for n in 0..500 {
        spill.keep(7, 7, n, &payload(n)).await.expect("kept");
        spill.keep(8, 8, n, &payload(n + 1)).await.expect("kept");
        assert!(spill.memory <= 1_000);
    }
    assert!(spill.disk > 300_000);
    assert_eq!(directory.path().read_dir().expect("readable").count(), 0, "files have no name");
    let expected = |from: u64| (0..500).map(|n| (n, payload(n + from))).collect::<Vec<_>>();
    assert_eq!(read(&mut spill, 8).await, expected(1));
    assert_eq!(read(&mut spill, 7).await, expected(0));
    nothing_is_left(&spill);
}

#[tokio::test]
async fn a_message_larger_than_what_is_read_at_a_time_is_read_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spill = spill(directory.path(), 0, None);
    spill.begin(1, 0);
    let large = vec![9; 3_000_000];
    for n in 0..3 {
        spill.keep(1, 1, n, &large[usize::try_from(n).expect("small")..]).await.expect("kept");
    }
    let lengths: Vec<_> = read(&mut spill, 1).await.iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lengths, [3_000_000, 2_999_999, 2_999_998]);
}

#[tokio::test]
async fn what_is_rolled_back_gives_its_room_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spill = spill(directory.path(), 100, None);
    spill.begin(1, 0);
    spill.keep(1, 1, 1, b"kept").await.expect("kept");
    let (memory, disk) = (spill.memory, spill.disk);
    for n in 0..1_000 {
        spill.keep(1, 2, n, &[0; 100]).await.expect("kept");
        spill.keep(1, 3, n, &[0; 100]).await.expect("kept");
    }
    assert!(spill.disk > 200_000);
    // 3 was released within 2, and ends with it.
    spill.roll_back(1, 3).await.expect("rolled back");
    spill.roll_back(1, 2).await.expect("rolled back");
    assert_eq!(spill.memory as u64 + spill.disk, memory as u64 + disk);
    spill.keep(1, 1, 2, b"behind").await.expect("kept");
    assert_eq!(read(&mut spill, 1).await, [(1, b"kept".to_vec()), (2, b"behind".to_vec())]);
    spill.begin(4, 0);
    spill.keep(4, 4, 1, &[0; 300]).await.expect("kept");
    spill.roll_back(4, 4).await.expect("rolled back");
    assert!(spill.commit(4).is_none());
    nothing_is_left(&spill);
}

#[tokio::test]
async fn a_limit_on_disk_is_an_error_that_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spill = spill(directory.path(), 100, Some(1_000));
    spill.begin(771, 0);
    let mut failure = None;
    for n in 0..100 {
        failure = failure.or(spill.keep(771, 771, n, &[0; 50]).await.err());
    }
    let failure = failure.expect("it is full");
    assert_eq!(failure.kind(), ErrorKind::Config);
    assert!(failure.message().contains("transaction 771") && failure.message().contains("allows 1000"), "{failure}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let bounds = Bounds { directory: Some("/nonexistent/spill".into()), memory: 0, disk: None };
    let error = bounds.check().expect_err("it is not there");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("/nonexistent/spill"), "{error}");
}

/// What is done to a transaction.
#[derive(Clone, Debug)]
enum Step {
    Keep { part: u32, length: usize },
    RollBack { part: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keep = (0..6_u32, 0..200_usize).prop_map(|(part, length)| Step::Keep { part, length });
    let roll_back = (1..6_u32).prop_map(|part| Step::RollBack { part });
    proptest::collection::vec(prop_oneof![8 => keep, 1 => roll_back], 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_was_not_rolled_back_comes_back(steps in steps(), memory in 0..3_000_usize) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spill = spill(directory.path(), memory, None);
        // A part that was rolled back does nothing any more: its number is that of another one then.
        let mut parts = [0_u32, 1, 2, 3, 4, 5];
        let mut expected: Vec<(u32, u64, Vec<u8>)> = Vec::new();
        spill.begin(0, 1);
        let read = Runtime::new().expect("a runtime").block_on(async {
            for (lsn, step) in (0_u64..).zip(&steps) {
                match *step {
                    Step::Keep { part, length } => {
                        let part = parts[part as usize];
                        let payload = vec![u8::try_from(lsn % 256).expect("a byte"); length];
                        spill.keep(0, part, lsn, &payload).await.expect("kept");
                        expected.push((part, lsn, payload));
                    }
                    Step::RollBack { part } => {
                        spill.roll_back(0, parts[part as usize]).await.expect("rolled back");
                        expected.retain(|(of, ..)| *of != parts[part as usize]);
                        parts[part as usize] += 10;
                    }
                }
            }
            read(&mut spill, 0).await
        });
        prop_assert_eq!(read, expected.into_iter().map(|(_, lsn, payload)| (lsn, payload)).collect::<Vec<_>>());
        nothing_is_left(&spill);
    }
}
