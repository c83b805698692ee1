//! The store against a server in this process.

#[path = "../../../tests/it/s3/server.rs"]
mod server;

use aws_credential_types::provider::{error::CredentialsError, future};
use aws_sdk_s3::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use bytes::Bytes;
use server::{ACCOUNT, Conditions, Fault as Answer, OWNER, READER, S3Server};

use super::*;
use crate::{
    store::{DynWriteStore, Put, ReadStore as _, Swap, WriteStore as _, conformance},
    types::{Forms, ObjectKey},
};

fn location(server: &S3Server, settings: &str) -> S3Location {
    S3Location::from_url(&server.url("some/prefix", settings).parse().unwrap()).unwrap()
}

fn as_user(server: &S3Server, user: &str, settings: &str) -> S3Store {
    let credentials = SharedCredentialsProvider::new(Credentials::new(user, "secret", None, None, "test"));
    S3Store::open(&location(server, settings), Timeouts::default()).unwrap().with_credentials(credentials)
}

fn owner(server: &S3Server) -> S3Store {
    as_user(server, OWNER, "")
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

async fn failure(store: &S3Store) -> Error {
    store.get(&key("a"), 9).await.unwrap_err()
}

#[tokio::test]
async fn conforms_on_servers_that_compare() {
    for conditions in [Conditions::Honoured, Conditions::BareOnly] {
        let server = S3Server::start().await.with_conditions(conditions);
        conformance::run_write(|| -> DynWriteStore { Arc::new(owner(&server)) }).await;
    }
}

#[tokio::test]
async fn finds_out_how_a_server_keeps_writers_apart_and_leaves_one_object() {
    for (conditions, expected) in [
        (Conditions::Honoured, Exclusion::QuotedTags),
        (Conditions::BareOnly, Exclusion::BareTags),
        (Conditions::Ignored, Exclusion::None),
        (Conditions::Unknown, Exclusion::None),
    ] {
        let server = S3Server::start().await.with_conditions(conditions);
        for _ in 0..2 {
            assert_eq!(owner(&server).exclusion().await.unwrap(), expected, "{conditions:?}");
        }
        assert!(server.objects().keys().all(|name| name == "some/prefix/probe"));
    }
}

#[tokio::test]
async fn one_writer_can_use_a_server_that_does_not_compare() {
    for conditions in [Conditions::Ignored, Conditions::Unknown] {
        let server = S3Server::start().await.with_conditions(conditions);
        let store = owner(&server);
        let put = async |bytes: &'static [u8]| store.put_new(&key("a"), Bytes::from_static(bytes)).await;
        assert_eq!(put(b"one").await.unwrap(), Put::Created);
        assert_eq!(put(b"one").await.unwrap(), Put::Existed);
        assert_eq!(put(b"three").await.unwrap_err().kind, ErrorKind::Conflict);
        let swap = async |expected: Option<&crate::store::Tag>| store.swap(&key("h"), expected, Bytes::from_static(b"head")).await.unwrap();
        let Swap::Done(tag) = swap(None).await else { panic!("nothing is there") };
        assert_eq!(swap(None).await, Swap::Lost);
        assert_eq!(swap(Some(&crate::store::Tag("other".into()))).await, Swap::Lost);
        assert!(matches!(swap(Some(&tag)).await, Swap::Done(_)));
    }
}

// AW-01
#[tokio::test]
async fn every_call_to_a_store_whose_readers_pay_says_who_pays() {
    let server = S3Server::start().await.with_requester_pays();
    let store = as_user(&server, OWNER, "requester_pays=true");
    conformance::run_write(|| -> DynWriteStore { Arc::new(as_user(&server, OWNER, "requester_pays=true")) }).await;
    store.get(&key("absent"), 9).await.unwrap_err();
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.header("x-amz-request-payer") == Some("requester")));
    for method in ["GET", "HEAD", "PUT"] {
        assert!(requests.iter().any(|request| request.method == method), "{method}");
    }
    // Signed, or the server could not know who agreed.
    assert!(requests.iter().all(|request| request.header("authorization").unwrap().contains("x-amz-request-payer")));
}

// AW-01
#[tokio::test]
async fn a_reader_pays_only_after_agreeing_and_sees_how_often() {
    let server = S3Server::start().await.with_requester_pays();
    server.plant("some/prefix/a", b"object");
    let refused = failure(&as_user(&server, READER, "")).await;
    assert_eq!(refused.kind, ErrorKind::Denied);
    assert!(refused.reason.contains("requester_pays=true"), "{refused}");
    let paying = as_user(&server, READER, "requester_pays=true");
    for _ in 0..3 {
        assert_eq!(paying.get(&key("a"), 9).await.unwrap(), b"object");
    }
    assert_eq!(paying.charged(), 3);
    let owner = owner(&server);
    owner.get(&key("a"), 9).await.unwrap();
    assert_eq!(owner.charged(), 0);
}

// AW-07
#[tokio::test]
async fn a_bucket_of_somebody_else_is_neither_read_nor_written() {
    let server = S3Server::start().await;
    server.plant("some/prefix/a", b"object");
    let right = as_user(&server, OWNER, &format!("owner={ACCOUNT}"));
    right.get(&key("a"), 9).await.unwrap();
    right.put_new(&key("b"), Bytes::from_static(b"object")).await.unwrap();
    assert!(server.requests().iter().all(|request| request.header("x-amz-expected-bucket-owner") == Some(ACCOUNT)));
    let wrong = as_user(&server, OWNER, "owner=999999999999");
    let refused = failure(&wrong).await;
    assert!(refused.kind == ErrorKind::Denied && refused.reason.contains("not of account 999999999999"), "{refused}");
    assert_eq!(wrong.put_new(&key("c"), Bytes::from_static(b"object")).await.unwrap_err().kind, ErrorKind::Denied);
    assert!(!server.objects().contains_key("some/prefix/c"));
}

// PU-10
#[tokio::test]
async fn a_cdn_that_cannot_be_told_of_healed_objects_is_a_failure_once() {
    let server = S3Server::start().await;
    let store = as_user(&server, OWNER, "cdn=https://cdn.example/v1");
    for (name, is_healed) in [("heads/demo/generic.json", false), ("chunks/00/00", true)] {
        server.plant(&format!("some/prefix/{name}"), b"before");
        let (_, tag) = store.get_tagged(&key(name), 9).await.unwrap().unwrap();
        assert!(matches!(store.swap(&key(name), Some(&tag), Bytes::from_static(b"after")).await.unwrap(), Swap::Done(_)));
        let told = store.announce().await.err().map(|error| error.reason);
        assert_eq!(told.as_ref().is_some_and(|reason| reason.contains("invalidate /v1/*")), is_healed, "{told:?}");
    }
    store.announce().await.unwrap();
}

// AW-03
#[tokio::test]
async fn nobody_pays_anonymously() {
    let server = S3Server::start().await.with_requester_pays();
    let refused = S3Store::open(&location(&server, "requester_pays=true&anonymous=true"), Timeouts::default()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Credentials(CredentialFault::Missing));
    let anonymous = S3Store::open(&location(&server, "anonymous=true"), Timeouts::default()).unwrap();
    assert_eq!(failure(&anonymous).await.kind, ErrorKind::Denied);
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
}

// NW-07
#[tokio::test]
async fn a_refusal_means_absent_once_something_was_read() {
    let server = S3Server::start().await;
    server.plant("some/prefix/a", b"object");
    let reader = as_user(&server, READER, "");
    assert_eq!(reader.get(&key("absent"), 9).await.unwrap_err().kind, ErrorKind::Denied);
    reader.get(&key("a"), 9).await.unwrap();
    assert_eq!(reader.get(&key("absent"), 9).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(reader.get_tagged(&key("absent"), 9).await.unwrap(), None);
}

// AW-06
#[tokio::test]
async fn a_bucket_in_another_region_is_asked_there() {
    let server = S3Server::start().await.in_region("eu-west-1");
    server.plant("some/prefix/a", b"object");
    let store = as_user(&server, READER, "region=us-west-2");
    for _ in 0..3 {
        store.get(&key("a"), 9).await.unwrap();
    }
    assert_eq!(server.requests().len(), 4, "one question in the wrong region");
    assert_eq!(store.known_region().as_deref(), Some("eu-west-1"));
}

// AW-06
#[tokio::test]
async fn a_region_that_the_answer_does_not_name_is_asked_for() {
    let server = S3Server::start().await.in_region("eu-west-1").with_requester_pays();
    server.plant("some/prefix/a", b"object");
    server.set_faults(|request| {
        let is_wrong = request.header("authorization").is_some_and(|signed| signed.contains("/us-east-1/"));
        (is_wrong && !request.object.is_empty()).then_some(Answer::Answer(400, "AuthorizationHeaderMalformed"))
    });
    let store = as_user(&server, READER, "requester_pays=true&region=us-east-1");
    for _ in 0..2 {
        store.get(&key("a"), 9).await.unwrap();
    }
    let asked: Vec<(String, String)> = server.requests().into_iter().map(|request| (request.method.to_string(), request.object)).collect();
    let get = || ("GET".to_owned(), "some/prefix/a".to_owned());
    assert_eq!(asked, [get(), ("HEAD".to_owned(), String::new()), get(), get()]);
    assert!(server.requests().iter().all(|request| request.header("x-amz-request-payer") == Some("requester")));
}

#[tokio::test]
async fn regions_that_send_each_other_the_bucket_end_in_an_error() {
    let server = S3Server::start().await;
    server.set_faults(|request| {
        let region = format!("region-{}", request.index);
        Some(Answer::AnswerWith(301, "PermanentRedirect", vec![("x-amz-bucket-region", region)]))
    });
    assert_eq!(failure(&owner(&server)).await.kind, ErrorKind::BadAnswer);
    assert_eq!(server.requests().len(), 1 + MOST_REGIONS);
}

// AW-04, AW-05, AW-07
#[tokio::test]
async fn who_is_not_believed_is_told_why() {
    let server = S3Server::start().await;
    assert_eq!(failure(&as_user(&server, "STRANGER", "")).await.kind, ErrorKind::Credentials(CredentialFault::Wrong));
    for (status, code, expected) in [
        (403, "RequestTimeTooSkewed", ErrorKind::Credentials(CredentialFault::Clock)),
        (400, "ExpiredToken", ErrorKind::Credentials(CredentialFault::Expired)),
        (403, "SignatureDoesNotMatch", ErrorKind::Credentials(CredentialFault::Wrong)),
        (503, "SlowDown", ErrorKind::Unavailable { retry_after: None }),
    ] {
        server.set_faults(move |_| Some(Answer::Answer(status, code)));
        let error = failure(&owner(&server)).await;
        assert_eq!(error.kind, expected, "{error}");
        // AW-11
        assert!(!format!("{error:?}").contains("secret"));
    }
    let gone = S3Server::start().await.without_bucket();
    assert_eq!(failure(&owner(&gone)).await.kind, ErrorKind::NoSuchStore);
}

// AW-04
#[tokio::test]
async fn credentials_that_expire_are_loaded_anew_once() {
    let server = S3Server::start().await;
    server.plant("some/prefix/a", b"object");
    let store = owner(&server);
    store.get(&key("a"), 9).await.unwrap();
    store.session.lock().await.as_mut().unwrap().at -= FRESH;
    let first_wrong = server.requests().len();
    server.set_faults(move |request| (request.index == first_wrong).then_some(Answer::Answer(400, "ExpiredToken")));
    assert_eq!(store.get(&key("a"), 9).await.unwrap(), b"object");
    server.set_faults(|_| Some(Answer::Answer(400, "ExpiredToken")));
    let before = server.requests().len();
    assert_eq!(failure(&store).await.kind, ErrorKind::Credentials(CredentialFault::Expired));
    assert_eq!(server.requests().len(), before + 1, "what was loaded a moment ago is not loaded again");
}

// A passing fault of the probe must not turn the comparison of versions off for a whole run.
#[tokio::test]
async fn a_probe_that_is_answered_oddly_fails_and_is_made_again() {
    let server = S3Server::start().await;
    for (method, status, code) in [("PUT", 400, "MalformedXML"), ("PUT", 403, "AccessDenied"), ("HEAD", 403, "AccessDenied")] {
        let store = owner(&server);
        server.plant("some/prefix/a", b"object");
        store.get(&key("a"), 9).await.unwrap();
        let begun = server.requests().len();
        // After the first write, so that the object of the probe is there.
        server.set_faults(move |request| (request.index > begun && request.method == method).then_some(Answer::Answer(status, code)));
        assert!(store.exclusion().await.is_err(), "{method} {status} {code}");
        server.set_faults(|_| None);
        assert_eq!(store.exclusion().await.unwrap(), Exclusion::QuotedTags);
    }
    // What passes is waited out.
    let store = owner(&server);
    let begun = server.requests().len();
    server.set_faults(move |request| (request.index == begun + 2).then_some(Answer::Answer(520, "")));
    assert_eq!(store.exclusion().await.unwrap(), Exclusion::QuotedTags);
}

/// Gives credentials once, which have expired already, and fails from then on.
#[derive(Debug, Default)]
struct Exhausting(AtomicBool);

impl ProvideCredentials for Exhausting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let expired = std::time::SystemTime::UNIX_EPOCH;
        future::ProvideCredentials::ready(if self.0.swap(true, Ordering::Relaxed) {
            Err(CredentialsError::provider_error("the session has ended"))
        } else {
            Ok(Credentials::new(OWNER, "secret", None, Some(expired), "test"))
        })
    }
}

// AW-04
#[tokio::test]
async fn credentials_that_cannot_be_loaded_again_are_no_network_trouble() {
    let server = S3Server::start().await;
    let store = S3Store::open(&location(&server, ""), Timeouts::default()).unwrap();
    let store = store.with_credentials(SharedCredentialsProvider::new(Exhausting::default()));
    let error = failure(&store).await;
    assert_eq!(error.kind, ErrorKind::Credentials(CredentialFault::NotLoaded), "{error}");
    assert!(error.one_line().contains("the session has ended"), "{}", error.one_line());
}

// HM-03: what is no object has a length, too
#[tokio::test]
async fn an_endless_error_is_not_read_to_its_end() {
    let server = S3Server::start().await;
    server.set_faults(|_| Some(Answer::EndlessError));
    let begin = Instant::now();
    failure(&owner(&server)).await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

// NW-07, GC-09
#[tokio::test]
async fn where_nothing_compares_a_refusal_is_never_taken_for_absence() {
    let server = S3Server::start().await.with_conditions(Conditions::Ignored);
    server.plant("some/prefix/a", b"object");
    let store = owner(&server);
    store.get(&key("a"), 9).await.unwrap();
    assert_eq!(store.exclusion().await.unwrap(), Exclusion::None);
    server.set_faults(|request| (request.method != "PUT").then_some(Answer::Answer(403, "AccessDenied")));
    let swapped = store.swap(&key("heads/a/b.json"), None, Bytes::from_static(b"head")).await;
    assert_eq!(swapped.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(store.get_tagged(&key("heads/a/b.json"), 9).await.unwrap_err().kind, ErrorKind::Denied);
    assert!(!server.objects().contains_key("some/prefix/heads/a/b.json"));
}

#[tokio::test]
async fn what_an_answer_without_a_body_means_is_asked_for() {
    let server = S3Server::start().await;
    let store = owner(&server);
    store.exclusion().await.unwrap();
    store.put_new(&key("chunks/aa/x"), Bytes::from_static(b"object")).await.unwrap();
    server.set_faults(|request| (request.method != "PUT").then_some(Answer::Answer(403, "RequestTimeTooSkewed")));
    let error = store.put_new(&key("chunks/aa/x"), Bytes::from_static(b"object")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Credentials(CredentialFault::Clock), "{error}");
}

// NW-01, NW-04
#[tokio::test]
async fn a_torn_or_encoded_or_empty_object_is_no_object() {
    let server = S3Server::start().await;
    server.plant("some/prefix/a", b"object");
    let store = owner(&server);
    server.set_faults(|_| Some(Answer::Tear(3)));
    let mut body = Vec::new();
    let error = store.get_into(&key("a"), 9, &mut body).await.unwrap_err();
    assert_eq!((error.kind, body.len()), (ErrorKind::Interrupted, 3), "what arrived is paid for: {error}");
    server.set_faults(|_| Some(Answer::Body(b"")));
    assert_eq!(failure(&store).await.kind, ErrorKind::BadAnswer);
    server.set_faults(|_| Some(Answer::AnswerWith(503, "SlowDown", vec![("retry-after", "7".into())])));
    assert_eq!(failure(&store).await.kind, ErrorKind::Unavailable { retry_after: Some(Duration::from_secs(7)) });
    server.set_faults(|_| None);
    assert_eq!(store.get(&key("a"), 5).await.unwrap_err().kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_found_again() {
    let server = S3Server::start().await;
    let store = owner(&server);
    store.exclusion().await.unwrap();
    server.set_faults(|_| Some(Answer::DoAndAnswer(500, "InternalError")));
    let name = key("chunks/aa/x");
    let put = || store.put_new(&name, Bytes::from_static(b"object"));
    assert!(put().await.unwrap_err().kind.worth_retrying());
    server.set_faults(|_| None);
    assert_eq!(put().await.unwrap(), Put::Existed);
    // The next is asked for first: where one object was, there may be more.
    assert_eq!(put().await.unwrap(), Put::Existed);
    assert_eq!(server.requests().last().unwrap().method, "HEAD");
    let other = key("chunks/aa/y");
    let put = || store.put_new(&other, Bytes::from_static(b"object"));
    server.set_faults(|request| (request.method == "PUT").then_some(Answer::Answer(409, "ConditionalRequestConflict")));
    assert!(put().await.unwrap_err().kind.worth_retrying());
}

#[tokio::test]
async fn objects_say_how_long_a_cache_may_keep_them() {
    let server = S3Server::start().await;
    let store = as_user(&server, OWNER, "storage_class=INTELLIGENT_TIERING");
    store.put_new(&key("chunks/aa/x"), Bytes::from_static(b"object")).await.unwrap();
    store.swap(&key("heads/a/b.json"), None, Bytes::from_static(b"head")).await.unwrap();
    store.swap(&key("usage/state.json"), None, Bytes::from_static(b"state")).await.unwrap();
    let objects = server.objects();
    assert_eq!(objects["some/prefix/usage/state.json"].cache_control, "public, max-age=0, s-maxage=60");
    assert_eq!(objects["some/prefix/chunks/aa/x"].cache_control, "public, max-age=31536000, immutable");
    assert_eq!(objects["some/prefix/heads/a/b.json"].cache_control, "public, max-age=0, s-maxage=60");
    assert!(objects.values().all(|object| object.storage_class.as_deref() == Some("INTELLIGENT_TIERING")));
    // Nothing is listed, whatever is done.
    assert!(server.requests().iter().all(|request| !request.object.is_empty()));
}

#[test]
fn only_aws_bills_by_a_list_that_is_known() {
    let open = |text: &str| S3Store::open(&S3Location::from_url(&text.parse().unwrap()).unwrap(), Timeouts::default()).unwrap();
    for (url, expected) in [("s3://b?region=eu-west-1", Some("eu-west-1")), ("s3://b?endpoint=http://127.0.0.1:1&region=r", None)] {
        let store = open(url);
        assert_eq!(store.billed_in(), None, "nothing has answered there");
        store.with_whereabouts(|whereabouts| whereabouts.is_sure = true);
        assert_eq!(store.billed_in().as_deref(), expected);
    }
}

#[test]
fn a_bucket_whose_readers_pay_holds_chunks_as_they_are() {
    let open = |text: &str| S3Store::open(&S3Location::from_url(&text.parse().unwrap()).unwrap(), Timeouts::default()).unwrap().forms();
    assert_eq!(open("s3://b?requester_pays=true"), crate::store::WantedForms::ByDefault(Forms::Raw));
    assert_eq!(open("s3://b?requester_pays=true&forms=zstd"), crate::store::WantedForms::Exactly(Forms::Zstd));
    assert_eq!(open("s3://b"), crate::store::WantedForms::ByDefault(Forms::Zstd));
}
