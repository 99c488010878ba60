//! The stream of a connection, given up when its client takes nothing of an answer any more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a connection is doing, for who wants to end it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    /// Requests whose answers are not handed over as a whole.
    answering: Arc<AtomicUsize>,
    /// Bytes of an answer wait to be sent.
    sending: Arc<AtomicBool>,
    /// The answer has no end of its own, so that nobody waits for it.
    endless: Arc<AtomicBool>,
}

impl Activity {
    /// True while a request is under way or its answer is being sent, unless that would go on for ever.
    pub(crate) fn is_busy(&self) -> bool {
        let at_work = self.answering.load(Ordering::Relaxed) > 0 || self.sending.load(Ordering::Relaxed);
        at_work && !self.endless.load(Ordering::Relaxed)
    }

    /// A request has come.
    pub(crate) fn answering(&self) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        self.endless.store(false, Ordering::Relaxed);
        Answering(self.clone())
    }
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Answering(Activity);

impl Answering {
    /// Says that its answer has no end of its own. A connection answers one request at a time, so that this is about all
    /// that is under way.
    pub(crate) fn never_ends(&self) {
        self.0.endless.store(true, Ordering::Relaxed);
    }

    /// The body of the answer: the request is under way until that is gone, too.
    pub(crate) fn until(self, body: Body) -> Answer {
        Answer { body, _answering: self }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose writes fail when none makes progress for a time.
pub(crate) struct Progress<S> {
    stream: S,
    activity: Activity,
    limit: Duration,
    /// When to give up; there while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Progress<S> {
    pub(crate) fn new(stream: S, activity: Activity, limit: Duration) -> Self {
        Self { stream, activity, limit, deadline: None }
    }

    /// What a write came to: progress, or an error when it has waited too long.
    fn within<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take the answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.sending.store(true, Ordering::Relaxed);
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.sending.store(true, Ordering::Relaxed);
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.within(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.activity.sending.store(false, Ordering::Relaxed);
        }
        self.within(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut client, server) = duplex(16);
        let (activity, limit) = (Activity::default(), Duration::from_millis(30));
        let mut stream = Progress::new(server, activity.clone(), limit);
        let began = std::time::Instant::now();
        let outcome = stream.write_all(&[0; 64]).await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= limit);
        assert!(activity.is_busy());
        // What was taken in time is fine.
        let mut taken = [0; 16];
        client.read_exact(&mut taken).await.unwrap();
        stream.write_all(&[1; 8]).await.unwrap();
        stream.flush().await.unwrap();
        assert!(!activity.is_busy());
    }

    #[tokio::test]
    async fn a_slow_client_is_served_as_long_as_it_takes_something() {
        let (mut client, server) = duplex(16);
        let limit = Duration::from_secs(2);
        let mut stream = Progress::new(server, Activity::default(), limit);
        let reading = tokio::spawn(async move {
            let mut taken = [0; 16];
            for _ in 0..4 {
                tokio::time::sleep(limit * 2 / 5).await;
                client.read_exact(&mut taken).await.unwrap();
            }
        });
        stream.write_all(&[0; 64]).await.unwrap();
        reading.await.unwrap();
    }

    #[test]
    fn a_request_is_under_way_until_the_body_of_its_answer_is_gone() {
        let activity = Activity::default();
        assert!(!activity.is_busy());
        let answer = activity.answering().until(Body::from("0123"));
        assert_eq!(answer.size_hint().exact(), Some(4));
        assert!(activity.is_busy());
        drop(answer);
        assert!(!activity.is_busy());
    }
}
