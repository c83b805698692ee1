//! The JSON of a manifest: names and order of its fields (docs/format.md, 2.4).

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufReader, Read, Write},
    marker::PhantomData,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

use super::{About, Block, Client, Engine, FileEntry, Layout, MAX_PATHS, Manifest, ManifestError, RowSums, Totals, check};
use crate::{
    format::{
        json::{self, JsonError},
        list,
        row::Row,
    },
    types::{ChunkSize, Hash, RelPath, Timestamp},
};

/// The format that this release writes and reads.
const FORMAT: &str = "qsync-manifest/1";

/// Reads a manifest from the JSON that `open` gives, each time from its start; the caller bounds its length.
///
/// Three passes, so that none has to hold the text: strictness, which serde lacks; the format, because any other field may
/// differ in another one; then the fields.
pub(super) fn read<R: Read>(open: impl Fn() -> Result<R, ManifestError>) -> Result<Manifest, ManifestError> {
    json::reject_duplicate_keys(open()?)?;
    let Format { format } = parse(open()?)?;
    if format != FORMAT {
        return Err(ManifestError::NewerFormat { expected: FORMAT, found: format.chars().take(80).collect() });
    }
    parse::<Document>(open()?)?.into_manifest()
}

fn parse<T: for<'de> Deserialize<'de>>(reader: impl Read) -> Result<T, JsonError> {
    Ok(serde_json::from_reader(BufReader::new(reader))?)
}

/// Writes the JSON of `manifest`.
pub(super) fn write(manifest: &Manifest, into: impl Write) -> Result<(), serde_json::Error> {
    serde_json::to_writer(into, &DocumentRef::of(manifest))
}

#[derive(Deserialize)]
struct Format {
    format: String,
}

#[derive(Deserialize)]
struct Document {
    chain: String,
    profile: String,
    height: Option<u64>,
    block_hash: Option<String>,
    genesis: Option<String>,
    finalized: Option<Block>,
    labels: BTreeMap<String, String>,
    encoder: String,
    taken_at: Timestamp,
    client: Option<Client>,
    engine: Option<Engine>,
    chunk_bytes: ChunkSize,
    subtrees: Subtrees,
    totals: Totals,
    #[serde(deserialize_with = "capped")]
    dirs: Vec<RelPath>,
    #[serde(deserialize_with = "capped")]
    files: Vec<FileEntry>,
}

impl Document {
    fn into_manifest(self) -> Result<Manifest, ManifestError> {
        let channel =
            format!("{}/{}", self.chain, self.profile).parse().map_err(|error| JsonError::from(serde_json::Error::custom(error)))?;
        let about = About {
            channel,
            height: self.height,
            block_hash: self.block_hash,
            genesis: self.genesis,
            finalized: self.finalized,
            labels: self.labels,
            encoder: self.encoder,
            taken_at: self.taken_at,
            client: self.client,
            engine: self.engine,
            chunk_size: self.chunk_bytes,
            subtrees: self.subtrees.0,
        };
        let Totals { frame_bytes, hole_bytes, .. } = self.totals;
        let manifest = Manifest::new(about, self.dirs, self.files, RowSums { frame_bytes, hole_bytes })?;
        check::declared(self.totals, manifest.totals)?;
        Ok(manifest)
    }
}

/// The subtrees; `[""]` is the whole directory.
#[derive(Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Subtrees(Option<Vec<RelPath>>);

impl TryFrom<Vec<String>> for Subtrees {
    type Error = crate::types::InvalidRelPath;

    fn try_from(paths: Vec<String>) -> Result<Self, Self::Error> {
        match &paths[..] {
            [whole] if whole.is_empty() => Ok(Self(None)),
            _ => paths.into_iter().map(RelPath::try_from).collect::<Result<_, _>>().map(|paths| Self(Some(paths))),
        }
    }
}

#[derive(Deserialize)]
struct File {
    path: RelPath,
    bytes: u64,
    b3: Hash,
    rows: Option<String>,
    lists: Option<Vec<Hash>>,
}

impl<'de> Deserialize<'de> for FileEntry {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let File { path, bytes, b3, rows, lists } = File::deserialize(input)?;
        let layout = match (rows, lists) {
            (Some(rows), None) => {
                Layout::Rows(decode_rows(&rows).map_err(|what| D::Error::custom(format_args!("rows of {path}: {what}")))?)
            }
            (None, Some(lists)) => Layout::Lists(lists.into()),
            _ => return Err(D::Error::custom(format_args!("{path} carries not exactly one of rows and lists"))),
        };
        Ok(Self { path, bytes, b3, layout })
    }
}

/// The rows; their bounds are checked when the length of their chunks is known.
fn decode_rows(text: &str) -> Result<Box<[Row]>, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))?;
    let (rows, rest) = bytes.as_chunks::<{ Row::BYTES }>();
    if !rest.is_empty() {
        return Err(format!("{} bytes are not rows of {}", bytes.len(), Row::BYTES));
    }
    rows.iter().map(Row::decode).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// A list of at most [`MAX_PATHS`] elements: it stops at the cap, not at the end of the text.
fn capped<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    struct Capped<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Capped<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_PATHS}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() as u64 >= MAX_PATHS {
                    return Err(A::Error::invalid_length(list.len() + 1, &self));
                }
                list.push(element);
            }
            Ok(list)
        }
    }
    input.deserialize_seq(Capped(PhantomData))
}

#[derive(Serialize)]
struct DocumentRef<'a> {
    format: &'static str,
    chain: &'a str,
    profile: &'a str,
    height: Option<u64>,
    block_hash: Option<&'a str>,
    genesis: Option<&'a str>,
    finalized: Option<&'a Block>,
    labels: &'a BTreeMap<String, String>,
    encoder: &'a str,
    taken_at: Timestamp,
    client: Option<&'a Client>,
    engine: Option<&'a Engine>,
    chunk_bytes: ChunkSize,
    subtrees: Vec<&'a str>,
    totals: Totals,
    dirs: &'a [RelPath],
    #[serde(serialize_with = "write_files")]
    files: &'a [FileEntry],
}

impl<'a> DocumentRef<'a> {
    fn of(Manifest { about, dirs, files, totals }: &'a Manifest) -> Self {
        Self {
            format: FORMAT,
            chain: about.channel.chain(),
            profile: about.channel.profile(),
            height: about.height,
            block_hash: about.block_hash.as_deref(),
            genesis: about.genesis.as_deref(),
            finalized: about.finalized.as_ref(),
            labels: &about.labels,
            encoder: &about.encoder,
            taken_at: about.taken_at,
            client: about.client.as_ref(),
            engine: about.engine.as_ref(),
            chunk_bytes: about.chunk_size,
            subtrees: about.subtrees.as_ref().map_or_else(|| vec![""], |paths| paths.iter().map(RelPath::as_str).collect()),
            totals: *totals,
            dirs,
            files,
        }
    }
}

#[derive(Serialize)]
struct FileRef<'a> {
    path: &'a RelPath,
    bytes: u64,
    b3: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lists: Option<&'a [Hash]>,
}

impl<'a> FileRef<'a> {
    fn of(file: &'a FileEntry) -> Self {
        let (rows, lists) = match &file.layout {
            Layout::Rows(rows) => (Some(BASE64_STANDARD.encode(list::encode(rows))), None),
            Layout::Lists(lists) => (None, Some(&lists[..])),
        };
        Self { path: &file.path, bytes: file.bytes, b3: file.b3, rows, lists }
    }
}

fn write_files<S: Serializer>(files: &&[FileEntry], output: S) -> Result<S::Ok, S::Error> {
    output.collect_seq(files.iter().map(FileRef::of))
}
