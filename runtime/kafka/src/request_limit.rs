//! Records that are larger than a request to the brokers may be.
//!
//! A broker closes the connection over a request above its `socket.request.max.bytes`, without an answer that a client could
//! pass on, and librdkafka sends such a request again for ever. So the brokers are asked how large a request may be, but only once
//! a record comes that is larger than any would be unless somebody raised `max.request.size`. Who gets no answer, because it takes
//! a right that not everybody has, or because the brokers keep it to themselves, goes on without.
//!
//! A request holds a batch of one partition, and a record larger than `batch.size` is alone in its batch: its request is as large
//! as the record. How large a compressed one will be is not known before it is sent; it is not looked at here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::admin::LargestRequest;
use crate::security::text;
use crate::{Admin, ClientProps, Error, ErrorKind, Result, SendError};

/// Records up to this size are let through unseen: Java's default of `max.request.size`.
const FLOOR: usize = 1 << 20;
/// The most that a request has around its batch, besides the names in it.
const REQUEST_OVERHEAD: usize = 36;
/// How long an answer counts. Brokers come back with other settings.
const FRESH: Duration = Duration::from_secs(300);
/// How long a record waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the brokers.
type Ask = Box<dyn Fn() -> BoxFuture<'static, Result<Option<LargestRequest>>> + Send + Sync>;

/// What is known of the brokers that a producer writes to.
pub(crate) struct RequestLimit {
    ask: Ask,
    patience: Duration,
    /// What is around a batch in this producer's requests, besides the topic's name.
    overhead: usize,
    compressed: bool,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// When the brokers were asked last, and whether that is over.
    asked: Option<Instant>,
    ended: bool,
    /// The last answer; the inner `None` when there was none to be had.
    answer: Option<Option<LargestRequest>>,
}

impl RequestLimit {
    /// Of a producer with these properties.
    pub(crate) fn of(props: &ClientProps) -> Self {
        let given = props.clone();
        let ask = move || {
            let admin = Admin::open(&given);
            async move { admin?.largest_request().await }.boxed()
        };
        let length = |name| text(props, name).map_or(0, str::len);
        Self {
            ask: Box::new(ask),
            patience: PATIENCE,
            overhead: REQUEST_OVERHEAD + length("client.id") + length("transactional.id"),
            compressed: text(props, "compression.type").is_some_and(|codec| codec != "none"),
            known: Arc::default(),
        }
    }

    /// Refuses a record of `size` bytes in its batch that the brokers would not take. While they are being asked there is no room
    /// for it. Costs nothing for a record of the usual size.
    pub(crate) fn check(&self, topic: &str, size: usize) -> Result<(), SendError> {
        if size <= FLOOR || self.compressed {
            return Ok(());
        }
        let size = size + self.overhead + topic.len();
        let mut known = self.known.lock();
        if known.asked.is_none_or(|asked| asked.elapsed() >= FRESH) {
            known.asked = Some(Instant::now());
            known.ended = !self.ask();
        }
        let awaited = !known.ended && known.asked.is_some_and(|asked| asked.elapsed() < self.patience);
        match known.answer {
            Some(Some(limit)) if size > limit.bytes && !awaited => {
                Err(SendError::Refused(too_large(topic, size, limit)))
            }
            // What was too large may have become right meanwhile.
            Some(Some(limit)) if size > limit.bytes => Err(SendError::QueueFull),
            None if awaited => Err(SendError::QueueFull),
            _ => Ok(()),
        }
    }

    /// Asks the brokers on a task of its own; false when there is nothing to run it on.
    fn ask(&self) -> bool {
        let Ok(runtime) = Handle::try_current() else { return false };
        let (asked, patience, known) = ((self.ask)(), self.patience, Arc::clone(&self.known));
        runtime.spawn(async move {
            let answer = tokio::time::timeout(patience, asked).await;
            let answer = answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer in time")));
            let mut known = known.lock();
            known.ended = true;
            match answer {
                Ok(answer) => known.answer = Some(answer),
                Err(error) => {
                    known.answer.get_or_insert(None);
                    tracing::info!(
                        "how large a request the brokers take (socket.request.max.bytes) is not known, a record above that \
                         would be sent again and again: {error}"
                    );
                }
            }
        });
        true
    }
}

fn too_large(topic: &str, size: usize, limit: LargestRequest) -> Error {
    let said = format!(
        "The message needs a request of {size} bytes which is larger than {}, which is the value of the \
         socket.request.max.bytes configuration of broker {}. Raise that, or compress messages (compression.type).",
        limit.bytes, limit.broker
    );
    let error = Error::new(ErrorKind::TooLarge, format!("topic {topic}: {said}"));
    error.with_java("org.apache.kafka.common.errors.RecordTooLargeException", said)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LARGE: usize = FLOOR + 1;

    fn props(pairs: &[(&str, &str)]) -> ClientProps {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// A limit that is asked for in this way, and how often it was.
    fn limit(
        answer: impl Fn() -> BoxFuture<'static, Result<Option<LargestRequest>>> + Send + Sync + 'static,
    ) -> (RequestLimit, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let ask = move || {
            count.fetch_add(1, Ordering::Relaxed);
            answer()
        };
        let patience = Duration::from_millis(200);
        (RequestLimit { ask: Box::new(ask), patience, ..RequestLimit::of(&props(&[])) }, asked)
    }

    fn told(bytes: usize) -> (RequestLimit, Arc<AtomicUsize>) {
        limit(move || async move { Ok(Some(LargestRequest { bytes, broker: 3 })) }.boxed())
    }

    /// The verdict, once there is one.
    async fn verdict(limit: &RequestLimit, size: usize) -> Result<()> {
        loop {
            match limit.check("t", size) {
                Ok(()) => return Ok(()),
                Err(SendError::Refused(error)) => return Err(error),
                Err(SendError::QueueFull) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    #[tokio::test]
    async fn a_record_above_the_limit_is_refused_once_the_brokers_were_asked() {
        let (limit, asked) = told(2_000_000);
        assert!(matches!(limit.check("t", 3_000_000), Err(SendError::QueueFull)), "the brokers are being asked");
        let error = verdict(&limit, 3_000_000).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let java = error.java().unwrap();
        assert_eq!(java.class, "org.apache.kafka.common.errors.RecordTooLargeException");
        assert_eq!(
            java.message,
            "The message needs a request of 3000037 bytes which is larger than 2000000, which is the value of the \
             socket.request.max.bytes configuration of broker 3. Raise that, or compress messages (compression.type)."
        );
        let around = REQUEST_OVERHEAD + "t".len();
        assert!(limit.check("t", 2_000_000 - around).is_ok());
        assert!(limit.check("t", 2_000_000 - around + 1).is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn nobody_is_asked_for_usual_sizes_or_for_what_is_compressed() {
        let (limit, asked) = told(10);
        assert!(limit.check("t", FLOOR).is_ok());
        let compressed = RequestLimit { compressed: true, ..limit };
        assert!(compressed.check("t", LARGE).is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        let of = |pairs: &[(&str, &str)]| RequestLimit::of(&props(pairs));
        assert!(of(&[("compression.type", "zstd")]).compressed && !of(&[("compression.type", " none ")]).compressed);
        let names = of(&[("client.id", "four"), ("transactional.id", "five5")]);
        assert_eq!(names.overhead, REQUEST_OVERHEAD + 9);
    }

    #[tokio::test]
    async fn who_gets_no_answer_goes_on_without() {
        let refused = || async { Err(Error::new(ErrorKind::Authorization, "not you")) }.boxed();
        let hidden = || async { Ok(None) }.boxed();
        let silent = || std::future::pending().boxed();
        for (limit, asked) in [limit(refused), limit(hidden), limit(silent)] {
            assert!(verdict(&limit, usize::MAX / 2).await.is_ok());
            assert!(limit.check("t", LARGE).is_ok(), "at once from now on");
            assert_eq!(asked.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn outside_of_a_runtime_nobody_is_waited_for() {
        let (limit, asked) = told(10);
        assert!(limit.check("t", LARGE).is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn an_old_answer_is_asked_for_again_before_it_refuses() {
        let bytes = Arc::new(AtomicUsize::new(LARGE));
        let now = Arc::clone(&bytes);
        let (limit, asked) = limit(move || {
            let bytes = now.load(Ordering::Relaxed);
            async move { Ok(Some(LargestRequest { bytes, broker: 1 })) }.boxed()
        });
        assert!(verdict(&limit, 2 * LARGE).await.is_err());
        bytes.store(3 * LARGE, Ordering::Relaxed);
        assert!(verdict(&limit, 2 * LARGE).await.is_err(), "still fresh");
        let Some(long_ago) = Instant::now().checked_sub(FRESH) else { return };
        limit.known.lock().asked = Some(long_ago);
        assert!(verdict(&limit, 2 * LARGE).await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
