//! What somebody can publish who has stolen the publish key: any manifest, any list, any frame, properly signed.

use std::{collections::BTreeSet, fs, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use qsync::{
    format::{
        head::Head,
        key,
        row::{Row, Stored},
    },
    trust::{Envelope, SecretKey, sign_head},
    types::{Hash, ObjectKey},
};
use serde_json::{Value, json};

use super::{
    World,
    command::Qsync,
    tree::{self, CHUNK},
};

/// A store with an honest snapshot, the keys that sign for it, and its manifest as JSON.
pub(crate) struct Forge {
    /// Where everything lies.
    pub(crate) world: World,
    pin: String,
    keys: Vec<SecretKey>,
    honest: Value,
    head: Head,
}

impl Forge {
    /// One with four files: one without content, two with rows, one with a list.
    pub(crate) fn new() -> Self {
        let world = World::new();
        fs::create_dir_all(world.path("data/db")).unwrap();
        fs::write(world.path("data/CURRENT"), "MANIFEST-000001\n").unwrap();
        fs::write(world.path("data/LOCK"), "").unwrap();
        tree::write(&world.path("data/db/000001.sst"), CHUNK + 5);
        tree::write(&world.path("data/db/000002.sst"), 5 * CHUNK);
        let pin = world.init();
        world.publish(&world.path("data"), 1);
        let keys = tree::files(&world.path("provider-state/keys"));
        let keys = keys.iter().map(|path| SecretKey::from_file(&fs::read(path).unwrap()).unwrap()).collect();
        let head: Head = Envelope::parse(&fs::read(world.path("store/heads/demo/generic.json")).unwrap()).unwrap().read().unwrap();
        let stored = fs::read(world.store().join(key::manifest(&head.snapshot.manifest).as_str())).unwrap();
        let honest = serde_json::from_slice(&zstd::decode_all(&stored[..]).unwrap()).unwrap();
        Self { world, pin, keys, honest, head }
    }

    /// The repository, as `--trust` takes it.
    pub(crate) fn pin(&self) -> &str {
        &self.pin
    }

    /// The honest manifest.
    pub(crate) fn manifest(&self) -> Value {
        self.honest.clone()
    }

    /// Publishes a manifest.
    pub(crate) fn publish(&self, manifest: &Value) {
        self.publish_json(manifest.to_string().as_bytes());
    }

    /// Publishes this as a manifest.
    pub(crate) fn publish_json(&self, json: &[u8]) {
        self.publish_stored(&zstd::encode_all(json, 1).unwrap(), json.len() as u64, |_| {});
    }

    /// Publishes this as a stored manifest, with a head that `change` has changed.
    pub(crate) fn publish_stored(&self, stored: &[u8], json_bytes: u64, change: impl FnOnce(&mut Head)) {
        let mut head = self.head.clone();
        head.snapshot.manifest = self.put(&key::manifest(&Hash::of(stored)), stored);
        (head.snapshot.manifest_bytes, head.snapshot.manifest_json_bytes) = (stored.len() as u64, json_bytes);
        change(&mut head);
        let keys: Vec<&SecretKey> = self.keys.iter().collect();
        fs::write(self.world.store().join("heads/demo/generic.json"), sign_head(&head, &keys).unwrap()).unwrap();
    }

    /// Publishes a manifest with totals, and a head, that agree with each other about `bytes` and `frame_bytes`.
    pub(crate) fn publish_agreeing(&self, mut manifest: Value, bytes: u64, frame_bytes: u64) {
        (manifest["totals"]["bytes"], manifest["totals"]["frame_bytes"]) = (json!(bytes), json!(frame_bytes));
        let json = manifest.to_string();
        self.publish_stored(&zstd::encode_all(json.as_bytes(), 1).unwrap(), json.len() as u64, |head| {
            (head.snapshot.bytes, head.snapshot.frame_bytes) = (bytes, frame_bytes);
        });
    }

    /// Publishes a snapshot of one file, `file`, of one chunk of `raw_bytes` with this hash, stored as `frame`.
    pub(crate) fn publish_frame(&self, raw: Hash, raw_bytes: u64, frame: &[u8]) {
        let row = Row { raw, stored: Stored::Frame { hash: self.put_chunk(frame), bytes: frame.len() as u32 } };
        let rows = BASE64_STANDARD.encode(row.encode());
        let mut manifest = self.manifest();
        manifest["dirs"] = json!([]);
        manifest["files"] = json!([{ "path": "file", "bytes": raw_bytes, "b3": raw.to_string(), "rows": rows }]);
        manifest["totals"] = json!({ "files": 1, "chunks": 1, "hole_bytes": 0 });
        self.publish_agreeing(manifest, raw_bytes, frame.len() as u64);
    }

    /// Stores a frame under its name.
    pub(crate) fn put_chunk(&self, frame: &[u8]) -> Hash {
        self.put(&key::chunk(&Hash::of(frame)), frame)
    }

    /// Stores a list under its name.
    pub(crate) fn put_list(&self, list: &[u8]) -> Hash {
        self.put(&key::list(&Hash::of(list)), list)
    }

    fn put(&self, key: &ObjectKey, bytes: &[u8]) -> Hash {
        let path = self.world.store().join(key.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        Hash::of(bytes)
    }

    /// The command that restores what was published, on a machine that has seen nothing yet.
    pub(crate) fn restore(&self) -> Qsync {
        for left in [self.world.path("operator-state"), self.world.staging()] {
            fs::remove_dir_all(left).ok();
        }
        self.world.restore_command(&self.pin)
    }

    /// Restores; it must be refused. Gives the error. Nothing but the staging directory may be left.
    #[track_caller]
    pub(crate) fn is_refused(&self, exit: i32) -> Value {
        let (restore, before) = (self.restore(), self.around());
        let error = restore.json_error(exit);
        assert!(!self.world.target().exists(), "{error}");
        assert_eq!(before, self.around(), "{error}");
        error
    }

    /// Restores; it must succeed.
    #[track_caller]
    pub(crate) fn is_restored(&self) -> Value {
        fs::remove_dir_all(self.world.target()).ok();
        self.restore().summary()
    }

    /// Everything that lies around the target, but for what a restore may write.
    fn around(&self) -> BTreeSet<PathBuf> {
        let mine = ["operator-state", ".restored.qsync-partial"];
        tree::snapshot(self.world.folder()).into_keys().filter(|path| !mine.iter().any(|name| path.starts_with(name))).collect()
    }
}
