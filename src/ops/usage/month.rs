//! A month of the calendar, in UTC: what is billed together.

use std::{fmt, str::FromStr};

use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::types::Timestamp;

/// The last year that has a next one which time can be told in.
const LAST_YEAR: i16 = 9998;

/// A month in UTC, written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

/// Text that is no month.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a month: {0:?} (expected YYYY-MM)")]
pub struct InvalidMonth(pub String);

impl Month {
    /// The month of a moment. Before the year 1 and after 9998 the nearest one in between.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let date = time.to_zoned(TimeZone::UTC).date();
        Self { year: date.year().clamp(1, LAST_YEAR), month: date.month() }
    }

    /// The one after it; the last one stays what it is.
    #[must_use]
    pub fn next(self) -> Self {
        match self.month {
            12 if self.year == LAST_YEAR => self,
            12 => Self { year: self.year + 1, month: 1 },
            month => Self { month: month + 1, ..self },
        }
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        first_of(self.year, self.month)
    }

    /// The first moment after it.
    #[must_use]
    pub fn end(self) -> Timestamp {
        if self.month == 12 { first_of(self.year + 1, 1) } else { first_of(self.year, self.month + 1) }
    }
}

fn first_of(year: i16, month: i8) -> Timestamp {
    let midnight = civil::date(year, month, 1).at(0, 0, 0, 0);
    TimeZone::UTC.to_timestamp(midnight).expect("years 1 to 9999 are in range")
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let invalid = || InvalidMonth(text.chars().take(20).collect());
        let (year, month) = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2).ok_or_else(invalid)?;
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i16>().ok()).flatten();
        match (number(year), number(month)) {
            (Some(year @ 1..=LAST_YEAR), Some(month @ 1..=12)) => Ok(Self { year, month: i8::try_from(month).map_err(|_| invalid())? }),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Month {
    type Error = InvalidMonth;

    fn try_from(text: String) -> Result<Self, InvalidMonth> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_begins_where_the_one_before_ends() {
        assert_eq!(month("2026-11").start().to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(month("2026-12").end().to_string(), "2027-01-01T00:00:00Z");
        let mut at = month("2023-12");
        for _ in 0..30 {
            assert_eq!(at.end(), at.next().start());
            assert_eq!((Month::of(at.start()), Month::of(at.end())), (at, at.next()));
            at = at.next();
        }
        assert_eq!(at, month("2026-06"));
    }

    #[test]
    fn no_clock_is_too_wrong_to_have_a_month_that_can_be_read_again() {
        for time in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            let month = Month::of(time);
            assert_eq!(month.to_string().parse(), Ok(month));
            assert!(month.start() < month.end() && month.next() >= month);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "2026", "2026-13", "2026-00", "0000-01", "9999-01", "26-11", "2026-1", "2026-11-01", "+026-11", "２０２６-11"]
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
