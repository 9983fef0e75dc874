//! The bytes of a connection, plain or through TLS, counted as they pass. Not here: what is made of the counts (`times.rs`).

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::line::Line;
use super::times::Times;

/// A connection's bytes.
pub(super) struct Stream {
    inner: Inner,
    line: Rc<Line>,
}

pub(super) enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn new(inner: Inner, line: Rc<Line>) -> Stream {
        Stream { inner, line }
    }

    pub(super) fn line(&self) -> &Rc<Line> {
        &self.line
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(match &mut this.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Inner::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        })?;
        let bytes = (buffer.filled().len() - before) as u64;
        // What an answered client goes on sending is thrown away up to a limit, and then its connection.
        Poll::Ready(if this.line.read(bytes) { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Inner::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        };
        match &written {
            Poll::Pending => this.line.note(|times| times.stalled(Instant::now())),
            Poll::Ready(Ok(bytes)) => this.line.note(|times| times.wrote(*bytes as u64)),
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match &mut this.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        };
        match &flushed {
            Poll::Pending => this.line.note(|times| times.stalled(Instant::now())),
            Poll::Ready(_) => this.line.note(Times::flushed),
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = match &mut this.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        };
        if ended.is_pending() {
            this.line.note(|times| times.stalled(Instant::now()));
        }
        ended
    }
}
