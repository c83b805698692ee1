//! What the node keeps: the newest snapshot from now on, earlier ones as long as they are promised, and nothing of what was only on its way.

use super::{Error, Run, baseline::Baseline, memory::Memory, plan};
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

    /// Pins the snapshot; `false` when the node does not have all of it. Goes on from the pin of the snapshot before, of which nothing is read again
    /// but the `new_bytes` that this one has besides.
    pub(super) async fn pin(&self, root: &Dag, base: Option<&Baseline>, new_bytes: u64) -> Result<bool, Error> {
        let (node, name) = (&self.target.node, self.pin_name());
        let add = async || node.pin_add(&root.cid, &name, Self::patience(root.dag_bytes)).await;
        let mut pinned = match base {
            _ if node.is_pinned(&root.cid).await? => Pinned::Done,
            Some(base) => node.pin_update(&base.root, &root.cid, Self::patience(new_bytes)).await?,
            None => add().await?,
        };
        // Somebody else's pin has another name, and so has one that goes on from it: later runs would not find it.
        if pinned == Pinned::Done && !node.pin_names(&name).await?.contains(&root.cid) {
            pinned = add().await?;
        }
        Ok(pinned == Pinned::Done)
    }

    /// Lets go of what an earlier run was sending if that is another snapshot, and of snapshots whose time is over: the node may need the room.
    pub(super) async fn make_room(&self, memory: &mut Memory) -> Result<(), Error> {
        let id = self.ready.chosen.id();
        if memory.sending != Some(id) {
            self.target.node.files_rm(&self.channel_folder()).await?;
            memory.sending = Some(id);
        }
        self.remove_outdated(memory).await?;
        self.save_memory(memory).await;
        Ok(())
    }

    /// Removes the guards and unpins what is not promised any more. The snapshot is published by now: what fails is a warning.
    pub(super) async fn clean(&self) {
        let mut memory = self.load_memory().await;
        let cleaned = async {
            self.target.node.files_rm(&self.channel_folder()).await?;
            memory.sending = None;
            self.remove_outdated(&mut memory).await
        };
        if let Err(error) = cleaned.await {
            let text = format!("earlier snapshots on IPFS were not looked through: {}", in_one_line(&error));
            self.options.progress.event(Event::Warning { text });
        }
        self.save_memory(&memory).await;
        self.publish_name().await;
    }

    async fn remove_outdated(&self, memory: &mut Memory) -> Result<(), Error> {
        let node = &self.target.node;
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
        memory.contents.retain(|root, _| memory.promised.contains_key(root));
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
