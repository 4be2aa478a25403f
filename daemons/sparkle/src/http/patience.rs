//! A connection whose other end has to read: where it takes nothing for too long, writing fails.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// See the module.
pub(super) struct Patience<S> {
    stream: S,
    unread_max: Duration,
    /// When patience ends; counts while something waits to be taken.
    end: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, unread_max: Duration) -> Self {
        let end = Box::pin(tokio::time::sleep(unread_max));
        Self { stream, unread_max, end, waits: false }
    }

    /// What a write comes to: as it is, or an end where it has waited for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = false;
            return written;
        }
        if !self.waits {
            self.waits = true;
            let end = Instant::now() + self.unread_max;
            self.end.as_mut().reset(end);
        }
        ready!(self.end.as_mut().poll(cx));
        let what = "the client reads nothing of what it is sent";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const MAX: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_nothing_is_left() {
        let (near, _far) = tokio::io::duplex(10);
        let began = Instant::now();
        let error = Patience::new(near, MAX).write_all(&[0; 20]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, MAX.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_slowly_is_not() {
        let (near, mut far) = tokio::io::duplex(10);
        let mut near = Patience::new(near, MAX);
        let writing = tokio::spawn(async move { near.write_all(&[1; 100]).await });
        for _ in 0..100 {
            tokio::time::sleep(MAX * 9 / 10).await;
            assert_eq!(far.read_u8().await.unwrap(), 1);
        }
        writing.await.unwrap().unwrap();
    }
}
