//! What an audit says of logs that are whole, live, rotated, damaged, and of proxies that break their promise.

use super::*;
use crate::runtime::sim::Random;

/// The start of the process whose picks [`turns`] writes, in microseconds after 1970: 2026-11-23T21:53:20Z.
const START: u64 = 1_795_470_800_000_000;

type Weights = [(&'static str, u32)];

fn text(cycle: u64, number: u64, backend: &str) -> String {
    format!(
        "2026-11-23T21:53:51.476Z 127.0.0.1:5 \"GET /\\\" upstream=x pick=9\" host=h backend={backend} status=200 \
         bytes=1 time=0.663ms upstream=u pick={number} cycle={cycle}"
    )
}

/// Picks of one cycle, a letter each, numbered from `first` on.
fn turns_from(cycle: u64, first: u64, order: &str) -> Vec<String> {
    let backends = order.chars().map(|backend| backend.to_string());
    (first..).zip(backends).map(|(number, backend)| text(cycle, number, &backend)).collect()
}

fn turns(cycle: u64, order: &str) -> Vec<String> {
    turns_from(cycle, 0, order)
}

/// A line whose exchange was over 10 seconds, say, after the minute in which [`START`] is.
fn at(second: u64, line: String) -> String {
    line.replace("21:53:51.476", &format!("21:53:{second}.000"))
}

fn without(mut lines: Vec<String>, missing: &[usize]) -> Vec<String> {
    let mut nth = 0..;
    lines.retain(|_| nth.next().is_some_and(|nth| !missing.contains(&nth)));
    lines
}

fn surveyed(lines: &[String]) -> Survey {
    let mut survey = Survey::default();
    lines.iter().for_each(|line| survey.take(line));
    assert_eq!(survey.strange(), 0);
    survey
}

fn verdicts_of(lines: &[String], weights: &Weights, has_stopped: bool) -> Vec<Verdict> {
    let configured = |_: &str| weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    let mut audit = surveyed(lines).finish(configured);
    lines.iter().for_each(|line| audit.take(line));
    audit.verdicts(has_stopped)
}

fn verdict_of(lines: &[String], weights: &Weights, has_stopped: bool) -> Verdict {
    let mut verdicts = verdicts_of(lines, weights, has_stopped);
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

/// What is found of a proxy that has stopped.
fn findings(lines: &[String], weights: &Weights) -> Vec<String> {
    let verdict = verdict_of(lines, weights, true);
    assert_eq!((verdict.untold, verdict.open.len()), (0, 0), "{verdict:?}");
    verdict.findings
}

#[test]
fn turns_in_order_keep_the_promise_whatever_the_order_of_the_lines() {
    let mut lines = turns(START, "abcabcabca");
    lines.reverse();
    lines.extend(turns_from(START + 1, 10, "acacac"));
    assert_eq!(findings(&lines, &[]), [""; 0]);
    let verdict = verdict_of(&lines, &[], false);
    assert_eq!((verdict.cycles, verdict.untold, verdict.findings.len()), (2, 0, 0));
    assert_eq!(verdict.counts, [("a", 7), ("b", 3), ("c", 6)].map(|(name, count)| (name.to_owned(), count)));
}

#[test]
fn gaps_and_doubles_are_found() {
    let lines = turns(3, "abcabcabc");
    assert_eq!(findings(&without(lines.clone(), &[4]), &[]), ["cycle 3 lacks pick 4"]);
    assert_eq!(findings(&without(lines.clone(), &[4, 5]), &[]), ["cycle 3 lacks picks 4 to 5"]);
    let doubled = [lines.clone(), vec![text(3, 4, "b")]].concat();
    assert_eq!(findings(&doubled, &[]), ["pick 4 of cycle 3 was made twice"]);
    let overlapping = [lines, turns_from(4, 8, "abc")].concat();
    let said = ["cycle 4 begins with pick 8, though cycle 3 before it had come to pick 8"];
    assert_eq!(findings(&overlapping, &[]), said);
}

#[test]
fn a_pick_that_may_still_run_is_not_told_yet() {
    let lines = without(turns(START, "abcabcabcabc"), &[4, 5, 9]);
    let live = verdict_of(&lines, &[], false);
    assert_eq!((live.findings.len(), live.untold), (0, 3));
    assert_eq!(live.open, [format!("cycle {START}: picks 4 to 5"), format!("cycle {START}: pick 9")]);
    assert_eq!(findings(&lines, &[]).len(), 2, "of a proxy that has stopped they are lost");
    let rest = turns(START, "abcabcabcabc");
    let rotated = [lines, [4, 5, 9].map(|nth| rest[nth].clone()).to_vec()].concat();
    assert_eq!(verdict_of(&rotated, &[], false).untold, 0, "the later log fills the holes");
}

#[test]
fn what_a_process_has_not_told_when_the_next_one_runs_is_lost() {
    let earlier = without(turns(START, "abcabc"), &[2]);
    let later = turns(START + 60_000_000, "abcabc");
    let verdict = verdict_of(&[earlier, without(later.clone(), &[1])].concat(), &[], false);
    assert_eq!(verdict.findings, [format!("cycle {START} lacks pick 2")]);
    assert_eq!(verdict.open, [format!("cycle {}: pick 1", START + 60_000_000)]);
    let begins_late = [turns(START, "abc"), without(later, &[0])].concat();
    assert_eq!(findings(&begins_late, &[]), [format!("cycle {} lacks pick 0", START + 60_000_000)]);
}

#[test]
fn an_upstream_with_many_cycles_ends_no_process_of_another_one() {
    // A backend that is dead for days begins two cycles each time that it is tried.
    let many = START + 3_000_000;
    let at_once = |cycle: u64, number: u64| text(cycle, number, "z").replace("upstream=u", "upstream=dying");
    let dying = (0..).zip((START..=many).step_by(50_000)).map(|(number, cycle)| at_once(cycle, number));
    let lines = [without(turns(START, "abab"), &[2]), dying.collect()].concat();
    let open_and_lost = |lines: &[String]| {
        let verdict = verdicts_of(lines, &[], false).pop().unwrap();
        assert_eq!(verdict.upstream, "u");
        (verdict.open, verdict.findings)
    };
    let [running, lost] =
        ["cycle N: pick 2", "cycle N lacks pick 2"].map(|said| said.replace('N', &START.to_string()));
    assert_eq!(open_and_lost(&lines), (vec![running.clone()], vec![]));
    let next = |start: u64| [lines.clone(), vec![at_once(start, 0)]].concat();
    assert_eq!(
        open_and_lost(&next(START + 31_476_001)).0,
        [running],
        "within the millisecond of the last line"
    );
    assert_eq!(open_and_lost(&next(START + 31_477_001)), (vec![], vec![lost]));
}

#[test]
fn a_line_that_is_lost_at_the_end_of_a_cycle_is_missed() {
    let cycles = |first: &str| [turns(START, first), turns_from(START + 1, 7, "bcbc")].concat();
    assert_eq!(findings(&cycles("abcabca"), &[]), [""; 0]);
    assert_eq!(findings(&cycles("abcab"), &[]), [format!("cycle {START} lacks picks 5 to 6")]);
}

#[test]
fn turns_around_a_gap_are_checked() {
    let mut lines = without(turns(START, "abcabcabcabc"), &[4]);
    assert_eq!(findings(&lines, &[]).len(), 1);
    lines[7] = text(START, 8, "b");
    assert_eq!(
        findings(&lines, &[]),
        [
            format!("cycle {START} lacks pick 4"),
            format!("cycle {START}: pick 8 went to b, though pick 2, 6 before it, went to c")
        ]
    );
}

#[test]
fn a_backend_whose_lines_are_all_missing_breaks_nothing() {
    // What a log looks like while one backend hangs.
    let lines = without(turns(START, "abcabcabcabc"), &[2, 5, 8, 11]);
    let verdict = verdict_of(&lines, &[], false);
    assert_eq!((verdict.findings, verdict.untold), (Vec::new(), 3));
    let weights = [("a", 1), ("b", 1), ("c", 1)];
    assert_eq!(verdict_of(&lines, &weights, false).findings, [""; 0]);
    let heavy = without(turns(START, "abacabacabac"), &[3, 7, 11]);
    assert_eq!(verdict_of(&heavy, &[("a", 2), ("b", 1), ("c", 1)], false).findings, [""; 0]);
}

#[test]
fn a_backend_that_is_left_out_for_no_reason_is_found() {
    let weights = [("a", 1), ("b", 1), ("c", 1)];
    let starved = turns(START, "ababab");
    assert_eq!(findings(&starved, &[]), [""; 0], "without a configuration nobody knows of it");
    assert_eq!(findings(&starved, &weights), [format!("cycle {START}: c was never picked")]);
    let verdict = verdict_of(&starved, &weights, true);
    assert!(verdict.counts.contains(&("c".to_owned(), 0)));
    assert_eq!(findings(&turns(START, "ab"), &weights), [""; 0], "its turn has not come");
    let later = [turns(START, "abca"), turns_from(START + 1, 4, "abab")].concat();
    let said = format!("cycle {}: c was never picked, and no line tells that it had failed", START + 1);
    assert_eq!(findings(&later, &weights), [said]);
}

#[test]
fn why_a_backend_was_left_out_may_be_told_by_a_line_that_is_missing() {
    let weights = [("a", 1), ("b", 1), ("c", 1)];
    let cycles = [turns(START, "abca"), turns_from(START + 1, 4, "abab")].concat();
    let verdict = verdict_of(&without(cycles.clone(), &[2]), &weights, false);
    assert_eq!(verdict.findings, [""; 0]);
    let said = format!("cycle {}: c was never picked; a line that is missing may tell why", START + 1);
    assert_eq!((verdict.untold, &verdict.open[1]), (1, &said));
    let begins_late = verdict_of(&cycles[4..], &weights, true);
    assert_eq!((begins_late.findings, begins_late.open), (Vec::new(), vec![said]));
}

/// Picks of a real upstream whose backends fail now and then, as lines; and how many of them are missing, as when they
/// run still: any one, and all of one backend.
fn random_lines(random: &Random, weights: &Weights) -> (Vec<String>, u64) {
    let backends = (0..).zip(weights).map(|(port, (_, weight))| crate::config::BackendConfig {
        address: std::net::SocketAddr::from(([127, 0, 0, 1], port)),
        weight: *weight,
    });
    let config = crate::config::UpstreamConfig {
        name: "u".to_owned(),
        policy: &crate::balance::POLICIES[0],
        fail_for: std::time::Duration::from_millis(30),
        backend_idle: std::time::Duration::from_secs(1),
        backends: backends.collect(),
    };
    let upstream = crate::upstream::Upstream::new(&config, START);
    let (mut now, hangs) = (std::time::Instant::now(), random.below(2 * weights.len()));
    let (mut lines, mut missing) = (Vec::new(), 0);
    for nth in 0..300 {
        let pick = upstream.pick(now);
        now += std::time::Duration::from_millis(1);
        let name = weights[pick.backend.0].0;
        let has_failed = random.chance(15);
        if has_failed {
            upstream.eject(pick.backend, now);
        }
        let line = text(pick.cycle, pick.number, if has_failed { "-" } else { name });
        // The first one and the last one are told, or nobody could know of what is missing before and behind them.
        if (1..299).contains(&nth) && (random.chance(30) || (nth > 150 && pick.backend.0 == hangs)) {
            missing += 1;
        } else if has_failed {
            lines.push(line.replace("bytes", "attempts=2 bytes") + " picked=" + name);
        } else {
            lines.push(line);
        }
    }
    lines.sort_by_cached_key(|_| random.draw());
    (lines, missing)
}

#[test]
fn a_proxy_that_keeps_the_promise_is_never_found_to_break_it() {
    for seed in 0..200 {
        let random = Random::new(seed);
        let equal = [("a", 1), ("b", 1), ("c", 1), ("d", 1)];
        let weighted = [("a", 5), ("b", 3), ("c", 2), ("d", 2)];
        for (weights, configured) in [(&equal, &[][..]), (&equal, &equal), (&weighted, &weighted)] {
            let (lines, missing) = random_lines(&random, weights);
            let verdict = verdict_of(&lines, configured, false);
            assert_eq!((verdict.findings, verdict.untold), (Vec::new(), missing), "seed {seed}");
        }
    }
}

#[test]
fn a_backend_that_has_failed_may_be_left_out() {
    let weights = [("a", 1), ("b", 1), ("c", 1)];
    let failed = text(START, 2, "a").replace("status", "attempts=2 status") + " picked=c";
    let refused = text(START, 2, "c") + " end=backend.connect.refused";
    for line in [failed, refused] {
        let lines = [turns(START, "ab"), vec![line], turns_from(START + 1, 3, "abab")].concat();
        let verdict = verdict_of(&lines, &weights, true);
        assert_eq!(verdict.findings, [""; 0]);
        assert_eq!(verdict.notes, ["c was left out of 1 cycle, as backends that have failed are"]);
    }
}

#[test]
fn shares_that_are_not_equal_are_found() {
    assert_eq!(
        findings(&turns(0, "abcabac"), &[]),
        [
            "cycle 0: pick 5 went to a, though pick 2, 3 before it, went to c",
            "cycle 0: pick 6 went to c, though pick 0, 6 before it, went to a"
        ]
    );
    assert_eq!(findings(&turns(0, "aab"), &[]).len(), 2);
    let twice_a = [("a", 2), ("b", 1)];
    assert_eq!(findings(&turns(0, "abaabaaba"), &twice_a), [""; 0]);
    assert!(!findings(&turns(0, "ababab"), &twice_a).is_empty());
    let unweighted = verdict_of(&turns(0, "abaaba"), &[], true);
    assert!(unweighted.assumes_equal && !unweighted.findings.is_empty(), "{unweighted:?}");
    let stranger = verdict_of(&turns(0, "abaxabax"), &twice_a, true);
    assert_eq!(stranger.notes, ["x is not in the configuration: its weight is taken to be 1"]);
}

#[test]
fn weights_that_nobody_tells_are_found_if_they_explain_every_pick() {
    let owned = |weights: &Weights| -> Vec<_> {
        weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
    };
    let fitting = |lines: &[String], weights: &Weights| {
        let verdict = verdict_of(lines, &[], true);
        assert!(verdict.assumes_equal && !verdict.findings.is_empty(), "{verdict:?}");
        assert_eq!(verdict.fitting, owned(weights), "{:?}", verdict.findings);
    };
    let whole = turns(START, &"abac".repeat(700));
    fitting(&whole, &[("a", 2), ("b", 1), ("c", 1)]);
    let mut failing = whole.clone();
    failing[2_799] += " end=backend.connect.refused";
    failing.extend(turns_from(START + 1, 2_800, "abaaba"));
    fitting(&failing, &[("a", 2), ("b", 1), ("c", 1)]);
    let mut broken = whole.clone();
    broken[1_000] = text(START, 1_000, "b");
    fitting(&broken, &[]);
    fitting(&without(whole.clone(), &[7]), &[]);
    fitting(&turns(START, &"aabbabacab".repeat(3)), &[("a", 5), ("b", 4), ("c", 1)]);
    fitting(&turns(START, "abcabcaabbcabccabcabcb"), &[]);
    let live = verdict_of(&without(whole, &[7]), &[], false);
    assert_eq!((live.open.len(), live.fitting.len()), (1, 3), "a pick that is still running says nothing");
    let equal = verdict_of(&turns(START, &"abc".repeat(5)), &[], true);
    assert_eq!((equal.assumes_equal, equal.fitting), (false, Vec::new()));
}

#[test]
fn an_earlier_process_may_have_had_another_configuration() {
    let later = START + 60_000_000;
    let twice_a = [("a", 2), ("b", 1)];
    let lines = [turns(START, "ababab"), turns(later, "abaaba")].concat();
    let verdict = verdict_of(&lines, &twice_a, true);
    assert_eq!(verdict.findings, [""; 0]);
    let said = format!(
        "cycles {START} to {START}, of an earlier process, are not as this configuration has it; theirs may have been \
         another one: cycle {START}: pick 3 went to b, though pick 0, 3 before it, went to a (the first of 3)"
    );
    assert_eq!(verdict.open, [said]);
    let lacking = verdict_of(&without(lines, &[1]), &twice_a, true);
    assert_eq!(lacking.findings, [format!("cycle {START} lacks pick 1")], "no configuration explains that");
    let last = [turns(START, "abaaba"), turns(later, "ababab")].concat();
    assert_eq!(verdict_of(&last, &twice_a, true).findings.len(), 3, "the last process is held to it");
    let added =
        verdict_of(&[turns(START, "aaaa"), turns(later, "abab")].concat(), &[("a", 1), ("b", 1)], true);
    assert_eq!((added.findings.len(), added.open.len()), (0, 1), "b was added in between");
}

#[test]
fn no_prefix_of_a_weighted_cycle_is_taken_for_a_fault() {
    let policy = &crate::balance::POLICIES[0];
    let weights = [("a", 5), ("b", 3), ("c", 2), ("d", 1)];
    let eligible: Vec<_> = weights
        .iter()
        .enumerate()
        .map(|(id, (_, weight))| (crate::balance::BackendId(id), *weight))
        .collect();
    let order: String = (policy.cycle)(&eligible).iter().map(|id| weights[id.0].0).collect();
    let order = order.repeat(2);
    for length in 1..=order.len() {
        assert_eq!(findings(&turns(START, &order[..length]), &weights), [""; 0], "{order} {length}");
    }
}

#[test]
fn a_log_may_begin_in_the_middle_of_a_cycle() {
    let mut lines = turns(7, "abab").split_off(2);
    lines.extend(turns_from(8, 4, "bb"));
    let verdict = verdict_of(&lines, &[], true);
    assert_eq!((verdict.findings.len(), verdict.untold), (0, 0));
    assert_eq!(verdict.notes, ["the log begins with pick 2 of cycle 7"]);
}

#[test]
fn what_a_rotated_log_does_not_tell_may_be_told_in_the_one_before() {
    let mut lines = without(turns_from(START, 90, "ababababab"), &[2, 7]);
    lines = lines.into_iter().map(|line| at(30, line)).collect();
    let early = verdict_of(&lines, &[], true);
    assert_eq!((early.findings.len(), early.untold), (0, 2), "the log had only just begun");
    lines[4] = at(32, text(START, 95, "b"));
    let later = verdict_of(&lines, &[], true);
    assert_eq!((later.findings, later.untold), (vec![format!("cycle {START} lacks pick 97")], 1));
}

#[test]
fn the_picks_of_a_process_that_was_started_anew_do_not_settle_those_of_the_one_before() {
    let earlier = without(turns_from(START, 90, "abab"), &[2]).into_iter().map(|line| at(30, line));
    let later = turns(START + 35_000_000, "abab").into_iter().map(|line| at(59, line));
    let verdict = verdict_of(&earlier.chain(later).collect::<Vec<_>>(), &[], false);
    assert_eq!((verdict.findings.len(), verdict.untold), (0, 1), "{verdict:?}");
    assert_eq!(verdict.open, [format!("cycle {START}: pick 92")]);
}

#[test]
fn a_log_whose_clock_was_set_back_after_the_start_may_begin_in_the_middle() {
    let start = START + 3_600_000_000;
    let verdict = verdict_of(&turns_from(start, 4, "abab"), &[], true);
    assert_eq!((verdict.findings.len(), verdict.notes.len()), (0, 1), "{verdict:?}");
    let begins = at(30, text(START, 0, "z").replace("upstream=u", "upstream=t"));
    let within = START + 15_000_000;
    let verdicts = verdicts_of(&[vec![begins], turns_from(within, 1, "bab")].concat(), &[], true);
    assert_eq!(
        verdicts[1].findings,
        [format!("cycle {within} lacks pick 0")],
        "a start within the log is told whole"
    );
}

#[test]
fn a_failover_counts_for_the_backend_that_was_picked() {
    let line = |number: u64, picked: &str| {
        format!(
            "{{\"status\":200,\"backend\":\"z\",\"picked\":\"{picked}\",\"upstream\":\"u\",\"pick\":{number},\"cycle\":0}}"
        )
    };
    assert_eq!(findings(&[line(0, "a"), line(1, "b"), line(2, "a")], &[]), [""; 0]);
    let mut survey = Survey::default();
    survey.take("not a log");
    assert_eq!(survey.strange(), 1);
}

#[test]
fn a_line_that_is_not_finished_is_taken_only_if_it_is_surely_whole() {
    let mut survey = surveyed(&turns(START, "abab"));
    let failed_over = text(START, 4, "b") + " picked=a";
    for end in ["picked=a", " picked=a", "00 picked=a", "="] {
        let rest = &failed_over[..failed_over.rfind(end).unwrap()];
        assert!(!survey.take_rest(rest), "{rest}");
    }
    assert!(!survey.take_rest(&failed_over), "more of it may have come");
    let json =
        format!("{{\"status\":200,\"backend\":\"a\",\"upstream\":\"u\",\"pick\":4,\"cycle\":{START}}}");
    assert!((1..json.len()).all(|length| !survey.take_rest(&json[..length])));
    assert!(survey.take_rest(&json));
    let mut audit = survey.finish(|_| Vec::new());
    turns(START, "abab").iter().for_each(|line| audit.take(line));
    audit.take_rest(&json);
    audit.take_rest(&text(START, 5, "a"));
    let verdict = audit.verdicts(true).remove(0);
    assert_eq!((verdict.counts[0].1, verdict.findings), (3, Vec::new()));
}

#[test]
fn memory_grows_with_cycles_and_gaps_but_not_with_lines() {
    let lines = turns(START, &"abc".repeat(2_000));
    let mut survey = Survey::default();
    lines.iter().chain(&lines).for_each(|line| survey.take(line));
    let mut audit = survey.finish(|_| Vec::new());
    lines.iter().for_each(|line| audit.take(line));
    let places = |audit: &Audit| audit.survey.upstreams["u"].cycles[&START].assumed.turns[0].places.len();
    assert_eq!(places(&audit), 3);
    lines.iter().for_each(|line| audit.take(line));
    assert_eq!(places(&audit), 0, "nothing more comes of this cycle");
    let verdict = audit.verdicts(true).remove(0);
    assert_eq!(verdict.findings.len(), 21, "all the doubles are counted, some are told");
    assert_eq!(verdict.findings[20], "and 5980 more of the kind");
    let picks = &audit.survey.upstreams["u"];
    assert_eq!(picks.cycles[&START].told.gaps().count(), 0);
    assert_eq!(picks.cycles[&START].assumed.turns.len(), 1);
}
