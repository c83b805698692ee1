//! A topic of SNS that events are published to.

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use aws_config::Region;
use aws_sdk_sns::{Client, types::MessageAttributeValue};
use thiserror::Error;

use super::{Sink, SinkError};
use crate::ops::usage::{
    aws::{Account, AwsErrorKind, Call, Fault},
    event::Event,
    state::SinkName,
};

/// The most letters of a subject that SNS takes.
const MAX_SUBJECT_CHARS: usize = 99;

/// The name of a topic: `arn:aws:sns:REGION:ACCOUNT:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    arn: String,
    region: String,
}

/// Text that is no such name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not the name of a topic: {0:?} (expected arn:aws:sns:REGION:ACCOUNT:NAME)")]
pub struct InvalidTopic(pub String);

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let parts: Vec<_> = text.split(':').collect();
        match parts[..] {
            ["arn", partition, "sns", region, account, name] if ![partition, region, account, name].contains(&"") => {
                Ok(Self { arn: text.to_owned(), region: region.to_owned() })
            }
            _ => Err(InvalidTopic(text.chars().take(100).collect())),
        }
    }
}

impl Topic {
    /// Whether it keeps messages in order and drops those that come twice, and wants to be told by what.
    fn is_fifo(&self) -> bool {
        self.arn.ends_with(".fifo")
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

/// Publishes events to a topic.
#[derive(Debug)]
pub struct TopicSink {
    account: Arc<Account>,
    topic: Topic,
}

impl TopicSink {
    /// Nothing is published yet.
    #[must_use]
    pub fn new(account: Arc<Account>, topic: Topic) -> Self {
        Self { account, topic }
    }

    async fn publish(&self, event: &Event) -> Result<(), Fault> {
        let config = aws_sdk_sns::config::Builder::from(self.account.config().await?).region(Region::new(self.topic.region.clone()));
        let id = event.id.to_string();
        let attribute = |value: String| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        let invalid = |_| Fault::new(AwsErrorKind::BadAnswer, "the message cannot be made");
        let message = serde_json::to_string(event).expect("an event is text and integers");
        let mut request = Client::from_conf(config.build())
            .publish()
            .topic_arn(&self.topic.arn)
            .subject(subject(event))
            .message(message)
            .message_attributes("id", attribute(id.clone()).map_err(invalid)?)
            .message_attributes("store", attribute(event.store.to_string()).map_err(invalid)?);
        if self.topic.is_fifo() {
            request = request.message_group_id(event.store.as_str()).message_deduplication_id(id);
        }
        request.send().await.map(drop).map_err(Fault::of)
    }
}

/// For mail and the like.
fn subject(event: &Event) -> String {
    let text = format!("qsync: {} crossed {} TB in {}", event.store, event.terabyte, event.month);
    text.chars().take(MAX_SUBJECT_CHARS).collect()
}

#[async_trait]
impl Sink for TopicSink {
    fn name(&self) -> SinkName {
        SinkName::Sns
    }

    async fn tell(&self, event: &Event) -> Result<(), SinkError> {
        self.publish(event).await.map_err(|fault| fault.of_call(Call::Publish, &format!("to {}", self.topic)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_says_where_it_is() {
        let topic: Topic = "arn:aws:sns:eu-west-1:123456789012:traffic".parse().unwrap();
        assert_eq!((topic.region.as_str(), topic.is_fifo()), ("eu-west-1", false));
        assert!("arn:aws:sns:eu-west-1:123456789012:traffic.fifo".parse::<Topic>().unwrap().is_fifo());
        for text in ["", "traffic", "arn:aws:sqs:eu-west-1:1:q", "arn:aws:sns::1:q", "arn:aws:sns:eu-west-1:1", "arn:aws:sns:r:1:q:sub"] {
            assert!(text.parse::<Topic>().is_err(), "{text}");
        }
    }
}
