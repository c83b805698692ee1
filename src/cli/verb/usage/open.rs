//! From the configuration to what is counted, where it is kept, and who is told.

use std::sync::Arc;

use crate::{
    cli::{
        Code,
        config::{By, Usage},
        context::Context,
        exit::Failure,
        nodes, reports,
    },
    kubo::Kubo,
    ops::usage::{
        Account, CloudWatchBoard, CloudWatchMeter, KuboMeter, Meter, Options, Source,
        sinks::{Board, Sink, Sinks, TopicSink, Webhook},
    },
    progress::Event,
    store::{Create, DynWriteStore, Exclusion},
    types::Timestamp,
};

/// Opens everything. Nothing is asked yet but the store.
pub(super) async fn options(context: &Context) -> Result<Options, Failure> {
    let usage = context.config.usage();
    if usage.sources.is_empty() {
        let failure = Failure::new(Code::Config, "nothing to count: the configuration has no usage.sources");
        return Err(failure.hint("docs/usage.md shows a configuration"));
    }
    let account = Arc::new(Account::new());
    let sources = sources(usage, &account)?;
    let sinks = sinks(usage, &account)?;
    let store = store(context).await?;
    warn_if_alone(&store, context).await?;
    Ok(Options { store, sources, tb_bytes: usage.tb_bytes.0, sinks, clock: Arc::new(Timestamp::now) })
}

/// The store that has the state.
pub(super) async fn store(context: &Context) -> Result<DynWriteStore, Failure> {
    let Some(word) = &context.config.usage().store else {
        let failure = Failure::new(Code::Config, "nowhere to keep what was counted: the configuration has no usage.store");
        return Err(failure.hint("set store in [usage] to a folder, or to s3://BUCKET/PREFIX: docs/usage.md"));
    };
    let mut stores = context.targets(std::slice::from_ref(word), Create::No).await?;
    Ok(stores.remove(0))
}

/// Two ticks at once are kept apart by the store alone.
async fn warn_if_alone(store: &DynWriteStore, context: &Context) -> Result<(), Failure> {
    if store.exclusion().await? == Exclusion::None {
        let text =
            format!("{} ignores conditions: no second qsync may count into it, or events may be told twice or not at all", store.name());
        context.progress().event(Event::Warning { text });
    }
    Ok(())
}

fn sources(usage: &Usage, account: &Arc<Account>) -> Result<Vec<Source>, Failure> {
    let open = |by: &By| -> Result<Arc<dyn Meter>, Failure> {
        Ok(match by {
            By::CloudWatch(metered) => Arc::new(CloudWatchMeter::new(Arc::clone(account), metered.clone())),
            By::Kubo(url) => Arc::new(KuboMeter::new(Kubo::open(url, nodes::auth()?)?)),
        })
    };
    usage.sources.iter().map(|source| Ok(Source { store: source.store.clone(), meter: open(&source.by)? })).collect()
}

/// Those who are told, in the order in which they are.
pub(super) fn sinks(usage: &Usage, account: &Arc<Account>) -> Result<Sinks, Failure> {
    let mut each: Vec<Arc<dyn Sink>> = Vec::new();
    if let Some(file) = &usage.webhook_file {
        let address = reports::read_address("webhook_file", file)?;
        let wrong = |e| Failure::from_error(Code::Config, &e).context(format!("in webhook_file {}", file.display()));
        each.push(Arc::new(address.parse::<Webhook>().map_err(wrong)?));
    }
    if let Some(topic) = &usage.sns_topic {
        each.push(Arc::new(TopicSink::new(Arc::clone(account), topic.clone())));
    }
    let board = usage.put_metrics.then(|| Arc::new(CloudWatchBoard::new(Arc::clone(account))) as Arc<dyn Board>);
    Ok(Sinks { each, board })
}
