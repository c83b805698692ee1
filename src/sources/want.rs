//! What is asked for.

use super::Form;
use crate::{
    format::{
        key,
        row::{Row, Stored},
    },
    types::ObjectKey,
};

/// An object as asked for, in each form that a source may hold.
#[derive(Clone, Debug)]
pub struct Want {
    framed: Object,
    raw: Object,
}

/// One form of an object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) key: ObjectKey,
    /// The longest body that can be right.
    pub(super) max_bytes: u64,
}

impl Want {
    /// An object that has one form everywhere: a list or a manifest.
    #[must_use]
    pub fn plain(key: ObjectKey, max_bytes: u64) -> Self {
        let object = Object { key, max_bytes };
        Self { raw: object.clone(), framed: object }
    }

    /// A chunk of `raw_bytes`; `None` when it is a hole, which is stored nowhere.
    #[must_use]
    pub fn chunk(row: &Row, raw_bytes: u32) -> Option<Self> {
        let Stored::Frame { hash, bytes } = row.stored else { return None };
        Some(Self {
            framed: Object { key: key::chunk(&hash), max_bytes: u64::from(bytes) },
            raw: Object { key: key::raw(&row.raw), max_bytes: u64::from(raw_bytes) },
        })
    }

    /// Whether it has another name in each form.
    pub(super) fn has_forms(&self) -> bool {
        self.framed.key != self.raw.key
    }

    pub(super) fn object(&self, form: Form) -> &Object {
        match form {
            Form::Framed => &self.framed,
            Form::Raw => &self.raw,
        }
    }

    /// The name under which it is spoken of.
    pub(super) fn key(&self) -> &ObjectKey {
        &self.framed.key
    }

    /// The longest body that can be right, in any form.
    pub(super) fn largest(&self) -> u64 {
        self.framed.max_bytes.max(self.raw.max_bytes)
    }
}
