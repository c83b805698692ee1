//! One source, and what it did in this run.

use std::{sync::Mutex, time::Duration};

use tokio::sync::OnceCell;

use super::{Report, forms};
use crate::store::{self, DynReadStore, ErrorKind};

/// Wrong bodies after which a source is dropped for the run.
pub(super) const STRIKES_TO_DROP: u64 = 3;

/// How a source stores chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As zstd frames.
    Framed,
    /// As they are.
    Raw,
}

/// A store with what came from it.
#[derive(Debug)]
pub(super) struct Source {
    store: DynReadStore,
    form: Mutex<Form>,
    /// Set once the source was asked again what it holds.
    is_form_sure: OnceCell<()>,
    report: Mutex<Report>,
}

impl Source {
    pub(super) fn new(store: DynReadStore, form: Form) -> Self {
        let report = Mutex::new(Report { source: store.name().to_owned(), ..Report::default() });
        Self { store, form: Mutex::new(form), is_form_sure: OnceCell::new(), report }
    }

    pub(super) fn name(&self) -> &str {
        self.store.name()
    }

    pub(super) fn form(&self) -> Form {
        *self.form.lock().expect("no holder of this lock panics")
    }

    /// Whether it was asked for a chunk in this form although it holds another: what it said may not have arrived in time. It is asked once.
    pub(super) async fn holds_another_form(&self, asked: Form) -> bool {
        let ask_again = async || {
            if let Ok(Some(form)) = tokio::time::timeout(forms::PATIENCE, forms::told(&self.store)).await {
                *self.form.lock().expect("no holder of this lock panics") = form;
            }
        };
        self.is_form_sure.get_or_init(ask_again).await;
        self.form() != asked
    }

    pub(super) fn store(&self) -> &DynReadStore {
        &self.store
    }

    /// For how long its "absent" may be an old answer.
    pub(super) fn remembers_absence(&self) -> Duration {
        self.store.remembers_absence()
    }

    pub(super) fn report(&self) -> Report {
        self.with_report(|report| report.clone())
    }

    pub(super) fn count_delivery(&self, bytes: u64) {
        self.with_report(|report| {
            report.objects += 1;
            report.bytes += bytes;
        });
    }

    pub(super) fn count_failure(&self, error: &store::Error) {
        self.with_report(|report| {
            report.errors += 1;
            report.failures.count(error.kind);
            report.last_error = Some(error.one_line());
        });
    }

    /// Counts that another source delivered what this one was asked for long before, or that it never answered.
    pub(super) fn count_stall(&self, reason: &str) {
        self.with_report(|report| {
            report.errors += 1;
            report.failures.count(ErrorKind::TooSlow);
            report.last_error = Some(reason.to_owned());
        });
    }

    /// Counts a wrong body and says how many there were.
    pub(super) fn strike(&self, reason: &str) -> u64 {
        self.with_report(|report| {
            report.strikes += 1;
            report.last_error = Some(reason.to_owned());
            report.strikes
        })
    }

    fn with_report<T>(&self, work: impl FnOnce(&mut Report) -> T) -> T {
        work(&mut self.report.lock().expect("no holder of this lock panics"))
    }
}
