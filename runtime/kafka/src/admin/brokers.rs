//! What the brokers are configured with.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::Admin;
use crate::wire::{address, check};
use crate::{Error, ErrorKind, Result};

/// The resource type of brokers in requests about configurations.
const BROKER_RESOURCE: i8 = 4;
const REQUEST_MAX: &str = "socket.request.max.bytes";
/// Brokers asked at a time.
const ASKED_AT_ONCE: usize = 8;
/// How long one broker is waited for: the others' answers count without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest request that the brokers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargestRequest {
    pub bytes: usize,
    /// The broker that takes no larger one.
    pub broker: i32,
}

impl Admin {
    /// The largest request that each of the brokers takes that tell it (`socket.request.max.bytes`); `None` when none does, though
    /// they answer. It takes the right to describe the configuration of the cluster.
    pub async fn largest_request(&self) -> Result<Option<LargestRequest>> {
        let metadata = self.brokers.retrying(|| self.brokers.metadata(Some(&[]))).await?;
        let asked: Vec<_> = metadata.brokers.iter().map(|broker| self.largest_request_of(broker)).collect();
        let answers: Vec<_> = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await;
        smallest(answers)
    }

    /// A broker tells its configuration itself.
    async fn largest_request_of(&self, broker: &MetadataResponseBroker) -> Result<Option<LargestRequest>> {
        let id = broker.node_id.0;
        let resource = DescribeConfigsResource::default()
            .with_resource_type(BROKER_RESOURCE)
            .with_resource_name(StrBytes::from_string(id.to_string()))
            .with_configuration_keys(Some(vec![StrBytes::from_static_str(REQUEST_MAX)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let address = address(&broker.host, broker.port)?;
        let answer = tokio::time::timeout(PATIENCE, self.brokers.ask(&address, 4, &request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer in time")));
        let bytes = answer.and_then(|answer| bytes_in(&answer));
        let bytes =
            bytes.map_err(|error| error.context(format_args!("describing the configuration of broker {id}")))?;
        Ok(bytes.map(|bytes| LargestRequest { bytes, broker: id }))
    }
}

fn bytes_in(answer: &DescribeConfigsResponse) -> Result<Option<usize>> {
    for result in &answer.results {
        check(result.error_code, result.error_message.as_deref())?;
    }
    let mut entries = answer.results.iter().flat_map(|result| &result.configs);
    let found = entries.find(|entry| entry.name.as_str() == REQUEST_MAX);
    Ok(found.and_then(|entry| entry.value.as_deref()?.parse().ok()))
}

/// The smallest of what was told; an error only when nothing was.
fn smallest(answers: Vec<Result<Option<LargestRequest>>>) -> Result<Option<LargestRequest>> {
    let (mut least, mut failure): (Option<LargestRequest>, _) = (None, None);
    for answer in answers {
        match answer {
            Ok(Some(told)) if least.is_none_or(|least| told.bytes < least.bytes) => least = Some(told),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    match (least, failure) {
        (None, Some(error)) => Err(error),
        (least, _) => Ok(least),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};

    use super::*;

    #[test]
    fn the_broker_that_takes_least_counts() {
        let told = |bytes, broker| Ok(Some(LargestRequest { bytes, broker }));
        let away = || Err(Error::new(ErrorKind::Unreachable, "away"));
        let found = smallest(vec![told(7, 1), away(), told(5, 2), Ok(None), told(6, 3)]).unwrap();
        assert_eq!(found, Some(LargestRequest { bytes: 5, broker: 2 }));
        assert_eq!(smallest(vec![Ok(None)]).unwrap(), None);
        assert_eq!(smallest(vec![Ok(None), away()]).unwrap_err().kind(), ErrorKind::Unreachable);
    }

    #[test]
    fn an_answer_may_lack_the_value_or_be_a_refusal() {
        let entry = |value: Option<&'static str>| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(REQUEST_MAX))
                .with_value(value.map(StrBytes::from_static_str))
        };
        let answer = |code, configs| {
            let result = DescribeConfigsResult::default().with_error_code(code).with_configs(configs);
            bytes_in(&DescribeConfigsResponse::default().with_results(vec![result]))
        };
        assert_eq!(answer(0, vec![entry(Some("104857600"))]).unwrap(), Some(104_857_600));
        assert_eq!(answer(0, vec![entry(None)]).unwrap(), None);
        assert_eq!(answer(0, Vec::new()).unwrap(), None);
        assert_eq!(answer(31, Vec::new()).unwrap_err().kind(), ErrorKind::Authorization);
    }
}
