//! What the node keeps: the newest snapshot from now on, earlier ones as long as they are promised, and nothing of what was only on its way.

use super::{Error, Run, baseline::Baseline, plan};
use crate::{
    format::unixfs::Dag,
    kubo::Pinned,
    progress::{Event, in_one_line},
};

/// The folder of the guards, in the node's own tree of files.
const FOLDER: &str = "/qsync/partial";

impl Run<'_> {
    /// The name of this channel's pins.
    fn pin_name(&self) -> String {
        format!("qsync/{}/{}", self.repo().short(), self.options.channel)
    }

    fn channel_folder(&self) -> String {
        format!("{FOLDER}/{}/{}", self.repo().short(), self.options.channel)
    }

    /// Where the guards of this snapshot lie.
    pub(super) fn folder(&self) -> String {
        format!("{}/{}", self.channel_folder(), self.ready.chosen.id().short())
    }

    /// Pins the snapshot; `false` when the node does not have all of it. Goes on from the pin of the snapshot before, which is not read again.
    pub(super) async fn pin(&self, root: &Dag, base: Option<&Baseline>) -> Result<bool, Error> {
        let (node, name) = (&self.target.node, self.pin_name());
        if node.is_pinned(&root.cid).await? {
            return Ok(true);
        }
        let pinned = match base {
            Some(base) => node.pin_update(&base.root, &root.cid, Self::patience(self.sent.1)).await?,
            None => node.pin_add(&root.cid, &name, Self::patience(root.dag_bytes)).await?,
        };
        Ok(pinned == Pinned::Done)
    }

    /// Removes the guards and unpins what is not promised any more. The snapshot is published by now: what fails is a warning.
    pub(super) async fn clean(&self) -> Result<(), Error> {
        if let Err(error) = self.remove_outdated().await {
            let text = format!("earlier snapshots on IPFS were not looked through: {}", in_one_line(&error));
            self.options.progress.event(Event::Warning { text });
        }
        self.publish_name().await;
        Ok(())
    }

    async fn remove_outdated(&self) -> Result<(), Error> {
        let node = &self.target.node;
        node.files_rm(&self.channel_folder()).await?;
        let mut memory = self.load_memory().await;
        let live = self.ready.live_head();
        let heads: Vec<_> = self.before.iter().chain([&live]).map(|head| &**head).collect();
        let pinned = node.pin_names(&self.pin_name()).await?;
        let planned = plan::outdated(&pinned, &heads, &memory.promised, self.options.now);
        for root in &planned.remove {
            node.pin_rm(root).await?;
            let text = format!("{}: unpinned {root}, which no head names any more", node.name());
            self.options.progress.event(Event::Note { text });
        }
        memory.promised = planned.promised;
        self.save_memory(&memory).await;
        Ok(())
    }

    /// Lets the node's name point to the newest snapshot, where that is wanted. A convenience: the head is what counts.
    async fn publish_name(&self) {
        let (Some(key), Some(ipfs)) = (&self.target.ipns, &self.ready.live_head().snapshot.ipfs) else { return };
        let Ok(root) = ipfs.root.parse() else { return };
        let text = match self.target.node.name_publish(key, &root).await {
            Ok(name) => return self.options.progress.event(Event::Note { text: format!("/ipns/{name} is now {root}") }),
            Err(error) => format!("the name of {key} does not point to the snapshot: {}", in_one_line(&error)),
        };
        self.options.progress.event(Event::Warning { text });
    }
}
