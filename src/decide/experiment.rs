//! Which variant a customer gets: a hash, so that the same customer always gets the same one.

use sha2::{Digest as _, Sha256};

use crate::domain::policy::Variant;

/// The name of the variant that gets nothing.
pub(super) const HOLDOUT: &str = "holdout";

/// The variant for a customer; `None` without variants or with no weight at all.
pub(super) fn variant<'a>(
    variants: &'a [Variant],
    template: &str,
    customer: &str,
) -> Option<&'a Variant> {
    let total: u64 = variants
        .iter()
        .map(|variant| u64::from(variant.weight))
        .sum();
    if total == 0 {
        return None;
    }
    let digest = Sha256::new()
        .chain_update(template)
        .chain_update([0])
        .chain_update(customer)
        .finalize();
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

    #[test]
    fn shares_follow_the_weights_and_a_customer_stays() {
        let variants = [("a", 45), ("b", 45), ("holdout", 10)].map(|(name, weight)| Variant {
            name: name.into(),
            weight,
        });
        let count = |name: &str| {
            (0..10_000)
                .filter(|n| variant(&variants, "t", &n.to_string()).is_some_and(|v| v.name == name))
                .count()
        };
        assert!((4_200..4_800).contains(&count("a")), "{}", count("a"));
        assert!(
            (850..1_150).contains(&count("holdout")),
            "{}",
            count("holdout")
        );
        assert_eq!(
            variant(&variants, "t", "c-1"),
            variant(&variants, "t", "c-1")
        );
        assert_eq!(variant(&[], "t", "c-1"), None);
    }
}
