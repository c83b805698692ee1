//! Questions to the user. Never asked, and never waited for, unless somebody is there to answer.

use std::{
    io::{self, BufRead},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{code::Code, exit::Failure, output};

/// Whether a question waits for its answer: nothing is being done meanwhile, so a signal may end the program at once.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Whether a question waits for its answer.
pub(crate) fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed)
}

/// Goes on only when the user agrees: by `--yes`, or by answering on the terminal.
///
/// # Errors
/// When the answer is no, or when there is nobody to ask and no `--yes`.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !output::can_ask() {
        let message = format!("not confirmed, and there is no terminal to ask on: {question}");
        return Err(Failure::new(Code::NotConfirmed, message).hint("add --yes to confirm it"));
    }
    output::stderr(&format!("{question} [y/N] "));
    let mut answer = String::new();
    WAITING.store(true, Ordering::Relaxed);
    let read = io::stdin().lock().read_line(&mut answer);
    WAITING.store(false, Ordering::Relaxed);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" if read.is_ok() => Ok(()),
        _ => Err(Failure::new(Code::NotConfirmed, "not confirmed")),
    }
}

/// Asks only where somebody can answer; elsewhere the flag that was given counts as the answer.
///
/// # Errors
/// When the answer is no.
pub(crate) fn confirm_if_asked(question: &str, yes: bool) -> Result<(), Failure> {
    confirm(question, yes || !output::can_ask())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_needs_no_terminal() {
        assert_eq!(confirm("delete it?", true), Ok(()));
    }
}
