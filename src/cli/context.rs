//! What every verb has at hand: configuration, state directory, output, progress, and the request to stop.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    args::GlobalArgs,
    code::Code,
    config::Config,
    env,
    exit::Failure,
    gateways::GatewayArgs,
    output::{Format, Output},
    progress::{self, Receiver},
    stores::{self, OpenSources},
};
use crate::{
    catalog::StateDir,
    fs::{Fs, RealFs},
    progress::{Progress, Stop},
    sources::Allowance,
    store::{self, Create, DynReadStore, DynWriteStore},
    types::Timestamp,
};

/// Made once, before the verb runs.
#[derive(Debug)]
pub(crate) struct Context {
    /// What the configuration says.
    pub(crate) config: Config,
    /// Where results go.
    pub(crate) output: Output,
    /// The request to stop.
    pub(crate) stop: Stop,
    /// The time, given once.
    pub(crate) now: Timestamp,
    /// The machine's file system.
    pub(crate) fs: Arc<dyn Fs>,
    metrics_file: Option<PathBuf>,
    /// The configuration file that was named.
    pub(crate) config_file: Option<PathBuf>,
    /// The global options, for another command of this program.
    pub(crate) global_words: Vec<OsString>,
    receiver: Arc<dyn Receiver>,
    state_dir: Option<PathBuf>,
}

impl Context {
    /// Reads the configuration and prepares the output.
    ///
    /// # Errors
    /// When a configuration file is wrong.
    pub(crate) fn new(global: &GlobalArgs, output: Output, stop: Stop) -> Result<Self, Failure> {
        let config = Config::load(global.config.as_deref())?;
        let configured = config.state_dir().map(Path::to_owned);
        Ok(Self {
            state_dir: global.state_dir.clone().or(configured).or_else(env::default_state_dir),
            receiver: progress::receiver(global.progress, output, global.quiet),
            metrics_file: global.metrics_file.clone().or_else(|| config.metrics_file().map(Path::to_owned)),
            config_file: global.config.clone(),
            global_words: global.to_words(),
            fs: Arc::new(RealFs),
            now: whole_second(Timestamp::now()),
            config,
            output,
            stop,
        })
    }

    /// The state directory.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        let unset = || Failure::new(Code::Config, "no state directory: HOME is not set").hint("add --state-dir DIR");
        self.state_dir.clone().ok_or_else(unset)
    }

    /// Where metrics are written, if anywhere.
    pub(crate) fn metrics_file(&self) -> Option<&Path> {
        self.metrics_file.as_deref()
    }

    /// Opens the state directory, making it where it is missing.
    ///
    /// # Errors
    /// When nothing says where it is, or it cannot be written.
    pub(crate) fn open_state(&self) -> Result<StateDir, Failure> {
        Ok(StateDir::open(Arc::clone(&self.fs), self.state_dir()?)?)
    }

    /// Where events go.
    pub(crate) fn progress(&self) -> Arc<dyn Progress> {
        Arc::<dyn Receiver>::clone(&self.receiver)
    }

    /// Clears the screen of progress, so that results can be printed.
    pub(crate) fn finish_progress(&self) {
        self.receiver.finish();
    }

    /// Opens the stores to read from, of which heads, roots and manifests may cost so much.
    ///
    /// # Errors
    /// When there is none, or one of them names nothing or cannot be opened.
    pub(crate) async fn sources(
        &self,
        words: &[String],
        gateways: &GatewayArgs,
        allowance: &Allowance,
    ) -> Result<Vec<DynReadStore>, Failure> {
        Ok(self.sources_and_cids(words, gateways, allowance).await?.all)
    }

    /// The same, with what is on IPFS by its CID.
    ///
    /// # Errors
    /// As [`Context::sources`].
    pub(crate) async fn sources_and_cids(
        &self,
        words: &[String],
        gateways: &GatewayArgs,
        allowance: &Allowance,
    ) -> Result<OpenSources, Failure> {
        let sources = stores::open_sources(words, gateways, &self.config, &self.fs, &*self.receiver);
        let sources = self.until_stopped(sources).await?;
        Ok(OpenSources { all: allowance.watch(sources.all), ..sources })
    }

    /// Opens the stores to write to.
    ///
    /// # Errors
    /// As [`Context::sources`].
    pub(crate) async fn targets(&self, words: &[String], create: Create) -> Result<Vec<DynWriteStore>, Failure> {
        stores::open_targets(words, create, &self.config, &self.fs).await
    }

    /// Opens the stores to write to, and says which could not be opened.
    ///
    /// # Errors
    /// When none can be, or one of them names nothing.
    pub(crate) async fn targets_that_open(
        &self,
        words: &[String],
        create: Create,
    ) -> Result<(Vec<DynWriteStore>, Vec<store::Error>), Failure> {
        stores::open_targets_that_can(words, create, &self.config, &self.fs).await
    }

    /// Waits for `work`, but drops it when somebody asks to stop: for work that leaves nothing half done.
    ///
    /// # Errors
    /// Those of the work, or that it was stopped.
    pub(crate) async fn until_stopped<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.stop.wait() => Err(Failure::new(Code::Interrupted, "stopped before the end")),
        }
    }

    /// As many threads as this machine has, unless told otherwise.
    pub(crate) fn threads(&self, told: Option<usize>) -> usize {
        told.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1)
    }
}

/// Form of the output before the configuration is read.
pub(crate) fn format(json: bool) -> Format {
    if json { Format::Json } else { Format::Text }
}

/// Times in signed objects are whole seconds.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).expect("a time without its fraction is in range")
}
