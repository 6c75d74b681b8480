//! Which variant a customer gets: a hash, so that the same customer always gets the same one.

use sha2::{Digest as _, Sha256};

use crate::domain::policy::Variant;

/// The name of the variant that gets nothing.
pub(super) const HOLDOUT: &str = "holdout";

/// The variant for a customer; `None` without variants or with no weight at all. Another salt draws the groups anew.
/// Who is in which group may never change by itself: half a running experiment would be lost.
pub(super) fn variant<'a>(
    variants: &'a [Variant],
    template: &str,
    customer: &str,
    salt: &str,
) -> Option<&'a Variant> {
    let total: u64 = variants
        .iter()
        .map(|variant| u64::from(variant.weight))
        .sum();
    if total == 0 {
        return None;
    }
    let mut hash = Sha256::new()
        .chain_update(template)
        .chain_update([0])
        .chain_update(customer);
    if !salt.is_empty() {
        hash = hash.chain_update([0]).chain_update(salt);
    }
    let digest = hash.finalize();
    let head = digest
        .iter()
        .take(8)
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let mut point = head % total;
    variants.iter().find(|variant| {
        let weight = u64::from(variant.weight);
        let found = point < weight;
        point = point.saturating_sub(weight);
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms() -> [Variant; 3] {
        [("control", 45), ("b", 45), ("holdout", 10)].map(|(name, weight)| Variant {
            name: name.into(),
            weight,
        })
    }

    fn chosen<'a>(arms: &'a [Variant], template: &str, customer: &str, salt: &str) -> &'a str {
        variant(arms, template, customer, salt).map_or("none", |arm| arm.name.as_str())
    }

    /// Worked out once by another program (SHA-256 of template, zero byte, customer; the first 8 bytes, big-endian,
    /// modulo the weights). These never change: whoever changes one moves customers from group to group.
    #[test]
    fn a_customer_stays_in_its_group_for_ever() {
        let expected = [
            ("c-1", "b", "control", "control"),
            ("c-2", "control", "b", "b"),
            ("c-3", "b", "b", "b"),
            ("c-4", "control", "control", "control"),
            ("c-5", "b", "b", "control"),
            ("c-6", "b", "control", "b"),
            ("c-7", "b", "b", "holdout"),
            ("c-11", "b", "control", "b"),
            ("c-16", "control", "b", "control"),
            ("zoë", "holdout", "b", "b"),
        ];
        for (customer, review, birthday, salted) in expected {
            let arms = arms();
            let of = |template, salt| chosen(&arms, template, customer, salt);
            assert_eq!(of("review.request", ""), review, "{customer}");
            assert_eq!(of("birthday.greeting", ""), birthday, "{customer}");
            assert_eq!(of("review.request", "spring"), salted, "{customer}");
        }
        assert_eq!(variant(&[], "t", "c-1", ""), None);
    }

    /// With 100,000 customers a share is off by more than half a percent less than once in a thousand draws, and
    /// these draws are fixed.
    #[test]
    fn shares_follow_the_weights() {
        for (template, salt) in [
            ("review.request", ""),
            ("review.request", "spring"),
            ("x", ""),
        ] {
            let arms = arms();
            let mut counts = std::collections::BTreeMap::new();
            for n in 0..100_000 {
                *counts
                    .entry(chosen(&arms, template, &format!("customer-{n}"), salt))
                    .or_insert(0_u32) += 1;
            }
            for (name, share) in [("control", 45_000), ("b", 45_000), ("holdout", 10_000_u32)] {
                let count = counts[name];
                assert!(
                    count.abs_diff(share) < 500,
                    "{template} {salt} {name}: {count}"
                );
            }
        }
    }

    /// Who is in a group of one message says nothing about the others, or the same people would always get nothing.
    #[test]
    fn groups_of_two_messages_are_independent() {
        let arms = arms();
        for (template, salt) in [("birthday.greeting", ""), ("review.request", "spring")] {
            let both = (0..100_000)
                .map(|n| format!("customer-{n}"))
                .filter(|customer| {
                    chosen(&arms, "review.request", customer, "") == "holdout"
                        && chosen(&arms, template, customer, salt) == "holdout"
                })
                .count();
            assert!((850..1_150).contains(&both), "{template} {salt}: {both}");
        }
    }

    #[test]
    fn a_weight_of_nothing_is_never_chosen() {
        let mut arms = arms();
        arms[0].weight = 0;
        arms[2].weight = 0;
        for n in 0..1_000 {
            assert_eq!(chosen(&arms, "t", &n.to_string(), ""), "b");
        }
        arms[1].weight = 0;
        assert_eq!(chosen(&arms, "t", "c", ""), "none");
    }
}
