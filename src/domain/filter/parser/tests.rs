//! The filter language: what is read, what is refused and where, and that nothing makes it panic.

use proptest::prelude::*;

use super::*;

fn text(field: Field, equal: bool, value: &str) -> Filter {
    Filter::Text {
        field,
        equal,
        value: value.to_owned(),
    }
}

fn and(left: Filter, right: Filter) -> Filter {
    Filter::And(Box::new(left), Box::new(right))
}

fn or(left: Filter, right: Filter) -> Filter {
    Filter::Or(Box::new(left), Box::new(right))
}

#[test]
fn what_is_written_is_what_is_read() {
    let customer = || text(Field::CustomerId, true, "c-42");
    let failed = || text(Field::State, true, "FAILED");
    let mail = || text(Field::Channel, true, "email");
    let since = |operator| Filter::CreateTime(operator, "2026-11-01T00:00:00Z".parse().unwrap());
    for (written, read) in [
        ("", Filter::Everything),
        (" \n\t", Filter::Everything),
        ("customer_id = \"c-42\"", customer()),
        ("customer_id='c-42'", customer()),
        ("customer_id=c-42", customer()),
        ("((customer_id=c-42))", customer()),
        ("state = failed", failed()),
        ("channel = EMAIL", mail()),
        (
            "category != marketing",
            text(Field::Category, false, "marketing"),
        ),
        (
            "state_reason=BUDGET_EXCEEDED",
            text(Field::StateReason, true, "BUDGET_EXCEEDED"),
        ),
        (
            "template = order.shipped",
            text(Field::Template, true, "order.shipped"),
        ),
        (
            "reference = orders/4711",
            text(Field::Reference, true, "orders/4711"),
        ),
        ("reference = \"\"", text(Field::Reference, true, "")),
        (
            r#"reference = "a \"b\" \\""#,
            text(Field::Reference, true, r#"a "b" \"#),
        ),
        ("reference = \"AND\"", text(Field::Reference, true, "AND")),
        (
            "labels.a.b = x",
            text(Field::Label("a.b".into()), true, "x"),
        ),
        (
            "labels.\"spring sale\" != x",
            text(Field::Label("spring sale".into()), false, "x"),
        ),
        (
            "create_time >= 2026-11-01T00:00:00Z",
            since(Operator::GreaterOrEqual),
        ),
        (
            "create_time < \"2026-11-01T01:00:00+01:00\"",
            since(Operator::Less),
        ),
        (
            "customer_id=c-42 AND state=FAILED",
            and(customer(), failed()),
        ),
        // AIP-160: OR binds more tightly than AND.
        (
            "customer_id=c-42 AND state=FAILED OR channel=email",
            and(customer(), or(failed(), mail())),
        ),
        (
            "(customer_id=c-42 AND state=FAILED) OR channel=email",
            or(and(customer(), failed()), mail()),
        ),
    ] {
        assert_eq!(parse(written), Ok(read), "{written}");
    }
}

#[test]
fn what_is_not_in_the_language_is_refused_where_it_stands() {
    for (written, part) in [
        ("state", "character 6: expected one of"),
        ("state =", "character 8: expected a value, found the end"),
        ("= FAILED", "character 1: expected a field"),
        ("state = LOST", "character 9: \"LOST\" is not one of"),
        ("state_reason = WHY", "character 16"),
        ("channel = fax", "character 11"),
        ("category = spam", "character 12"),
        ("state > FAILED", "character 7: state takes = and != only"),
        ("state ~ FAILED", "character 7"),
        ("state : FAILED", "character 7"),
        ("state ! FAILED", "character 7: \"!\" is followed by"),
        ("color = red", "character 1: \"color\" is not one of"),
        ("labels. = red", "character 9: expected the key of a label"),
        ("labels = red", "character 1"),
        (
            "create_time > yesterday",
            "character 15: create_time is compared with",
        ),
        ("create_time > 2026-11-01", "character 15"),
        (
            "reference = \"open",
            "character 13: the quote is not closed",
        ),
        ("reference = \"\\n\"", "character 14: a backslash"),
        ("(state = FAILED", "character 16: expected AND, OR or \")\""),
        (
            "state = FAILED)",
            "character 15: expected AND, OR or the end",
        ),
        ("state = FAILED state = SENT", "character 16"),
        ("NOT state = FAILED", "character 1"),
        ("state = FAILED AND", "character 19"),
        ("state = AND", "character 9: expected a value"),
        ("()", "character 2"),
        ("\"state\" = FAILED", "character 1"),
    ] {
        let rejection = parse(written).unwrap_err();
        assert_eq!(rejection.reason, RejectionReason::FieldInvalid, "{written}");
        assert_eq!(rejection.violations[0].field, "filter", "{written}");
        let description = &rejection.violations[0].description;
        assert!(description.contains(part), "{written}: {description}");
    }
}

#[test]
fn length_and_depth_have_ends() {
    let nested = |depth: usize| format!("{}state=SENT{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(parse(&"(".repeat(MAX_LENGTH_CHARS)).is_err());

    let longest = format!("reference={}", "ü".repeat(MAX_LENGTH_CHARS - 10));
    assert!(parse(&longest).is_ok());
    assert!(parse(&format!("{longest}x")).is_err());
}

#[test]
fn a_long_filter_makes_a_flat_tree() {
    fn depth(filter: &Filter) -> usize {
        match filter {
            Filter::And(left, right) | Filter::Or(left, right) => 1 + depth(left).max(depth(right)),
            _ => 0,
        }
    }
    let long = vec!["state=SENT"; 256].join(" AND ");
    assert_eq!(depth(&parse(&long).unwrap()), 8);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_order_of_tokens_makes_it_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "(", ")", "=", "!=", "<", ">=", "!", "AND", "OR", "state", "SENT", "labels.", "labels.a",
                "\"x\"", "'", "\\", "create_time", "2026-11-01T00:00:00Z", "é",
            ]),
            0..40,
        ),
        glue in prop::sample::select(vec!["", " "]),
    ) {
        let _ = parse(&tokens.join(glue));
    }

    #[test]
    fn any_quoted_value_is_read_back(value in "[^\\x00]{0,40}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(
            parse(&format!("reference = \"{quoted}\"")),
            Ok(text(Field::Reference, true, &value))
        );
    }
}
