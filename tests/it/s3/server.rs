//! An S3 server in this process, on loopback: one bucket with an owner and a reader, conditions as different servers know them, requester
//! pays, regions, and faults on demand. It does not check signatures, only who claims to sign and for which region.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, Uri},
};

/// Access key of the bucket's owner.
pub(crate) const OWNER: &str = "OWNERKEY";
/// Access key of somebody who may read the bucket, but not list it.
pub(crate) const READER: &str = "READERKEY";
/// The owner's account.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The name of the bucket.
pub(crate) const BUCKET: &str = "bucket";

/// How the server treats `If-Match` and `If-None-Match` of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// As AWS does: entity tags with or without quotes.
    Honoured,
    /// An entity tag matches only without its quotes.
    BareOnly,
    /// As if they were not there.
    Ignored,
    /// With 501.
    Unknown,
}

/// What the server does instead of answering.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// An error of this status and code.
    Answer(u16, &'static str),
    /// The same with more headers.
    AnswerWith(u16, &'static str, Vec<(&'static str, String)>),
    /// Does what was asked and answers with an error of this status and code.
    DoAndAnswer(u16, &'static str),
    /// Sends this many bytes of the body and breaks off.
    Tear(usize),
    /// An error whose body never ends.
    EndlessError,
    /// Sends these bytes as the body.
    Body(&'static [u8]),
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its place in the order of all requests.
    pub(crate) index: usize,
    pub(crate) method: Method,
    /// The object's name in the bucket.
    pub(crate) object: String,
    pub(crate) headers: HeaderMap,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An object with the headers that it was put with.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    pub(crate) tag: String,
    pub(crate) cache_control: String,
    pub(crate) storage_class: Option<String>,
}

type Faults = Box<dyn Fn(&Request) -> Option<Fault> + Send>;

struct Bucket {
    objects: BTreeMap<String, Stored>,
    requests: Vec<Request>,
    conditions: Conditions,
    requester_pays: bool,
    region: &'static str,
    exists: bool,
    faults: Faults,
}

/// The server. Ends with the runtime that it was started in.
#[derive(Clone)]
pub(crate) struct S3Server {
    address: SocketAddr,
    bucket: Arc<Mutex<Bucket>>,
}

impl S3Server {
    /// Starts a server with an empty bucket in region us-east-1.
    pub(crate) async fn start() -> Self {
        let bucket = Bucket {
            objects: BTreeMap::new(),
            requests: Vec::new(),
            conditions: Conditions::Honoured,
            requester_pays: false,
            region: "us-east-1",
            exists: true,
            faults: Box::new(|_| None),
        };
        let bucket = Arc::new(Mutex::new(bucket));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::max(64 << 20)).with_state(Arc::clone(&bucket));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, bucket }
    }

    pub(crate) fn with_conditions(self, conditions: Conditions) -> Self {
        self.lock().conditions = conditions;
        self
    }

    /// Readers pay; the owner does not.
    pub(crate) fn with_requester_pays(self) -> Self {
        self.lock().requester_pays = true;
        self
    }

    pub(crate) fn in_region(self, region: &'static str) -> Self {
        self.lock().region = region;
        self
    }

    pub(crate) fn without_bucket(self) -> Self {
        self.lock().exists = false;
        self
    }

    /// From now on.
    pub(crate) fn set_faults(&self, faults: impl Fn(&Request) -> Option<Fault> + Send + 'static) {
        self.lock().faults = Box::new(faults);
    }

    /// The URL of a store at `prefix`, with more settings, for example `requester_pays=true`.
    pub(crate) fn url(&self, prefix: &str, settings: &str) -> String {
        let more = if settings.is_empty() { "" } else { "&" };
        format!("s3://{BUCKET}/{prefix}?endpoint=http://{}{more}{settings}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    pub(crate) fn objects(&self) -> BTreeMap<String, Stored> {
        self.lock().objects.clone()
    }

    /// Puts an object without a request.
    pub(crate) fn plant(&self, object: &str, bytes: &[u8]) {
        let stored = Stored { bytes: Bytes::copy_from_slice(bytes), tag: tag_of(bytes), cache_control: String::new(), storage_class: None };
        self.lock().objects.insert(object.to_owned(), stored);
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap()
    }
}

async fn answer(State(bucket): State<Arc<Mutex<Bucket>>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut bucket = bucket.lock().unwrap();
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8().unwrap();
    let object = path.strip_prefix(&format!("/{BUCKET}")).unwrap_or(&path).trim_start_matches('/').to_owned();
    let request = Request { index: bucket.requests.len(), method, object, headers };
    bucket.requests.push(request.clone());
    let answer = match (bucket.faults)(&request) {
        None => bucket.serve(&request, body),
        Some(Fault::Answer(status, code)) => error(status, code),
        Some(Fault::AnswerWith(status, code, headers)) => {
            let mut answer = error(status, code);
            for (name, value) in headers {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            answer
        }
        Some(Fault::DoAndAnswer(status, code)) => {
            drop(bucket.serve(&request, body));
            error(status, code)
        }
        Some(Fault::Tear(bytes)) => tear(bucket.serve(&request, body), bytes),
        Some(Fault::EndlessError) => endless_error(),
        Some(Fault::Body(bytes)) => Response::new(Body::from(bytes)),
    };
    // A HEAD has no body to say in what is wrong.
    if request.method == Method::HEAD { answer.map(|_| Body::empty()) } else { answer }
}

impl Bucket {
    fn serve(&mut self, request: &Request, body: Bytes) -> Response<Body> {
        let caller = match self.caller(request) {
            Ok(caller) => caller,
            Err(refused) => return *refused,
        };
        if !self.exists {
            return error(404, "NoSuchBucket");
        }
        match (request.method.as_str(), caller) {
            ("GET" | "HEAD", _) => self.get(request, caller),
            ("PUT", Caller::Owner) => self.put(request, body),
            ("PUT", Caller::Reader) => error(403, "AccessDenied"),
            _ => error(405, "MethodNotAllowed"),
        }
    }

    /// Who asks, if anybody may who signs like this.
    fn caller(&self, request: &Request) -> Result<Caller, Box<Response<Body>>> {
        let refuse = |status, code| Err(Box::new(error(status, code)));
        let Some(signed) = request.header("authorization") else { return refuse(403, "AccessDenied") };
        let scope: Vec<&str> =
            signed.split("Credential=").nth(1).unwrap_or_default().split(',').next().unwrap_or_default().split('/').collect();
        let caller = match scope[0] {
            OWNER => Caller::Owner,
            READER => Caller::Reader,
            _ => return refuse(403, "InvalidAccessKeyId"),
        };
        if scope[2] != self.region {
            let mut elsewhere = error(301, "PermanentRedirect");
            elsewhere.headers_mut().insert("x-amz-bucket-region", self.region.parse().unwrap());
            return Err(Box::new(elsewhere));
        }
        if request.header("x-amz-expected-bucket-owner").is_some_and(|account| account != ACCOUNT) {
            return refuse(403, "AccessDenied");
        }
        let pays = request.header("x-amz-request-payer") == Some("requester");
        if self.requester_pays && caller == Caller::Reader && !pays { refuse(403, "AccessDenied") } else { Ok(caller) }
    }

    fn get(&self, request: &Request, caller: Caller) -> Response<Body> {
        let Some(found) = self.objects.get(&request.object) else {
            // Who may not list is not told that it is absent.
            return if caller == Caller::Owner { error(404, "NoSuchKey") } else { error(403, "AccessDenied") };
        };
        let mut answer = Response::builder().header("etag", format!("\"{}\"", found.tag)).header("content-length", found.bytes.len());
        if self.requester_pays && caller == Caller::Reader {
            answer = answer.header("x-amz-request-charged", "requester");
        }
        answer.body(Body::from(found.bytes.clone())).unwrap()
    }

    fn put(&mut self, request: &Request, body: Bytes) -> Response<Body> {
        let (absent, version) = (request.header("if-none-match"), request.header("if-match"));
        let there = self.objects.get(&request.object).map(|found| found.tag.clone());
        match self.conditions {
            Conditions::Unknown if absent.is_some() || version.is_some() => return error(501, "NotImplemented"),
            Conditions::Ignored | Conditions::Unknown => {}
            Conditions::Honoured | Conditions::BareOnly => {
                if absent == Some("*") && there.is_some() {
                    return error(412, "PreconditionFailed");
                }
                match (version, there) {
                    (Some(_), None) => return error(404, "NoSuchKey"),
                    (Some(version), Some(there)) if !self.matches(version, &there) => return error(412, "PreconditionFailed"),
                    _ => {}
                }
            }
        }
        let stored = Stored {
            tag: tag_of(&body),
            bytes: body,
            cache_control: request.header("cache-control").unwrap_or_default().to_owned(),
            storage_class: request.header("x-amz-storage-class").map(str::to_owned),
        };
        let answer = Response::builder().header("etag", format!("\"{}\"", stored.tag)).body(Body::empty()).unwrap();
        self.objects.insert(request.object.clone(), stored);
        answer
    }

    fn matches(&self, version: &str, there: &str) -> bool {
        match self.conditions {
            Conditions::BareOnly => version == there,
            Conditions::Honoured | Conditions::Ignored | Conditions::Unknown => version.trim_matches('"') == there,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Owner,
    Reader,
}

fn tag_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..32].to_owned()
}

fn error(status: u16, code: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>because</Message></Error>");
    Response::builder().status(StatusCode::from_u16(status).unwrap()).header("content-type", "application/xml").body(text.into()).unwrap()
}

fn endless_error() -> Response<Body> {
    let spaces = Bytes::from_static(&[b' '; 4096]);
    let body = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(spaces.clone()));
    Response::builder().status(StatusCode::FORBIDDEN).body(Body::from_stream(body)).unwrap()
}

/// The same answer, broken off after some bytes of its body.
fn tear(answer: Response<Body>, bytes: usize) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let torn = futures::stream::once(async move {
        let whole = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        Ok(whole.slice(..bytes.min(whole.len())))
    });
    let broken = futures::stream::once(async {
        // Later than the bytes, so that they are sent.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Err(std::io::Error::other("torn"))
    });
    Response::from_parts(head, Body::from_stream(futures::StreamExt::chain(torn, broken)))
}
