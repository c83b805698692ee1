//! Blocks on their way to a node, as one archive after the other.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use reqwest::{
    Body,
    multipart::{Form, Part},
};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Error, ErrorKind, Kubo, answer,
    call::{Call, no_answer},
    error::Fault,
};

/// How long a node may take no byte, or after the last one say nothing.
const STALL: Duration = Duration::from_secs(120);
/// How often we look.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    stats: Stats,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stats {
    block_count: u64,
}

impl Kubo {
    /// Gives the node the blocks of an archive (CARv1), which are checked against their names there, and says how many it took. Nothing is
    /// pinned: until something names them, the node's cleaning may take them.
    ///
    /// However long it takes, as long as the node goes on; it is waited 120 s for each piece. What the archive takes to be made does not count.
    ///
    /// # Errors
    /// [`ErrorKind::TooBig`], [`ErrorKind::NoSpace`]; [`ErrorKind::Interrupted`] when the connection or the archive breaks off, or nothing
    /// moves any more. Some of the blocks may then be there.
    pub async fn import(&self, car: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static) -> Result<u64, Error> {
        self.send(car).await.map_err(|fault| self.error("dag import", fault))
    }

    async fn send(&self, car: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static) -> Result<u64, Fault> {
        let watch = Watch::default();
        let body = Body::wrap_stream(Watched { car: Box::pin(car), watch: watch.clone() });
        let form = Form::new().part("file", Part::stream(body).file_name("blocks.car"));
        let call = Call::new("dag/import", "dag import").with("pin-roots", false).with("stats", true);
        let request = self.request(&call).multipart(form);
        let whole = async { answer::read(request.send().await.map_err(|error| watch.explain(error))?.into()).await };
        let answer = tokio::select! {
            answer = whole => answer?,
            () = watch.stalled() => return Err(stalled()),
        };
        let told: Option<Told> = answer.each().next();
        told.map(|told| told.stats.block_count)
            .ok_or_else(|| Fault::new(ErrorKind::Interrupted, "the node does not say how many blocks it took"))
    }
}

fn stalled() -> Fault {
    Fault::new(ErrorKind::Interrupted, format!("nothing moved for {} s", STALL.as_secs()))
}

/// Who is to do something, and since when.
#[derive(Clone, Debug)]
struct Watch(Arc<Mutex<Turn>>);

#[derive(Debug)]
enum Turn {
    /// The archive is being made.
    Ours,
    /// It cannot be made.
    Failed,
    /// The node takes what was made, or thinks about it.
    Theirs(Instant),
}

impl Default for Watch {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Turn::Theirs(Instant::now()))))
    }
}

impl Watch {
    fn set(&self, turn: Turn) {
        *self.0.lock().expect("nobody panics while holding it") = turn;
    }

    /// Ends when the node has done nothing for too long.
    async fn stalled(&self) {
        while !self.is_stalled() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn is_stalled(&self) -> bool {
        let turn = self.0.lock().expect("nobody panics while holding it");
        matches!(*turn, Turn::Theirs(since) if since.elapsed() >= STALL)
    }

    /// A request that got no answer: because of us, or of the node.
    fn explain(&self, error: reqwest::Error) -> Fault {
        let turn = self.0.lock().expect("nobody panics while holding it");
        match *turn {
            Turn::Failed => Fault::new(ErrorKind::Interrupted, "the archive breaks off").caused_by(error.without_url()),
            Turn::Ours | Turn::Theirs(_) => no_answer(error),
        }
    }
}

/// An archive that tells how far it is.
struct Watched<S> {
    car: Pin<Box<S>>,
    watch: Watch,
}

impl<S: Stream<Item = Result<Bytes, io::Error>>> Stream for Watched<S> {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = self.car.as_mut().poll_next(context);
        self.watch.set(match &piece {
            Poll::Pending => Turn::Ours,
            Poll::Ready(Some(Err(_))) => Turn::Failed,
            Poll::Ready(_) => Turn::Theirs(Instant::now()),
        });
        piece
    }
}
