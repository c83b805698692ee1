//! `qsync agent`: publishes each channel on its schedule, signs heads again, and starts nodes that an interrupted run left stopped.
//!
//! The same as `schedules/` for hosts with neither cron nor systemd: it decides when, and runs the very commands of those, one at a time, each
//! in a process of its own.

mod child;
mod http;
mod memory;
pub(crate) mod plan;

use std::{
    ffi::OsString,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use self::plan::{Job, Past, Task};
use super::{Code, context::Context, exit::Failure};
use crate::{
    catalog::StateDir,
    fs::Fs,
    ops::metrics::{self, Metrics},
    progress::{Event, Stop},
    types::{ChannelName, Timestamp},
};

/// The longest sleep: a clock that jumps, or a machine that was suspended, is noticed within it.
const NAP: Duration = Duration::from_secs(15);
/// Exit codes of a command after which a new head is live.
const SIGNED: [i32; 2] = [0, 3];
/// The exit code of a publish whose node could not be started again.
const NODE_STOPPED: i32 = 19;

/// What the agent is to do.
#[derive(Debug)]
pub(crate) struct Options {
    /// The channels and their schedules.
    pub(crate) jobs: Vec<Job>,
    /// Where to answer.
    pub(crate) listen: Option<SocketAddr>,
    /// The global options that every command gets.
    pub(crate) global: Vec<OsString>,
}

/// Works until it is asked to stop; a command under way is asked too, and waited for.
///
/// # Errors
/// When another agent uses the state directory, or the address cannot be listened on.
pub(crate) async fn run(options: Options, context: &Context) -> Result<(), Failure> {
    let state = context.open_state()?;
    let lock = state.path().join("locks").join("agent");
    let io = |e: std::io::Error| Failure::from_error(Code::StateIo, &e).context(format!("cannot lock {}", lock.display()));
    context.fs.open(&lock, crate::fs::Open::Create(0o600)).map_err(io)?;
    let _lock = context.fs.try_lock(&lock).map_err(io)?.ok_or_else(|| another(&state))?;
    let desk = Arc::new(Desk::new(&options.jobs, Arc::clone(&context.fs), state));
    if let Some(listen) = options.listen {
        let refused = |e: std::io::Error| Failure::from_error(Code::Error, &e).context(format!("cannot listen on {listen}"));
        let address = http::start(listen, Arc::clone(&desk), context.stop.clone()).await.map_err(refused)?;
        context.output.item("listening", &Listening { address }, |listening| format!("http://{}/healthz\n", listening.address));
    }
    while let Some(task) = next_task(&desk, &context.stop).await {
        perform(&desk, &task, &options.global, context).await;
    }
    Ok(())
}

fn another(state: &StateDir) -> Failure {
    Failure::new(Code::Locked, format!("another agent works with {}", state.path().display()))
        .hint("one agent does for all channels; give a second one a state directory of its own: --state-dir DIR")
}

/// Sleeps until something is due; `None` when asked to stop.
async fn next_task(desk: &Desk, stop: &Stop) -> Option<Task> {
    loop {
        if stop.requested() {
            return None;
        }
        let now = Timestamp::now();
        let (at, task) = desk.next(now);
        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        if left.is_zero() {
            return Some(task);
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(NAP)) => {}
            () = stop.wait() => return None,
        }
    }
}

async fn perform(desk: &Desk, task: &Task, global: &[OsString], context: &Context) {
    let (began, clock) = (Timestamp::now(), Instant::now());
    desk.begins(task, began, context);
    let exit = tokio::select! {
        exit = command(task, global, context) => exit,
        // A node of another channel does not wait for hours until this one is uploaded.
        () = thaw_meanwhile(global, context), if *task != Task::Thaw => 1,
    };
    desk.ended(task, began, exit, context);
    let done = Done { task: name(task), channel: channel(task), exit, seconds: clock.elapsed().as_secs_f64() };
    if !(exit == 0 && *task == Task::Thaw) {
        context.output.item("task", &done, text);
    }
}

async fn command(task: &Task, global: &[OsString], context: &Context) -> i32 {
    let words = words(task).into_iter().map(OsString::from).chain(global.iter().cloned());
    child::run(words, &context.stop).await.unwrap_or_else(|error| {
        context.progress().event(Event::Warning { text: format!("qsync could not be started: {error}") });
        1
    })
}

/// Never ends: it goes on as long as another command does.
async fn thaw_meanwhile(global: &[OsString], context: &Context) {
    loop {
        tokio::time::sleep(Duration::try_from(plan::THAW_EVERY).unwrap_or(NAP)).await;
        command(&Task::Thaw, global, context).await;
    }
}

/// The command that does it.
fn words(task: &Task) -> Vec<String> {
    match task {
        Task::Thaw => vec!["thaw".to_owned(), "--all".to_owned()],
        Task::Publish(channel) => vec!["publish".to_owned(), channel.to_string()],
        Task::Refresh(channel) => vec!["head".to_owned(), "refresh".to_owned(), channel.to_string()],
    }
}

fn name(task: &Task) -> &'static str {
    match task {
        Task::Thaw => "thaw",
        Task::Publish(_) => "publish",
        Task::Refresh(_) => "head refresh",
    }
}

fn channel(task: &Task) -> Option<ChannelName> {
    match task {
        Task::Thaw => None,
        Task::Publish(channel) | Task::Refresh(channel) => Some(channel.clone()),
    }
}

/// Where the agent listens. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Listening {
    address: SocketAddr,
}

/// A command that the agent ran. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Done {
    task: &'static str,
    channel: Option<ChannelName>,
    exit: i32,
    seconds: f64,
}

fn text(done: &Done) -> String {
    let channel = done.channel.as_ref().map(|channel| format!(" {channel}")).unwrap_or_default();
    format!("agent: {}{channel} ended with {} after {:.1} s\n", done.task, done.exit, done.seconds)
}

/// What the agent knows, for its own decisions and for those who ask.
#[derive(Debug)]
struct Desk {
    fs: Arc<dyn Fs>,
    state: StateDir,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    jobs: Vec<(Job, Past)>,
    thawed: Option<Timestamp>,
    thaw_exit: i32,
}

impl Desk {
    fn new(jobs: &[Job], fs: Arc<dyn Fs>, state: StateDir) -> Self {
        let now = Timestamp::now();
        let jobs = jobs.iter().map(|job| (job.clone(), memory::load(&*fs, &state, &job.channel, now))).collect();
        Self { known: Mutex::new(Known { jobs, thawed: None, thaw_exit: 0 }), fs, state }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, now: Timestamp) -> (Timestamp, Task) {
        let known = self.known();
        plan::next(&known.jobs, known.thawed, now)
    }

    /// Remembers that a command begins, before it does: one that takes the machine down is not begun again at once.
    fn begins(&self, task: &Task, now: Timestamp, context: &Context) {
        self.change(task, context, |past| match task {
            Task::Publish(_) => (past.published, past.exit) = (Some(now), None),
            Task::Refresh(_) => past.tried_to_sign = Some(now),
            Task::Thaw => {}
        });
    }

    fn ended(&self, task: &Task, began: Timestamp, exit: i32, context: &Context) {
        if *task == Task::Thaw {
            let mut known = self.known();
            (known.thawed, known.thaw_exit) = (Some(began), exit);
        }
        self.change(task, context, |past| {
            if matches!(task, Task::Publish(_)) {
                past.exit = Some(exit);
            }
            if SIGNED.contains(&exit) {
                past.signed = Some(began);
            }
        });
    }

    fn change(&self, task: &Task, context: &Context, change: impl FnOnce(&mut Past)) {
        let Some(channel) = channel(task) else { return };
        let mut known = self.known();
        let Some((_, past)) = known.jobs.iter_mut().find(|(job, _)| job.channel == channel) else { return };
        change(past);
        if let Err(error) = memory::save(&*self.fs, &self.state, &channel, past) {
            let text = format!("what was done for {channel} could not be remembered, and may be done again after a restart: {error}");
            context.progress().event(Event::Warning { text });
        }
    }
}

impl http::Answers for Desk {
    fn faults(&self) -> Vec<String> {
        let known = self.known();
        let now = Timestamp::now();
        let is_marked = |channel: &ChannelName| metrics::stopped_since(&*self.fs, &self.state, channel).is_some();
        let stopped = known.jobs.iter().filter(|(job, past)| past.exit == Some(NODE_STOPPED) && is_marked(&job.channel));
        let stopped =
            stopped.map(|(job, _)| format!("{}: its node was stopped and could not be started again: qsync thaw {0}", job.channel));
        let thaw =
            (known.thaw_exit == NODE_STOPPED).then(|| "a node that was stopped cannot be started again: qsync thaw --all".to_owned());
        let unsigned = known.jobs.iter().filter(|(_, past)| is_unsigned(past, now));
        let unsigned = unsigned.map(|(job, past)| {
            let since = past.signed.unwrap_or(past.known_since);
            format!("{}: no head was signed since {since}: qsync publish {0}", job.channel)
        });
        stopped.chain(thaw).chain(unsigned).collect()
    }

    fn metrics(&self) -> String {
        let known = self.known();
        let mut metrics = Metrics::new();
        for (job, past) in &known.jobs {
            let at = plan::publish_at(job, past, Timestamp::now()).as_second() as f64;
            let labels = [("channel", job.channel.as_str())];
            metrics.set("qsync_agent_next_publish_timestamp_seconds", "When the agent publishes next", &labels, at);
        }
        drop(known);
        // A state directory that cannot be read shows in what is missing.
        let _unreadable = metrics.add_state(&*self.fs, &self.state);
        metrics.to_text()
    }
}

/// Whether nobody signed for so long that the head will expire if it goes on like this: two refreshes were missed.
fn is_unsigned(past: &Past, now: Timestamp) -> bool {
    now.duration_since(past.signed.unwrap_or(past.known_since)) > 2 * plan::REFRESH_EVERY
}
