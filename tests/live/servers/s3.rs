//! A client of S3 that shares nothing with qsync: curl, which signs.

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use crate::{programs::program, support::command::text};

/// Credentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    /// Names the user.
    pub(crate) access_key: &'static str,
    /// Signs.
    pub(crate) secret_key: &'static str,
}

impl User {
    /// The variables by which programs know the user.
    pub(crate) fn variables(self) -> [(&'static str, &'static str); 2] {
        [("AWS_ACCESS_KEY_ID", self.access_key), ("AWS_SECRET_ACCESS_KEY", self.secret_key)]
    }
}

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct S3 {
    endpoint: String,
}

impl S3 {
    /// The one at a URL without a path.
    pub(crate) fn at(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned() }
    }

    /// Its URL, without a slash at its end.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A request; the path begins with a slash.
    pub(crate) fn request(&self, method: &'static str, path: &str) -> Request {
        Request::new(method, format!("{}{path}", self.endpoint))
    }

    /// Makes a bucket.
    #[track_caller]
    pub(crate) fn make_bucket(&self, name: &str, owner: User) -> Bucket {
        self.request("PUT", &format!("/{name}")).signed_by(owner).send().succeeded();
        Bucket { s3: self.clone(), name: name.to_owned(), owner, requester_pays: false }
    }
}

/// A bucket, as its owner sees it.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    s3: S3,
    name: String,
    owner: User,
    requester_pays: bool,
}

impl Bucket {
    /// Its URL over HTTP, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.s3.endpoint, self.name)
    }

    /// The URL by which qsync knows it.
    pub(crate) fn store(&self) -> String {
        let payer = if self.requester_pays { "&requester_pays=true" } else { "" };
        format!("s3://{}?region=us-east-1&endpoint={}&path_style=true{payer}", self.name, self.s3.endpoint)
    }

    /// The same bucket at another address.
    pub(crate) fn at(&self, endpoint: &str) -> Self {
        Self { s3: S3::at(endpoint), ..self.clone() }
    }

    /// A request for a key.
    pub(crate) fn request(&self, method: &'static str, key: &str) -> Request {
        Request::new(method, format!("{}/{key}", self.url()))
    }

    /// Its owner puts an object.
    #[track_caller]
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.request("PUT", key).signed_by(self.owner).body(bytes).send().succeeded();
    }

    /// Its owner reads an object.
    #[track_caller]
    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.request("GET", key).signed_by(self.owner).send().succeeded().body
    }

    /// The keys that begin with a folder, as far as one answer of the server goes.
    #[track_caller]
    pub(crate) fn keys(&self, folder: &str) -> Vec<String> {
        let list = format!("?list-type=2&prefix={}", folder.replace('/', "%2F"));
        let answer = text(&self.request("GET", &list).signed_by(self.owner).send().succeeded().body);
        answer.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    /// Lets others in.
    #[track_caller]
    pub(crate) fn set_policy(&self, policy: &str) {
        self.request("PUT", "?policy=").signed_by(self.owner).body(policy.as_bytes()).send().succeeded();
    }

    /// Has whoever reads pay for it.
    #[track_caller]
    pub(crate) fn set_requester_pays(&mut self) {
        let payer = "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
        self.request("PUT", "?requestPayment=").signed_by(self.owner).body(payer.as_bytes()).send().succeeded();
        self.requester_pays = true;
    }
}

/// No form, which servers would take apart.
const OCTETS: &str = "application/octet-stream";

/// A request that was not sent yet.
pub(crate) struct Request {
    method: &'static str,
    url: String,
    user: Option<User>,
    service: &'static str,
    headers: Vec<String>,
    kind: &'static str,
    body: Option<Vec<u8>>,
}

impl Request {
    fn new(method: &'static str, url: String) -> Self {
        Self { method, url, user: None, service: "s3", headers: Vec::new(), kind: OCTETS, body: None }
    }

    /// Signs it; it is anonymous otherwise.
    pub(crate) fn signed_by(mut self, user: User) -> Self {
        self.user = Some(user);
        self
    }

    /// Signs it for another service than S3.
    pub(crate) fn for_service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    /// Agrees to pay for it.
    pub(crate) fn paid(self) -> Self {
        self.header("x-amz-request-payer", "requester")
    }

    /// Gives it a body.
    pub(crate) fn body(mut self, bytes: &[u8]) -> Self {
        self.body = Some(bytes.to_owned());
        self
    }

    /// Gives it a form.
    pub(crate) fn form(mut self, text: &str) -> Self {
        self.kind = "application/x-www-form-urlencoded";
        self.body(text.as_bytes())
    }

    /// Sends it.
    #[track_caller]
    pub(crate) fn send(self) -> Answer {
        let mut curl = program("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "60"]);
        match self.method {
            "HEAD" => curl.arg("--head"),
            method => curl.args(["--request", method]),
        };
        if let Some(user) = self.user {
            curl.args(["--aws-sigv4", &format!("aws:amz:us-east-1:{}", self.service)]);
            curl.args(["--user", &format!("{}:{}", user.access_key, user.secret_key)]);
            // S3 wants it, and not every curl says it by itself.
            curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        }
        for header in &self.headers {
            curl.args(["--header", header]);
        }
        if self.body.is_some() {
            curl.args(["--data-binary", "@-", "--header", &format!("Content-Type: {}", self.kind)]);
        }
        let mut child = curl.arg(&self.url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // It may end before it has read everything.
        let _sent = input.write_all(&self.body.unwrap_or_default());
        drop(input);
        Answer::of(&child.wait_with_output().unwrap())
    }
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP's status.
    pub(crate) status: u16,
    head: String,
    /// What follows the head.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn of(output: &Output) -> Self {
        assert!(output.status.success(), "{}", text(&output.stderr));
        let all = output.stdout.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&output.stdout);
        let end = all.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = text(&all[..end]);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: all[end + 4..].to_owned() }
    }

    /// A header of it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The same, if it is a good one.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!((200..300).contains(&self.status), "{}\n{}", self.head, text(&self.body));
        self
    }
}
