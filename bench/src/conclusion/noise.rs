//! What chance and noise do, in words: how much the same thing differs from itself, and what that is worth.

use crate::chance::ranges_apart;
use crate::compare::{FEW_ROUNDS, Noise, Tally, twins_apart, verdict};
use crate::plan::{Kind, Setting, Subject};
use crate::summary::{Metric, Series};
use crate::words::{counted, list, percent, whole};

/// The A/A pairs: which they are, and by how much they differ.
pub(super) fn size(series: &Series<'_>, noise: &Noise) -> Vec<String> {
    let mut answers: Vec<String> = twins(series).into_iter().collect();
    for metric in Metric::ALL {
        let floors: Vec<String> = noise
            .floors()
            .filter(|((_, _, of), _)| *of == metric)
            .map(|((tool, concurrency, _), floor)| {
                format!(
                    "`{}` at {concurrency}: {} ({})",
                    tool.title(),
                    percent(floor.measured),
                    percent(floor.of_one_round)
                )
            })
            .collect();
        if !floors.is_empty() {
            answers.push(format!(
                "The medians of the same cell measured twice differed in {} by up to (in brackets, within one round): {}.",
                metric.title(),
                floors.join(", ")
            ));
        }
    }
    if noise.floors().any(|(_, floor)| floor.rounds < FEW_ROUNDS) {
        let few = format!(
            "With fewer than {FEW_ROUNDS} rounds, the largest difference within a round at any concurrency counts for all, and nothing \
             below 5 % is ranked."
        );
        answers.push(few);
    }
    answers
}

/// Which cells were run twice a round.
fn twins(series: &Series<'_>) -> Option<String> {
    let mut twins: Vec<String> = series
        .cells()
        .filter(|cell| cell.is_twin)
        .map(|cell| format!("`{}` before {}", cell.subject.name, cell.setting.backends()))
        .collect();
    twins.sort();
    twins.dedup();
    let all = "so that this is not the noise of one of them; the largest difference of all of them counts";
    let why = if twins.len() > 1 { format!(", {all}") } else { String::new() };
    (!twins.is_empty())
        .then(|| format!("Run twice a round with each tool and concurrency: {}{why}.", list(&twins)))
}

/// How many rankings equal subjects would get, and how many there are.
pub(super) fn chance(series: &Series<'_>, noise: &Noise) -> Vec<String> {
    let rounds = series.rounds();
    let runtimes = super::of_kind(series, Kind::Runtime);
    let Some(base) = super::base(&runtimes) else { return Vec::new() };
    let tally = all(series, noise, base);
    if rounds < 2 || tally.compared() == 0 {
        return Vec::new();
    }
    let share = ranges_apart(rounds);
    let expected = share * tally.compared() as f64;
    let (found, of) = twins_apart(series);
    let mut answers = vec![format!(
        "With {}, the ranges of two equal subjects lie apart in {} of all comparisons. Of the {} with `{}` about {expected:.1} \
         would thus be told apart by chance alone, if the noise floor did not have to be \
         exceeded too; {} ranked.",
        counted(rounds, "round"),
        percent(share),
        counted(tally.compared(), "comparison"),
        base.name,
        were(tally.ranked())
    )];
    if of > 0 {
        answers.push(format!(
            "Of {} of a cell with itself, {} had ranges that lie apart, where {:.1} were to be expected.",
            counted(of, "comparison"),
            whole(found as f64),
            share * of as f64
        ));
    }
    answers.push(
        "So one ranked figure says little, and a row of them that points one way says much. *Appears* stands where there are \
         no more of them than chance gives in one of a hundred such rows."
            .to_owned(),
    );
    answers
}

fn were(count: usize) -> String {
    if count == 1 { "1 was".to_owned() } else { format!("{} were", whole(count as f64)) }
}

/// Everybody against the base in everything.
fn all(series: &Series<'_>, noise: &Noise, base: &Subject) -> Tally {
    let runtimes = super::of_kind(series, Kind::Runtime);
    let peers = super::of_kind(series, Kind::Peer);
    let others: Vec<&Subject> = runtimes.iter().chain(&peers).filter(|subject| *subject != base).collect();
    let settings: Vec<Setting> =
        series.settings().into_iter().filter(|setting| !setting.tool.is_open()).collect();
    let of_one = |other: &Subject| {
        let of_setting = |setting: &Setting| {
            Metric::ALL.map(|metric| verdict(series, noise, (other, base), *setting, metric))
        };
        settings.iter().flat_map(of_setting).collect::<Vec<_>>()
    };
    Tally::of(others.into_iter().flat_map(of_one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::testing::{row, twin};

    #[test]
    fn what_chance_gives_is_told_beside_what_was_found() {
        let of_round =
            |round| [row(round, "ring", 100.0), twin(round, "ring", 101.0), row(round, "threads", 80.0)];
        let rows: Vec<Row> = (1..=3).flat_map(of_round).collect();
        let series = Series::new(&rows);
        let said = chance(&series, &Noise::new(&series)).join("\n");
        assert!(said.contains("With 3 rounds, the ranges of two equal subjects lie apart in 10 %"), "{said}");
        assert!(
            said.contains("Of the 3 comparisons with `ring` about 0.3") && said.contains("3 were ranked"),
            "{said}"
        );
        assert!(said.contains("Of 3 comparisons of a cell with itself, 3 had ranges"), "{said}");
        let said = size(&series, &Noise::new(&series)).join("\n");
        assert!(said.contains("each tool and concurrency: `ring` before 5 backends."), "{said}");
    }
}
