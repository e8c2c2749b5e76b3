//! What chance and noise do, in words: how much the same thing differs from itself, and what that is worth.

use super::base_and_others;
use super::ranking::tally;
use crate::chance::{RARE, ranges_apart};
use crate::compare::{FEW_ROUNDS, Noise, Tally, Twins};
use crate::plan::{Subject, Tool};
use crate::stats::Spread;
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
    if noise.floors().all(|(_, floor)| floor.rounds >= FEW_ROUNDS) {
        answers.extend(weakness(noise));
    }
    answers
}

/// How much a machine that seems quiet differs from itself from one minute to the next.
pub(super) fn within_a_round(series: &Series<'_>) -> Option<String> {
    let distances = Twins::distances(series, Metric::RequestsPerSecond);
    let Spread { median, high, .. } = Spread::of(distances)?;
    Some(format!(
        "All the same, a cell that was run twice in one round differed from itself in requests a second by {} in the median and by {} at most: \
         not all that disturbs a run is seen in CPU time.",
        percent(median),
        percent(high)
    ))
}

/// The largest of `n` differences of equals is exceeded by one more of them in one of `n + 1` cases.
fn weakness(noise: &Noise) -> Option<String> {
    let pairs: Vec<usize> = noise.floors().map(|(_, floor)| floor.pairs).collect();
    let (fewest, most) = (*pairs.iter().min()?, *pairs.iter().max()?);
    let of =
        if fewest == most { counted(most, "difference") } else { format!("{fewest} to {most} differences") };
    let cases = if fewest == most {
        format!("1 of {}", fewest + 1)
    } else {
        format!("1 of {} to {}", fewest + 1, most + 1)
    };
    Some(format!(
        "The largest of a tool, at any concurrency, is its floor, and a weak one: it is the largest of {of}, and the difference of one more pair \
         of equals would exceed it in {cases} cases. It is the ranges that lie apart, and how many settings say the same, \
         that carry a ranking."
    ))
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
    let Some((base, others)) = base_and_others(series) else { return Vec::new() };
    let rows = every_row(series, noise, &base, &others);
    let Some(rounds) = rows.iter().map(|row| row.rounds).filter(|rounds| *rounds > 1).min() else {
        return Vec::new();
    };
    let sum = |figure: fn(&Tally) -> usize| rows.iter().map(figure).sum::<usize>();
    let mut answers = vec![format!(
        "With {}, which every comparison has at the least, the ranges of two equal subjects lie apart in {} of all \
         comparisons. Of the {} with `{}` about {:.1} would thus be told apart by chance alone, if the noise floor did not have to be \
         exceeded too; {} ranked.",
        counted(rounds, "round"),
        percent(ranges_apart(rounds)),
        counted(sum(Tally::compared), "comparison"),
        base.name,
        rows.iter().map(|row| row.by_chance).sum::<f64>(),
        were(sum(Tally::ranked))
    )];
    let twins = Twins::of(series);
    if twins.compared > 0 {
        answers.push(format!(
            "Of {} of a cell with itself, {} had ranges that lie apart, where {:.1} were to be expected.",
            counted(twins.compared, "comparison"),
            whole(twins.apart as f64),
            twins.by_chance
        ));
    }
    answers.push(format!(
        "So one ranked figure says little, and a row of them that points one way says much. *Appears* stands where there are \
         no more of them than chance gives in one of a hundred such rows. Each row is judged by itself: of the {} with `{}`, \
         were all subjects equal, {:.1} would do without that word.",
        counted(rows.len(), "row"),
        base.name,
        RARE * rows.len() as f64
    ));
    answers
}

fn were(count: usize) -> String {
    if count == 1 { "1 was".to_owned() } else { format!("{} were", whole(count as f64)) }
}

/// All others against the base: a row for each tool and metric in which anything could be compared.
fn every_row(series: &Series<'_>, noise: &Noise, base: &Subject, others: &[Subject]) -> Vec<Tally> {
    let of_one = |other: &Subject| {
        let of_tool =
            |tool: Tool| Metric::ALL.map(|metric| tally(series, noise, (other, base), (tool, metric)));
        Tool::CLOSED.into_iter().flat_map(of_tool).collect::<Vec<_>>()
    };
    let mut rows: Vec<Tally> = others.iter().flat_map(of_one).collect();
    rows.retain(|row| row.compared() > 0);
    rows
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
        let expected = "With 3 rounds, which every comparison has at the least, the ranges of two equal subjects lie apart in 10 %";
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("of the 3 rows with `ring`"), "{said}");
        assert!(
            said.contains("Of the 3 comparisons with `ring` about 0.3") && said.contains("3 were ranked"),
            "{said}"
        );
        assert!(said.contains("Of 3 comparisons of a cell with itself, 3 had ranges"), "{said}");
        let said = size(&series, &Noise::new(&series)).join("\n");
        assert!(said.contains("each tool and concurrency: `ring` before 5 backends."), "{said}");
        assert!(
            said.contains("the largest of 1 difference, and") && said.contains("in 1 of 2 cases"),
            "{said}"
        );
    }
}
