//! What a tick found that somebody should look at, in words.

use crate::ops::usage::plan::Remark;

/// One line, with what to do about it.
pub(super) fn text(remark: &Remark) -> String {
    match remark {
        Remark::NoData { store } => format!(
            "{store}: CloudWatch has no datapoint of it, which is not the same as 0 bytes: either nothing was ever downloaded, or its name is wrong \
             or not of this account; hint: check distribution, or bucket, region and filter_id, in usage.sources, and that a bucket has request metrics"
        ),
        Remark::Silent { store, until } => format!(
            "{store}: CloudWatch has no datapoint since {until}; what was downloaded since then is counted when it has; \
             hint: if there were downloads, look whether the distribution or the bucket's request metrics are still there"
        ),
        Remark::Partial { store } => {
            format!(
                "{store}: CloudWatch gave a part of what it knows; totals stay what they were where that is more, and the next tick asks again"
            )
        }
        Remark::GivenUp { store, month } => {
            format!("{store}: CloudWatch knows {month} no longer, so its total may be too small; hint: run qsync usage tick every hour")
        }
        Remark::OutboxFull => "1000 events wait to be told, and further terabytes get theirs when there is room; none is lost; \
                               hint: mend the webhook or topic, or take it out of [usage]"
            .to_owned(),
        Remark::OtherSize { store, tb_bytes } => {
            format!("{store}: a terabyte stays {tb_bytes} bytes until the end of the month, and is what tb_bytes says from then on")
        }
    }
}
