//! The repositories that this machine trusts, and what it has seen of them.

use super::{
    generations::{Generations, repo_of_file_name},
    state_dir::{StateDir, StateError, io_error},
};
use crate::{
    trust::RepoState,
    types::{ChannelName, Hash, Timestamp},
};

/// What became of a request to trust a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It is trusted from now on.
    Added,
    /// It was trusted already.
    Already,
}

/// What was known of a repository, and is not any more: with it goes the protection from anything older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// What was seen; `None` when it was damaged.
    pub state: Option<RepoState>,
}

impl Forgotten {
    /// Number of the newest root seen, so that older keys were refused.
    #[must_use]
    pub fn root_version(&self) -> Option<usize> {
        self.state.as_ref().map(|state| state.roots.len())
    }

    /// The channels of which older heads were refused.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.state.iter().flat_map(|state| state.heads.keys())
    }

    /// The newest signed time seen, before which the clock was refused.
    #[must_use]
    pub fn last_time(&self) -> Option<Timestamp> {
        self.state.as_ref().and_then(|state| state.last_time)
    }
}

impl StateDir {
    /// The trusted repositories, sorted.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn repos(&self) -> Result<Vec<Hash>, StateError> {
        let folder = self.repos_folder();
        let entries = self.fs.read_dir(&folder).map_err(|e| io_error("read", &folder, e))?;
        let mut repos: Vec<Hash> = entries.iter().filter_map(|entry| repo_of_file_name(entry.name.to_str()?)).collect();
        repos.sort_unstable();
        repos.dedup();
        Ok(repos)
    }

    /// What was seen of a repository; `None` when it is not trusted here.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when both generations are.
    pub fn repo(&self, repo: Hash) -> Result<Option<RepoState>, StateError> {
        let folder = self.repos_folder();
        let newest = Generations::new(&*self.fs, &folder, repo).load();
        newest.map(|newest| newest.map(|newest| newest.state)).map_err(|damaged| StateError::Damaged { repo, problem: damaged.0 })
    }

    /// Trusts a repository from now on. Durable.
    ///
    /// # Errors
    /// When the directory cannot be read or written, or what is known of the repository is damaged.
    pub fn pin(&self, repo: Hash) -> Result<Pinned, StateError> {
        self.update(repo, |known| match known {
            Some(state) => (state, Pinned::Already),
            None => (RepoState::default(), Pinned::Added),
        })
    }

    /// Trusts a repository no longer and forgets what was seen of it; `None` when it was not trusted. Durable.
    ///
    /// # Errors
    /// When the directory cannot be read or written. Damage is no error: this is the way out of it.
    pub fn forget(&self, repo: Hash) -> Result<Option<Forgotten>, StateError> {
        let _lock = self.lock()?;
        let folder = self.repos_folder();
        let files = Generations::new(&*self.fs, &folder, repo);
        let forgotten = match files.load() {
            Ok(None) => return Ok(None),
            Ok(Some(newest)) => Forgotten { state: Some(newest.state) },
            Err(_) => Forgotten { state: None },
        };
        files.remove().map_err(|e| io_error("remove files in", &folder, e))?;
        Ok(Some(forgotten))
    }

    /// Lets `next` say what is known of a repository from now on, with no other process in between. Durable when it returns.
    ///
    /// # Errors
    /// When the directory cannot be read or written, or what is known of the repository is damaged.
    pub(super) fn update<T>(&self, repo: Hash, next: impl FnOnce(Option<RepoState>) -> (RepoState, T)) -> Result<T, StateError> {
        let _lock = self.lock()?;
        let folder = self.repos_folder();
        let files = Generations::new(&*self.fs, &folder, repo);
        let newest = files.load().map_err(|damaged| StateError::Damaged { repo, problem: damaged.0 })?;
        let known = newest.as_ref().map(|newest| newest.state.clone());
        let (state, answer) = next(known.clone());
        if known.as_ref() != Some(&state) {
            files.store(newest.as_ref(), &state).map_err(|e| io_error("write in", &folder, e))?;
        }
        Ok(answer)
    }

    fn repos_folder(&self) -> std::path::PathBuf {
        self.path().join("repos")
    }
}
