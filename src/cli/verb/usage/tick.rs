//! `qsync usage tick`: counts what was downloaded, and tells each terabyte that was crossed.

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;

use super::{open, remarks};
use crate::{
    cli::{
        Code,
        context::Context,
        exit::{Classify, Failure},
        reports,
    },
    ops::usage::{
        self, Event, EventId, Numbers, Options, SourceError, StoreUsage, Tick, one_line, plan,
        sinks::Missed,
        state::{SinkName, State},
    },
    progress,
    types::Timestamp,
};

const EXAMPLES: &str = "\
Examples:
  qsync usage tick                 every hour: counts as [usage] of the configuration says
  qsync usage tick --exit-code     the same, and exit 20 when a terabyte was crossed
  qsync usage tick --test          tell everybody of an event that is none
";

/// Count what was downloaded this month, and tell each terabyte that was crossed
///
/// Each has an id, which is the same however often it is told: a webhook or topic that cannot be told now is told by the next tick.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct TickArgs {
    /// Exit with 20 when a terabyte was crossed
    #[arg(long)]
    exit_code: bool,
    /// Count nothing, and tell everybody of an event that is none: to see whether it arrives
    #[arg(long)]
    test: bool,
}

/// What was counted. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Counted {
    stores: Vec<StoreUsage>,
    crossed: Vec<EventId>,
    pending: usize,
}

/// Counts and tells.
pub(super) async fn run(args: TickArgs, context: &Context) -> Result<(), Failure> {
    let options = context.until_stopped(open::options(context)).await?;
    if args.test {
        return test(&options, &args, context).await;
    }
    let tick = context.until_stopped(async { Ok(usage::tick(&options).await?) }).await?;
    warn(&tick, context);
    context.finish_progress();
    let events = tick.events();
    events.iter().for_each(|event| context.output.item("terabyte-crossed", event, line));
    let left = settle(&options, &tick, &events, context).await;
    keep_numbers(&left, tick.now, context);
    end(&tick, &left, &events, &args, context)
}

/// What must not end the tick, but somebody should know.
fn warn(tick: &Tick, context: &Context) {
    let mut texts: Vec<String> = tick.remarks.iter().map(remarks::text).collect();
    for read in &tick.read {
        if let Err(error) = &read.said {
            texts.push(format!("{} is not counted: {}", read.store, with_hint(error)));
        }
    }
    texts.extend(tick.delivered.missed.iter().map(missed));
    for text in texts {
        context.progress().event(progress::Event::Warning { text });
    }
}

fn missed(missed: &Missed) -> String {
    let waits = match missed.events {
        0 => String::new(),
        1 => "; 1 event waits for the next tick".to_owned(),
        events => format!("; {events} events wait for the next tick"),
    };
    format!("{} was not told{waits}: {}", missed.sink.as_str(), with_hint(&missed.error))
}

/// An error and what to do about it, in one line.
fn with_hint<E: Classify>(error: &E) -> String {
    let hints: String = error.classify().1.iter().map(|hint| format!("; hint: {hint}")).collect();
    format!("{}{hints}", one_line(error))
}

/// What was shown was told. If that cannot be remembered it is told again, under the same ids. Gives what is left to be told.
async fn settle(options: &Options, tick: &Tick, events: &[Event], context: &Context) -> State {
    let shown = events.iter().map(|event| (event.id.clone(), SinkName::Output));
    let told: Vec<_> = tick.delivered.done.iter().cloned().chain(shown).collect();
    if let Err(error) = usage::settle(options, &told).await {
        let text = format!("who was told what could not be kept, so it is told again by the next tick: {}", one_line(&error));
        context.progress().event(progress::Event::Warning { text });
    }
    let mut left = tick.state.clone();
    plan::settle(&mut left, &told, &options.sinks.names());
    left
}

/// For the file of metrics, also for that of later runs of other commands.
fn keep_numbers(left: &State, now: Timestamp, context: &Context) {
    let numbers = Numbers::of(left, now);
    let kept = context.open_state().map_err(|failure| failure.messages.join(": "));
    let kept = kept.and_then(|state| numbers.save(&*context.fs, &state).map_err(|e| e.to_string()));
    if let Err(why) = kept {
        let text = format!("what was counted could not be kept for the metrics: {why}");
        context.progress().event(progress::Event::Warning { text });
    }
    reports::write_metrics(context);
}

fn end(tick: &Tick, left: &State, events: &[Event], args: &TickArgs, context: &Context) -> Result<(), Failure> {
    let counted =
        Counted { stores: tick.stores(), crossed: events.iter().map(|event| event.id.clone()).collect(), pending: left.outbox.len() };
    let failure = crossed(events, args).or_else(|| unread(tick));
    match failure {
        Some(failure) => {
            context.output.item("result", &counted, text);
            Err(failure)
        }
        None => {
            context.output.summary("usage tick", &counted, text);
            Ok(())
        }
    }
}

fn crossed(events: &[Event], args: &TickArgs) -> Option<Failure> {
    let ids: Vec<_> = events.iter().map(|event| event.id.to_string()).collect();
    let crossed = args.exit_code && !ids.is_empty();
    crossed.then(|| Failure::new(Code::TerabyteCrossed, format!("{} terabytes were crossed: {}", ids.len(), ids.join(", "))))
}

/// When no source could be read that is why it failed; when some could, the others are details.
fn unread(tick: &Tick) -> Option<Failure> {
    let failed: Vec<(&_, &SourceError)> = tick.read.iter().filter_map(|read| Some((&read.store, read.said.as_ref().err()?))).collect();
    let (first, error) = *failed.first()?;
    let details = failed.iter().map(|(store, error)| format!("{store}: {}", one_line(*error))).collect();
    let (code, hints) = error.classify();
    Some(if failed.len() == tick.read.len() {
        Failure { hints, details, ..Failure::from_error(code, error).context(format!("nothing was counted, not even {first}")) }
    } else {
        let message = format!("{} of {} stores were not counted", failed.len(), tick.read.len());
        Failure { hints, details, ..Failure::new(Code::Partial, message) }
    })
}

/// Tells everybody of an event that is none.
async fn test(options: &Options, args: &TickArgs, context: &Context) -> Result<(), Failure> {
    let (event, missed) = usage::test(options).await;
    context.finish_progress();
    context.output.item("terabyte-crossed", &event, line);
    let others: Vec<&str> = missed.iter().skip(1).map(|missed| missed.sink.as_str()).collect();
    let also = if others.is_empty() { String::new() } else { format!(", nor was {}", others.join(" and ")) };
    match missed.into_iter().next() {
        Some(first) => Err(Failure::from(first.error).context(format!("{} was not told{also}", first.sink.as_str()))),
        None => {
            let counted = Counted { stores: Vec::new(), crossed: vec![event.id.clone()], pending: 0 };
            match crossed(&[event], args) {
                Some(failure) => Err(failure),
                None => {
                    context.output.summary("usage tick", &counted, |_| String::new());
                    Ok(())
                }
            }
        }
    }
}

fn line(event: &Event) -> String {
    format!("{} crossed {} TB in {} ({})\n", event.store, event.terabyte, event.month, event.id)
}

fn text(counted: &Counted) -> String {
    let of = |usage: &StoreUsage| match (&usage.error, usage.bytes) {
        (Some(_), Some(bytes)) => format!("{} in {}: at least {}, not counted now\n", usage.store, usage.month, ByteSize(bytes)),
        (Some(_), None) => format!("{} in {}: not counted\n", usage.store, usage.month),
        (None, None) => format!("{} in {}: its source knows nothing\n", usage.store, usage.month),
        (None, Some(bytes)) => format!("{} in {}: {}\n", usage.store, usage.month, ByteSize(bytes)),
    };
    counted.stores.iter().map(of).collect()
}
