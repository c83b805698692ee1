//! What stands between the frames of files in the tar view of a snapshot (docs/format.md, 2.7): the padding of one member and the header of the next.

use super::{
    manifest::Manifest,
    tar::{self, Content},
};

/// The bytes between the data of two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joint {
    /// Zeros that fill up the member before, then the header of the next one, or the end of the tar.
    pub bytes: Vec<u8>,
    /// The file whose data follows, as its index in [`Manifest::files`]; `None` for a directory, and at the end.
    pub file: Option<usize>,
}

/// The joints in order, one for each member and one for the end: with the data of their files between them they are the tar.
pub fn joints(manifest: &Manifest) -> impl Iterator<Item = Joint> {
    let mut padding = 0;
    let members = tar::members(manifest).map(Some).chain([None]);
    members.map(move |member| {
        let mut bytes = vec![0; std::mem::take(&mut padding) as usize];
        let Some(member) = member else {
            bytes.resize(bytes.len() + tar::END_BYTES as usize, 0);
            return Joint { bytes, file: None };
        };
        bytes.extend(member.header);
        match member.content {
            Content::Dir => Joint { bytes, file: None },
            Content::File { index, padding_bytes } => {
                padding = padding_bytes;
                Joint { bytes, file: Some(index) }
            }
        }
    })
}
