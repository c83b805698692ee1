//! The half of a local store that writes.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    LocalReader,
    batch::{Failed, Found},
    blocking,
    staging::FOLDER_MODE,
    writer::Writer,
};
use crate::{
    fs::{Fs, resolve_existing},
    store::{Error, ErrorKind, Put, ReadStore, Swap, Tag, WantedForms, WriteStore},
    types::{Forms, ObjectKey},
};

/// No mutable object is longer.
const MAX_MUTABLE_BYTES: u64 = 64 << 20;

/// What to do when the directory of a store is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Make it, and what is missing above it, at the first put or swap.
    Yes,
    /// Refuse.
    No,
}

/// A directory to read a store from and to write it to.
///
/// Objects that were put become visible, with durable content, in batches of 64 MiB or every 2 s while puts go on, and at
/// [`WriteStore::sync`], which makes their names durable too. What was not synced when the value is dropped may be gone. Nothing is written
/// before the first put or swap.
///
/// Every writer in every process is told of a race: one of them is told [`Put::Created`]. The others keep copies of their own until their own
/// [`WriteStore::sync`], which succeeds even if the first one dies.
#[derive(Debug)]
pub struct LocalStore {
    reader: LocalReader,
    create: Create,
    writer: Arc<Mutex<Option<Arc<Writer>>>>,
    forms: WantedForms,
}

impl LocalStore {
    /// The same store, to hold chunks in the forms that the user names, if any.
    #[must_use]
    pub fn with_forms(self, forms: Option<Forms>) -> Self {
        Self { forms: forms.map_or(self.forms, WantedForms::Exactly), ..self }
    }

    /// Opens the store in the directory `root`, which may be a link to one. Blocks. Writes nothing.
    ///
    /// # Errors
    /// As [`LocalReader::open`]; with [`Create::Yes`] only when something is in the way.
    pub fn open(fs: Arc<dyn Fs>, root: &Path, create: Create) -> Result<Self, Error> {
        let reader = match create {
            Create::No => LocalReader::open(fs, root)?,
            Create::Yes => creatable(fs, root)?,
        };
        // Its name stays what the user calls it.
        let reader = LocalReader { root: resolve_existing(&*reader.fs, root), ..reader };
        Ok(Self { reader, create, writer: Arc::default(), forms: WantedForms::ByDefault(Forms::Zstd) })
    }

    /// Runs `work` on the writing half, which is made first if need be, where it may block. Many at once.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LocalReader, &Writer) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reader, create, writer) = (self.reader.clone(), self.create, Arc::clone(&self.writer));
        blocking(move || {
            let writer = started(&reader, create, &writer).map_err(|error| reader.io_error("open", "", error))?;
            work(&reader, &writer)
        })
        .await
    }
}

fn started(reader: &LocalReader, create: Create, writer: &Mutex<Option<Arc<Writer>>>) -> io::Result<Arc<Writer>> {
    let mut writer = writer.lock().expect("no holder of this lock panics");
    Ok(Arc::clone(match &mut *writer {
        Some(writer) => writer,
        none => none.insert(Arc::new(start(reader, create)?)),
    }))
}

/// A store that is there, or for which nothing is in the way.
fn creatable(fs: Arc<dyn Fs>, root: &Path) -> Result<LocalReader, Error> {
    let reader = LocalReader::at(fs, root);
    for path in root.ancestors() {
        if reader.is_there(path)? {
            break;
        }
    }
    Ok(reader)
}

fn start(reader: &LocalReader, create: Create) -> io::Result<Writer> {
    if create == Create::Yes {
        make_root(&*reader.fs, &reader.root)?;
    }
    Writer::create(&reader.fs, &reader.root)
}

/// Makes the directory of a store, durably.
fn make_root(fs: &dyn Fs, root: &Path) -> io::Result<()> {
    let missing = root.ancestors().take_while(|path| fs.stat(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)).count();
    fs.create_dir_all(root, FOLDER_MODE)?;
    let mut parents = root.ancestors().skip(1).take(missing);
    parents.try_for_each(|parent| fs.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }))
}

#[async_trait]
impl ReadStore for LocalStore {
    fn name(&self) -> &str {
        self.reader.name()
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        self.reader.get_into(key, max_bytes, into).await
    }
}

#[async_trait]
impl WriteStore for LocalStore {
    fn forms(&self) -> WantedForms {
        self.forms
    }

    async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, Error> {
        let key = key.clone();
        self.write(move |reader, writer| {
            reader.refuse_staging("put", &key)?;
            match writer.put(&key, &bytes).map_err(|failed| reader.flush_error("put", failed))? {
                Found::Nothing => Ok(Put::Created),
                Found::Object(len) if len == bytes.len() as u64 => Ok(Put::Existed),
                Found::Object(len) => Err(Error::conflict(&reader.name, &key, len, bytes.len() as u64)),
            }
        })
        .await
    }

    async fn sync(&self) -> Result<(), Error> {
        self.write(|reader, writer| writer.sync().map_err(|failed| reader.flush_error("sync", failed))).await
    }

    async fn get_tagged(&self, key: &ObjectKey, max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error> {
        match self.get(key, max_bytes).await {
            Ok(bytes) => {
                let tag = Tag::of(&bytes);
                Ok(Some((bytes, tag)))
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn swap(&self, key: &ObjectKey, expected: Option<&Tag>, bytes: Bytes) -> Result<Swap, Error> {
        let (key, expected) = (key.clone(), expected.cloned());
        self.write(move |reader, writer| {
            reader.refuse_staging("swap", &key)?;
            let decide = || Ok::<_, Failure>(reader.tag(&key)? == expected);
            match writer.replace(&key, &bytes, decide) {
                Ok(true) => Ok(Swap::Done(Tag::of(&bytes))),
                Ok(false) => Ok(Swap::Lost),
                Err(Failure::Store(error)) => Err(error),
                Err(Failure::Io(error)) => Err(reader.io_error("swap", key.as_str(), error)),
            }
        })
        .await
    }
}

impl LocalReader {
    fn refuse_staging(&self, action: &'static str, key: &ObjectKey) -> Result<(), Error> {
        match self.path(key) {
            Some(_) => Ok(()),
            None => Err(self.error(ErrorKind::Denied, action, key.as_str(), "the folder is reserved for unfinished objects")),
        }
    }

    /// The tag of the object that is there now.
    fn tag(&self, key: &ObjectKey) -> Result<Option<Tag>, Error> {
        let mut bytes = Vec::new();
        match self.read(key, MAX_MUTABLE_BYTES, &mut bytes) {
            Ok(()) => Ok(Some(Tag::of(&bytes))),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn flush_error(&self, action: &'static str, failed: Failed) -> Error {
        match failed {
            Failed::Io(key, error) | Failed::Unwritten(key, error) => self.io_error(action, key.as_str(), error),
            Failed::EarlierBatch => self.error(ErrorKind::Io, action, "", "objects of an earlier batch were lost and must be put again"),
            Failed::Conflict { key, there_bytes, staged_bytes } => Error::conflict(&self.name, &key, there_bytes, staged_bytes),
        }
    }
}

/// What can go wrong in a swap: to read what is there, or to write.
enum Failure {
    Store(Error),
    Io(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
