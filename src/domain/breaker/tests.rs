use proptest::prelude::*;

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
}

/// Asks; fails the test unless it may begin.
fn go(breaker: &mut Breaker, millis: i64) -> Pass {
    match breaker.ask(at(millis)) {
        Answer::Go(pass) => pass,
        other => panic!("at {millis}: {other:?}"),
    }
}

/// One hand-over.
fn one(breaker: &mut Breaker, millis: i64, sign: Sign) {
    let pass = go(breaker, millis);
    breaker.tell(pass, sign, at(millis), 0.0);
}

fn closed() -> Breaker {
    let mut breaker = Breaker::default();
    one(&mut breaker, 0, Sign::Taken);
    breaker
}

/// Opened by failures that all came at time 0.
fn opened() -> Breaker {
    let mut breaker = closed();
    for _ in 0..MOST_FAILURES {
        one(&mut breaker, 0, Sign::Failed);
    }
    breaker
}

fn shut_for(breaker: &Breaker, millis: i64) -> Option<i64> {
    breaker
        .shut_until(at(millis))
        .map(|until| until.duration_since(at(millis)).as_secs())
}

#[test]
fn a_new_one_lets_one_at_a_time_go_until_the_first_success() {
    let mut breaker = Breaker::default();
    let first = go(&mut breaker, 0);
    assert!(matches!(breaker.ask(at(1)), Answer::Busy));
    breaker.tell(first, Sign::Failed, at(2), 0.0);
    let second = go(&mut breaker, 3);
    assert!(matches!(breaker.ask(at(3)), Answer::Busy));
    breaker.tell(second, Sign::Taken, at(4), 0.0);
    let _both = [go(&mut breaker, 5), go(&mut breaker, 5)];
    assert_eq!(breaker.state(at(5)), BreakerState::Closed);
}

#[test]
fn twenty_failures_in_a_row_open_it_and_nineteen_do_not() {
    let mut breaker = closed();
    for _ in 1..MOST_FAILURES {
        one(&mut breaker, 0, Sign::Failed);
    }
    assert_eq!(breaker.state(at(0)), BreakerState::Closed);
    one(&mut breaker, 0, Sign::Taken);
    for n in 1..=MOST_FAILURES {
        assert!(!breaker.is_failing(), "{n}");
        one(&mut breaker, 0, Sign::Failed);
    }
    assert!(breaker.is_failing());
    assert_eq!(breaker.state(at(0)), BreakerState::Open);
    assert_eq!(shut_for(&breaker, 0), Some(30));
}

#[test]
fn nothing_but_failures_for_five_seconds_open_it() {
    let mut breaker = closed();
    for n in 0..4 {
        one(&mut breaker, n * 1_000, Sign::Failed);
    }
    one(&mut breaker, 4_999, Sign::Failed);
    assert_eq!(breaker.state(at(4_999)), BreakerState::Closed);
    one(&mut breaker, 5_000, Sign::Failed);
    assert_eq!(breaker.state(at(5_000)), BreakerState::Open);

    let mut few = closed();
    for n in 0..4 {
        one(&mut few, n * 60_000, Sign::Failed);
    }
    assert_eq!(few.state(at(180_000)), BreakerState::Closed);
}

#[test]
fn what_is_about_one_message_neither_opens_nor_closes_it() {
    let mut breaker = closed();
    for n in 0..1_000 {
        one(&mut breaker, n * 100, Sign::Silent);
    }
    assert_eq!(breaker.state(at(100_000)), BreakerState::Closed);

    let mut breaker = opened();
    for _ in 0..3 {
        one(&mut breaker, 30_000, Sign::Silent);
        assert_eq!(breaker.state(at(30_000)), BreakerState::HalfOpen);
    }
    let probe = go(&mut breaker, 30_000);
    assert!(matches!(breaker.ask(at(30_000)), Answer::Busy));
    breaker.tell(probe, Sign::Failed, at(30_000), 0.0);
    assert_eq!(breaker.state(at(30_000)), BreakerState::Open);
}

#[test]
fn an_open_one_lets_one_probe_go_each_pause_and_closes_by_a_success() {
    let mut breaker = opened();
    for round in 1..=3 {
        let opens = round * 30_000;
        assert!(matches!(breaker.ask(at(opens - 1)), Answer::Shut(_)));
        one(&mut breaker, opens, Sign::Failed);
        assert!(matches!(breaker.ask(at(opens)), Answer::Shut(_)));
    }
    one(&mut breaker, 120_000, Sign::Taken);
    assert_eq!(breaker.state(at(120_000)), BreakerState::Closed);
    assert!(!breaker.is_failing());
    one(&mut breaker, 120_000, Sign::Failed);
    assert_eq!(breaker.state(at(120_000)), BreakerState::Closed);
}

#[test]
fn chance_only_lengthens_the_pause() {
    for (chance, seconds) in [(0.0, 30), (0.5, 33), (0.999, 35)] {
        let mut breaker = opened();
        let probe = go(&mut breaker, 30_000);
        breaker.tell(probe, Sign::Failed, at(30_000), chance);
        assert_eq!(shut_for(&breaker, 30_000), Some(seconds));
    }
}

#[test]
fn what_began_before_it_opened_says_nothing_about_later() {
    let mut breaker = closed();
    let [late, later] = [go(&mut breaker, 0), go(&mut breaker, 0)];
    for _ in 0..MOST_FAILURES {
        one(&mut breaker, 0, Sign::Failed);
    }
    breaker.tell(late, Sign::Taken, at(1_000), 0.0);
    assert_eq!(shut_for(&breaker, 1_000), Some(29));
    let probe = go(&mut breaker, 30_000);
    breaker.tell(later, Sign::Failed, at(30_000), 0.0);
    // It frees no place, and adds no pause.
    assert!(matches!(breaker.ask(at(30_000)), Answer::Busy));
    breaker.tell(probe, Sign::Taken, at(30_000), 0.0);
    assert_eq!(breaker.state(at(30_000)), BreakerState::Closed);
}

#[test]
fn all_wait_for_what_a_provider_asks_for_within_bounds() {
    let seconds = Duration::from_secs;
    for (asked, kept) in [
        (Some(seconds(0)), 1),
        (Some(seconds(120)), 120),
        (Some(seconds(1_000_000_000)), 3_600),
        (Some(Duration::MAX), 3_600),
        (None, 5),
    ] {
        let mut breaker = closed();
        one(&mut breaker, 0, Sign::Throttled(asked));
        assert_eq!(breaker.state(at(0)), BreakerState::Throttled, "{asked:?}");
        assert_eq!(shut_for(&breaker, 0), Some(kept), "{asked:?}");
        let back = kept * 1_000;
        let probe = go(&mut breaker, back);
        assert!(matches!(breaker.ask(at(back)), Answer::Busy), "{asked:?}");
        breaker.tell(probe, Sign::Taken, at(back), 0.0);
        assert_eq!(breaker.state(at(back)), BreakerState::Closed);
    }
}

#[test]
fn a_longer_wait_is_not_cut_short() {
    let mut breaker = closed();
    let passes = [60, 1, 90].map(|wait| (go(&mut breaker, 0), wait));
    for (pass, wait) in passes {
        let sign = Sign::Throttled(Some(Duration::from_secs(wait)));
        breaker.tell(pass, sign, at(0), 0.0);
    }
    assert_eq!(shut_for(&breaker, 0), Some(90));
}

/// A provider that asks for a second each time, without an end, is treated as one that fails.
#[test]
fn throttling_without_an_end_opens_it() {
    let mut breaker = closed();
    let mut millis = 0;
    let mut asked = 0;
    while !breaker.is_failing() {
        one(
            &mut breaker,
            millis,
            Sign::Throttled(Some(Duration::from_secs(1))),
        );
        asked += 1;
        millis += 1_000;
    }
    assert_eq!(asked, 6);
    assert_eq!(shut_for(&breaker, millis), Some(29));
}

#[test]
fn a_clock_that_is_set_back_ends_the_wait() {
    let mut breaker = opened();
    assert!(breaker.shut_until(at(-1)).is_none());
    one(&mut breaker, -1, Sign::Taken);
    assert_eq!(breaker.state(at(-1)), BreakerState::Closed);
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    End(usize, Sign),
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sign = prop_oneof![
        1 => Just(Sign::Taken),
        8 => Just(Sign::Failed),
        1 => Just(Sign::Silent),
        1 => Just(Sign::Throttled(None)),
        1 => (0..5_000_u64).prop_map(|wait| Sign::Throttled(Some(Duration::from_secs(wait)))),
    ];
    let step = prop_oneof![
        4 => Just(Step::Begin),
        4 => (any::<usize>(), sign).prop_map(|(which, sign)| Step::End(which, sign)),
        2 => (0..20_000_i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..400)
}

proptest! {
    /// Whatever happens: while it is shut nothing begins, half open at most one of its time is under way, a wait has an end
    /// within the hour, and failures alone open it.
    #[test]
    fn its_promises_hold_in_any_order(steps in steps(), chance in 0.0..1.0_f64) {
        let mut breaker = Breaker::default();
        let mut now = 0;
        let mut underway: Vec<Pass> = Vec::new();
        let mut failures_in_a_row = 0;
        for step in steps {
            match step {
                Step::Wait(millis) => now += millis,
                Step::Begin => {
                    let (state, free) = (breaker.state(at(now)), breaker.is_free(at(now)));
                    match breaker.ask(at(now)) {
                        Answer::Go(pass) => {
                            prop_assert!(free);
                            prop_assert!(matches!(state, BreakerState::Closed | BreakerState::HalfOpen));
                            underway.push(pass);
                            let ours = underway.iter().filter(|one| one.period == breaker.period).count();
                            prop_assert!(state == BreakerState::Closed || ours == 1);
                        }
                        Answer::Busy => {
                            prop_assert!(!free);
                            prop_assert_eq!(state, BreakerState::HalfOpen);
                            prop_assert!(underway.iter().any(|one| one.period == breaker.period));
                        }
                        Answer::Shut(until) => {
                            prop_assert!(!free);
                            let left = until.duration_since(at(now));
                            prop_assert!(left > SignedDuration::ZERO && left <= SignedDuration::from_hours(1));
                        }
                    }
                }
                Step::End(which, sign) => {
                    if underway.is_empty() {
                        continue;
                    }
                    let pass = underway.swap_remove(which % underway.len());
                    let current = pass.period == breaker.period;
                    breaker.tell(pass, sign, at(now), chance);
                    match sign {
                        Sign::Taken if current => failures_in_a_row = 0,
                        Sign::Failed | Sign::Throttled(_) if current => failures_in_a_row += 1,
                        _ => {}
                    }
                    prop_assert!(breaker.is_failing() || failures_in_a_row < MOST_FAILURES);
                    prop_assert!(!breaker.is_failing() || failures_in_a_row >= LEAST_FAILURES);
                }
            }
        }
    }
}
