//! Shows warnings and nothing else.

use super::Receiver;
use crate::{
    cli::output,
    progress::{Event, Progress},
};

/// Prints warnings to standard error.
#[derive(Debug)]
pub(super) struct Silent;

impl Progress for Silent {
    fn event(&self, event: Event) {
        if let Event::Warning { text } = event {
            output::stderr(&format!("warning: {text}\n"));
        }
    }
}

impl Receiver for Silent {
    fn finish(&self) {}
}
