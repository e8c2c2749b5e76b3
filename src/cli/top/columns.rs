//! The columns of `ringway top`, and which of them a terminal has room for.

use crate::control::admin::duration;

use super::view::Measured;

/// A column beside the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    State,
    Rate,
    Share,
    InFlight,
    P50,
    P90,
    P99,
    P99_9,
    P99_99,
    Max,
    Mean,
    Added,
    Picks,
}

/// What a line has to show.
pub(super) struct Facts<'a> {
    pub(super) state: String,
    pub(super) in_flight: usize,
    pub(super) picks: u64,
    /// The part of its upstream's exchanges.
    pub(super) share: Option<f64>,
    pub(super) total: Option<Measured<'a>>,
    pub(super) added: Option<Measured<'a>>,
}

/// From left to right.
const ORDER: [Column; 13] = [
    Column::State,
    Column::Rate,
    Column::Share,
    Column::InFlight,
    Column::Mean,
    Column::P50,
    Column::P90,
    Column::P99,
    Column::P99_9,
    Column::P99_99,
    Column::Max,
    Column::Added,
    Column::Picks,
];

/// The most important ones first.
const PRIORITY: [Column; 13] = [
    Column::Rate,
    Column::P99,
    Column::State,
    Column::P50,
    Column::Max,
    Column::InFlight,
    Column::Added,
    Column::P90,
    Column::Share,
    Column::P99_9,
    Column::Mean,
    Column::P99_99,
    Column::Picks,
];

/// Names are shorter than that on a narrow terminal only.
const USUAL_NAME: u16 = 18;

impl Column {
    /// Those that fit into `width` beside names of `longest` letters, from left to right: names have to be readable, the rest
    /// comes after its importance.
    pub(super) fn fitting(width: u16, longest: u16) -> Vec<Self> {
        // Up to half of it: the widest names are cut on a terminal where they would leave no room for figures.
        let name = longest.min((width / 2).max(USUAL_NAME));
        let mut left = width.saturating_sub(name);
        let mut chosen = Vec::new();
        for column in PRIORITY {
            if let Some(rest) = left.checked_sub(column.width() + 1) {
                left = rest;
                chosen.push(column);
            }
        }
        ORDER.into_iter().filter(|column| chosen.contains(column)).collect()
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Rate => "req/s",
            Self::Share => "share",
            Self::InFlight => "in flight",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P99_9 => "p99.9",
            Self::P99_99 => "p99.99",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Added => "added",
            Self::Picks => "picks",
        }
    }

    /// In letters, without the one between columns.
    pub(super) fn width(self) -> u16 {
        match self {
            Self::State => 12,
            Self::Share => 5,
            Self::InFlight | Self::Picks => 9,
            _ => 7,
        }
    }

    /// What stands in it.
    pub(super) fn show(self, facts: &Facts<'_>) -> String {
        let none = || "-".to_owned();
        let of = |measured: Option<Measured<'_>>, us: fn(Measured<'_>) -> f64| {
            let measured = measured.filter(|measured| measured.row.count > 0);
            measured.map_or_else(none, |measured| duration(us(measured)))
        };
        match self {
            Self::State => facts.state.clone(),
            Self::Rate => facts.total.and_then(Measured::rate).map_or_else(none, rate),
            Self::Share => facts.share.map_or_else(none, |share| format!("{:.0} %", share * 100.0)),
            Self::InFlight => facts.in_flight.to_string(),
            Self::P50 => of(facts.total, |it| it.row.p50 as f64),
            Self::P90 => of(facts.total, |it| it.row.p90 as f64),
            Self::P99 => of(facts.total, |it| it.row.p99 as f64),
            Self::P99_9 => of(facts.total, |it| it.row.p99_9 as f64),
            Self::P99_99 => of(facts.total, |it| it.row.p99_99 as f64),
            Self::Max => of(facts.total, |it| it.row.max as f64),
            Self::Mean => of(facts.total, |it| it.row.mean),
            Self::Added => of(facts.added, |it| it.row.p50 as f64),
            Self::Picks => facts.picks.to_string(),
        }
    }
}

/// Exchanges a second, in at most seven letters.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if rate > 0.0 && rate < 9.95 => format!("{rate:.1}"),
        rate if rate < 999_999.5 => format!("{rate:.0}"),
        rate => format!("{:.2} M", rate / 1e6),
    }
}

/// A name in so many letters. Addresses differ at their end, so it is the beginning that goes.
pub(super) fn shortened(name: &str, width: usize) -> String {
    let length = name.chars().count();
    match (length > width, width) {
        (false, _) => name.to_owned(),
        (true, 0) => String::new(),
        (true, _) => format!("…{}", name.chars().skip(length + 1 - width).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(width: u16, longest: u16) -> Vec<&'static str> {
        Column::fitting(width, longest).into_iter().map(Column::title).collect()
    }

    #[test]
    fn the_narrower_the_fewer_and_the_least_important_go_first() {
        assert_eq!(titles(30, 16), ["req/s", "share"]);
        assert_eq!(titles(40, 16), ["req/s", "p50", "p99"]);
        assert_eq!(titles(80, 16), ["state", "req/s", "in flight", "p50", "p99", "max", "added"]);
        assert_eq!(titles(110, 16).len(), 11);
        assert_eq!(titles(160, 16).len(), ORDER.len());
        assert!(titles(5, 16).is_empty());
    }

    #[test]
    fn long_names_leave_half_of_the_room_to_figures() {
        assert_eq!(titles(80, 60), ["state", "req/s", "p50", "p99"]);
    }

    #[test]
    fn every_column_has_its_place_and_its_importance() {
        assert!(ORDER.iter().all(|column| PRIORITY.contains(column)));
    }

    #[test]
    fn names_lose_their_beginning_and_rates_have_seven_letters() {
        assert_eq!(shortened("127.0.0.1:9000", 14), "127.0.0.1:9000");
        assert_eq!(shortened("127.0.0.1:9000", 8), "….1:9000");
        assert_eq!(shortened("127.0.0.1:9000", 0), "");
        let rates = [0.0, 0.5, 12.3, 123_456.0, 1_234_567.0].map(rate);
        assert_eq!(rates, ["0", "0.5", "12", "123456", "1.23 M"]);
    }
}
