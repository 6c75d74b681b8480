//! Looking things up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidings::domain::channel::Category;
use tidings::domain::filter::{Field, Filter, Operator};
use tidings::domain::id::NotificationId;
use tidings::domain::reason::Reason;
use tidings::store::Query;

use crate::support::*;

fn query(filter: Filter) -> Query {
    Query {
        identity: shop(),
        filter,
        descending: true,
        after: None,
        limit: 100,
    }
}

async fn found(f: &Fixture, query: Query) -> Vec<NotificationId> {
    let page = f.store.list(query).await.unwrap();
    page.iter().map(|record| record.notification.id).collect()
}

pub(crate) async fn pages_follow_each_other_through_open_and_ended(f: Fixture) {
    let mut ids = Vec::new();
    for index in 0..25 {
        let one = f.accept(f.intent("ada")).await;
        if index % 3 == 0 {
            f.send(one.id, start()).await;
        }
        ids.push(one.id);
    }
    f.accept(f.intent("ada").by(other_caller())).await;
    for descending in [false, true] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let mut query = query(Filter::Everything);
            (query.descending, query.after, query.limit) = (descending, after, 4);
            let page = found(&f, query).await;
            assert!(page.len() <= 4);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            seen.extend(page);
        }
        assert_eq!(seen, ids);
        ids.reverse();
    }
}

pub(crate) async fn filters_select(f: Fixture) {
    let news = f
        .accept(
            f.intent("ada")
                .category(Category::Marketing)
                .with(|intent| {
                    intent.reference = "ref-1".to_owned();
                    intent.labels = BTreeMap::from([("a\"b".to_owned(), "1".to_owned())]);
                    intent.template = "news".to_owned();
                }),
        )
        .await;
    let order = f.accept(f.intent("bob")).await;
    f.send(order.id, start()).await;
    let text = |field, equal, value: &str| Filter::Text {
        field,
        equal,
        value: value.to_owned(),
    };
    let (news, order) = (news.id, order.id);
    let both = vec![order, news];
    let label = || Field::Label("a\"b".to_owned());
    let cases = [
        (text(Field::CustomerId, true, "ada"), vec![news]),
        (text(Field::CustomerId, false, "ada"), vec![order]),
        (text(Field::Template, true, "news"), vec![news]),
        (text(Field::State, true, "SENT"), vec![order]),
        (text(Field::StateReason, true, "READY"), vec![news]),
        (text(Field::Category, true, "marketing"), vec![news]),
        (text(Field::Reference, true, "ref-1"), vec![news]),
        (text(Field::Reference, true, "' OR 1=1 --"), vec![]),
        (text(Field::Channel, true, "email"), both.clone()),
        (text(Field::Channel, true, "sms"), vec![]),
        (text(label(), true, "1"), vec![news]),
        (text(label(), false, "1"), vec![order]),
        (
            Filter::CreateTime(Operator::GreaterOrEqual, start() + DAY),
            vec![],
        ),
        (
            Filter::CreateTime(Operator::Less, start() + DAY),
            both.clone(),
        ),
        (
            Filter::Or(
                Box::new(text(Field::Template, true, "news")),
                Box::new(text(Field::State, true, "SENT")),
            ),
            both,
        ),
        (
            Filter::And(
                Box::new(text(Field::Template, true, "news")),
                Box::new(text(Field::State, true, "SENT")),
            ),
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        let page = f.store.list(query(filter.clone())).await.unwrap();
        assert!(page.iter().all(|record| filter == Filter::Everything
            || filter.matches(record)
            || matches!(filter, Filter::CreateTime(..))));
        let ids: Vec<_> = page.iter().map(|record| record.notification.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

pub(crate) async fn nobody_sees_what_is_anothers(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    for identity in [other_caller(), other_shop()] {
        assert!(f.store.find(&identity, one.id).await.unwrap().is_none());
        let mut query = query(Filter::Everything);
        query.identity = identity.clone();
        assert!(f.store.list(query).await.unwrap().is_empty());
        assert!(f.store.events(&identity, 0, 10).await.unwrap().is_empty());
        assert!(f.store.counts(&identity).await.unwrap().is_empty());
    }
    // Callers of one shop share the customer's budget, shops do not.
    let f = f.capped(1);
    let news = |f: &Fixture| f.intent("eve").category(Category::Marketing);
    f.accept(news(&f)).await;
    let shared = f.accept(news(&f).by(other_caller())).await;
    assert_eq!(shared.status, status(Reason::BudgetExceeded));
    let apart = f.accept(news(&f).by(other_shop())).await;
    assert_eq!(apart.status, status(Reason::Ready));
}

pub(crate) async fn events_have_no_gaps_under_concurrency(f: Fixture) {
    let f = Arc::new(f);
    let mut newest = f.store.sequence();
    assert_eq!(*newest.borrow(), 0);
    let watcher = {
        let f = Arc::clone(&f);
        tokio::spawn(async move {
            let (mut seen, mut at) = (Vec::new(), 0);
            while seen.len() < 200 {
                let known = *newest.borrow_and_update();
                let page = f.store.events(&shop(), at, 7).await.unwrap();
                if let Some(last) = page.last() {
                    at = last.sequence;
                    seen.extend(page);
                } else if known <= at {
                    newest.changed().await.unwrap();
                }
            }
            seen
        })
    };
    let tasks: Vec<_> = (0..100)
        .map(|index| {
            let f = Arc::clone(&f);
            tokio::spawn(async move {
                let one = f.accept(f.intent(&format!("c{index}"))).await;
                f.send(one.id, start() + SECOND).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seen = watcher.await.unwrap();
    let sequences: Vec<_> = seen.iter().map(|event| event.sequence).collect();
    assert!(
        sequences.windows(2).all(|pair| pair[0] < pair[1]),
        "one comes twice"
    );
    if f.is_embedded() {
        assert_eq!(sequences, (1..=200).collect::<Vec<i64>>());
    }
    let mut of: HashMap<_, Vec<_>> = HashMap::new();
    for event in &seen {
        of.entry(event.notification)
            .or_default()
            .push(event.status.reason);
    }
    assert!(
        of.values()
            .all(|reasons| *reasons == [Reason::Ready, Reason::HandedOver])
    );
    let counts = f.store.counts(&shop()).await.unwrap();
    assert_eq!(counts, [(status(Reason::HandedOver), 100)]);
}

pub(crate) async fn a_dry_run_stores_nothing(f: Fixture) {
    f.change("ada", opt_out("orders"), start()).await;
    let address = email("ada@example.com");
    f.store
        .suppress(&shop().shop, &address, "complaint", start())
        .await
        .unwrap();
    let stored = f
        .accept(f.intent("ada").with(|intent| {
            intent.once_key = "o".to_owned();
            intent.collapse_key = "c".to_owned();
        }))
        .await;
    let mut asked = f.intent("ada").notification;
    asked.intent.once_key = "o".to_owned();
    asked.intent.collapse_key = "c".to_owned();
    asked.intent.event_time = start() - SECOND;
    let id = asked.id;
    let case = f.store.case(asked, start()).await.unwrap();
    assert!(case.customer.preferences.topic("orders").unwrap().opted_out);
    assert_eq!(case.suppressed.len(), 1);
    assert_eq!(case.once, Some((shop().caller, stored.id)));
    assert_eq!(case.newer, Some((stored.id, false)));
    assert!(f.store.find(&shop(), id).await.unwrap().is_none());
}
