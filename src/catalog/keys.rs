//! Secret keys in the state directory: one file each, for their owner only.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::state_dir::{StateDir, StateError, io_error};
use crate::{
    format::root::Root,
    fs::Open,
    trust::{KeyId, MAX_KEY_FILE_BYTES, SecretKey},
};

const OTHERS: u32 = 0o077;

impl StateDir {
    /// Makes a key and keeps it. Durable.
    ///
    /// # Errors
    /// When there are no random numbers or the file cannot be written.
    pub fn generate_key(&self) -> Result<SecretKey, StateError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(StateError::Random)?;
        let key = SecretKey::from_seed(&seed);
        self.keep_key(&key)?;
        Ok(key)
    }

    /// Keeps a key. Durable; readable for the owner only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_key(&self, key: &SecretKey) -> Result<(), StateError> {
        let path = self.key_path(&key.id());
        self.fs.write_durable(&path, &key.to_file(), 0o600).map_err(|e| io_error("write", &path, e))
    }

    /// The key with this id; `None` when it is not here.
    ///
    /// # Errors
    /// [`StateError::KeyExposed`] when others than the owner may read it; [`StateError::KeyFile`] when it is damaged.
    pub fn key(&self, id: &KeyId) -> Result<Option<SecretKey>, StateError> {
        let path = self.key_path(id);
        match self.read_key_file(&path) {
            Err(StateError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => SecretKey::from_file(&bytes).map(Some).map_err(|source| StateError::KeyFile { path, source }),
        }
    }

    /// As many publish keys of `root` as must sign.
    ///
    /// # Errors
    /// [`StateError::NoKeys`] when fewer are here.
    pub fn publish_keys(&self, root: &Root) -> Result<Vec<SecretKey>, StateError> {
        let ids: Vec<KeyId> = root.keys_of(&root.publish).map(|key| KeyId::of(&key)).collect();
        let needed = root.publish.threshold;
        let mut keys = Vec::new();
        for id in &ids {
            if keys.len() < needed as usize {
                keys.extend(self.key(id)?);
            }
        }
        if keys.len() < needed as usize { Err(StateError::NoKeys { held: keys.len(), needed, ids }) } else { Ok(keys) }
    }

    /// Where the key with this id is kept.
    #[must_use]
    pub fn key_path(&self, id: &KeyId) -> PathBuf {
        self.path().join("keys").join(format!("{id}.key"))
    }

    fn read_key_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let failed = |e| io_error("read", path, e);
        let file = self.fs.open(path, Open::Read).map_err(failed)?;
        let stat = file.stat().map_err(failed)?;
        if stat.mode & OTHERS != 0 {
            return Err(StateError::KeyExposed { path: path.to_owned(), mode: stat.mode & 0o777 });
        }
        let mut bytes = Zeroizing::new(vec![0; usize::try_from(stat.len.min(MAX_KEY_FILE_BYTES)).unwrap_or(0)]);
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        Ok(bytes)
    }
}
