//! The gate before a publish: the node is asked whether it is fit, before anything touches it. What it says is judged in `plan`.

pub mod plan;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    probe::{Probe, Status},
    rpc::RpcError,
};
use crate::types::Timestamp;
use plan::{Condition, Given, Policy, Reference, Seen, Shown, Verdict};

/// A node, and what is asked of it.
#[derive(Debug)]
pub struct Gate {
    /// The node.
    pub probe: Probe,
    /// Another node of the same chain, to compare heights with.
    pub reference: Option<Probe>,
    /// What is asked of it.
    pub policy: Policy,
    /// How long it is waited for.
    pub patience: Patience,
}

/// How long a node is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often a question is asked that gets no answer.
    pub tries: u32,
    /// The time between two tries.
    pub pause: Duration,
    /// How long a new block is waited for.
    pub growth: Duration,
    /// How often it is looked for one.
    pub poll: Duration,
}

impl Patience {
    /// For a chain with this time between blocks: four of them, and some seconds more.
    #[must_use]
    pub fn for_blocks(block_time: Duration) -> Self {
        let second = Duration::from_secs(1);
        Self { tries: 3, pause: 2 * second, growth: block_time * 4 + 3 * second, poll: (block_time / 24).clamp(second / 4, 2 * second) }
    }
}

/// What came of asking. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The node, by its host.
    pub node: String,
    /// Each condition with its value.
    pub conditions: Vec<Condition>,
    /// What the node refused to tell, in its own words.
    pub refused: Vec<String>,
    /// What the node said last; `None` when it did not answer.
    #[serde(skip)]
    pub status: Option<Status>,
    /// Its hash of the block at the height that the operator gives.
    #[serde(skip)]
    pub hash_at_given: Option<String>,
}

impl Report {
    /// Whether the node is fit to be published.
    #[must_use]
    pub fn is_met(&self) -> bool {
        plan::is_met(&self.conditions)
    }

    /// One line for each condition, and for what the node refused to tell.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let refused = self.refused.iter().map(|text| format!("the node refuses: {text}"));
        self.conditions.iter().map(Condition::line).chain(refused).collect()
    }
}

impl Gate {
    /// Asks the node, and again until it has a new block where blocks are frequent. `now` is the time at the start.
    pub async fn ask(&self, shown: &Shown, given: &Given, now: Timestamp) -> Report {
        let started = Instant::now();
        match self.see(shown, given, now).await {
            Ok(seen) => {
                let now = now.saturating_add(jiff::SignedDuration::try_from(started.elapsed()).unwrap_or_default()).unwrap_or(now);
                let mut conditions = vec![answers(None)];
                conditions.extend(plan::judge(&self.policy, shown, given, &seen, now));
                let status = seen.last().clone();
                let refused = status.refused.clone();
                Report { node: self.probe.name().to_owned(), conditions, refused, status: Some(status), hash_at_given: seen.hash_at_given }
            }
            Err(error) => Report {
                node: self.probe.name().to_owned(),
                conditions: vec![answers(Some(&error))],
                refused: Vec::new(),
                status: None,
                hash_at_given: None,
            },
        }
    }

    async fn see(&self, shown: &Shown, given: &Given, now: Timestamp) -> Result<Seen, RpcError> {
        let first = self.status(&self.probe).await?;
        let hash_at_given = match given.height {
            Some(height) => self.probe.block_hash(height).await?,
            None => None,
        };
        let seen = Seen { first, again: None, reference: Reference::None, hash_at_given };
        let seen = Seen { reference: self.reference(&seen.first).await, ..seen };
        if !self.is_worth_watching(shown, given, &seen, now) {
            return Ok(seen);
        }
        let again = self.watch(seen.first.height()).await?;
        Ok(Seen { again: Some(again), ..seen })
    }

    /// Whether nothing but a new block is missing: who is refused anyway is not kept waiting.
    fn is_worth_watching(&self, shown: &Shown, given: &Given, seen: &Seen, now: Timestamp) -> bool {
        let conditions = plan::judge(&self.policy, shown, given, seen, now);
        self.policy.asks_twice() && conditions.iter().all(|c| c.verdict != Verdict::NotMet || c.name == "growing")
    }

    /// Asks until there is a higher block than `height`, or patience ends.
    async fn watch(&self, height: Option<u64>) -> Result<Status, RpcError> {
        let end = Instant::now() + self.patience.growth;
        loop {
            tokio::time::sleep(self.patience.poll).await;
            let status = self.status(&self.probe).await?;
            if status.height() > height || Instant::now() >= end {
                return Ok(status);
            }
        }
    }

    async fn reference(&self, own: &Status) -> Reference {
        let Some(probe) = &self.reference else { return Reference::None };
        match self.status(probe).await {
            Ok(status) => plan::reference(probe.name(), own, &status),
            Err(error) => Reference::Silent(error.to_string()),
        }
    }

    /// Asks a few times where that may help.
    async fn status(&self, probe: &Probe) -> Result<Status, RpcError> {
        let mut left = self.patience.tries;
        loop {
            left = left.saturating_sub(1);
            match probe.status().await {
                Err(error) if error.worth_retrying() && left > 0 => tokio::time::sleep(self.patience.pause).await,
                done => return done,
            }
        }
    }
}

/// That the node answers at all, like a node.
fn answers(error: Option<&RpcError>) -> Condition {
    let (value, verdict) = match error {
        None => ("yes".to_owned(), Verdict::Met),
        Some(error) => (crate::progress::in_one_line(error), Verdict::NotMet),
    };
    Condition::new("answers", Some(value), "yes", verdict)
}
