//! Contact budgets: rolling windows over groups of messages.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::channel::Category;

/// At most `max` notifications of a group in any `window`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For the trace.
    pub name: String,
    /// The group, by category; higher categories use it up too.
    pub categories: Vec<Category>,
    /// The group, by template; only these use it up.
    pub templates: Vec<String>,
    /// The length of the window.
    pub window: SignedDuration,
    /// How many fit.
    pub max: u32,
    /// Counted apart for each subject (a product).
    pub per_subject: bool,
}

/// One notification that a customer has had, or that is reserved for them now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The hand-over, or the reservation.
    pub at: Timestamp,
    /// Its class.
    pub category: Category,
    /// Its topic.
    pub topic: String,
    /// Its template.
    pub template: String,
    /// What it is about, for per-subject budgets; empty: nothing.
    pub subject: String,
}

impl Budget {
    /// Whether the budget limits such a notification.
    pub fn limits(&self, candidate: &Usage) -> bool {
        let in_group = self.categories.contains(&candidate.category)
            || self.templates.contains(&candidate.template);
        in_group && !(self.per_subject && candidate.subject.is_empty())
    }

    /// Whether a past notification takes room from `candidate`: the same group, or a more important category.
    fn counts(&self, past: &Usage, candidate: &Usage) -> bool {
        let lowest = self.categories.iter().max();
        let by_category = lowest.is_some_and(|lowest| past.category <= *lowest);
        let by_template = self.templates.contains(&past.template);
        (by_category || by_template) && (!self.per_subject || past.subject == candidate.subject)
    }

    /// The past notifications that take room from `candidate` at `now`, oldest first.
    pub fn used<'a>(
        &self,
        usage: &'a [Usage],
        candidate: &Usage,
        now: Timestamp,
    ) -> Vec<&'a Usage> {
        let Ok(opened) = now.checked_sub(self.window) else {
            return Vec::new();
        };
        let mut used: Vec<_> = usage
            .iter()
            .filter(|past| past.at > opened && self.counts(past, candidate))
            .collect();
        used.sort_by_key(|past| past.at);
        used
    }

    /// When there is room for `candidate`: `None` for now, else the first instant a slot comes free, or
    /// [`Timestamp::MAX`] for a budget that has no slots.
    pub fn free_at(&self, usage: &[Usage], candidate: &Usage, now: Timestamp) -> Option<Timestamp> {
        let used = self.used(usage, candidate, now);
        let max = usize::try_from(self.max).unwrap_or(usize::MAX);
        if used.len() < max {
            return None;
        }
        let Some(leaving) = used
            .len()
            .checked_sub(max)
            .and_then(|index| used.get(index))
        else {
            return Some(Timestamp::MAX);
        };
        Some(
            leaving
                .at
                .checked_add(self.window)
                .unwrap_or(Timestamp::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(hours: i64, category: Category) -> Usage {
        Usage {
            at: Timestamp::from_second(hours * 3600).unwrap(),
            category,
            topic: String::new(),
            template: "t".into(),
            subject: String::new(),
        }
    }

    fn weekly(max: u32) -> Budget {
        Budget {
            name: "week".into(),
            categories: vec![Category::Relationship, Category::Marketing],
            templates: vec![],
            window: SignedDuration::from_hours(168),
            max,
            per_subject: false,
        }
    }

    #[test]
    fn a_slot_comes_free_when_the_oldest_leaves_the_window() {
        let past = [
            usage(0, Category::Relationship),
            usage(10, Category::Marketing),
        ];
        let candidate = usage(20, Category::Relationship);
        assert_eq!(weekly(3).free_at(&past, &candidate, candidate.at), None);
        assert_eq!(
            weekly(2).free_at(&past, &candidate, candidate.at),
            Some(usage(168, Category::Critical).at)
        );
        assert_eq!(
            weekly(1).free_at(&past, &candidate, candidate.at),
            Some(usage(178, Category::Critical).at)
        );
        assert_eq!(
            weekly(0).free_at(&[], &candidate, candidate.at),
            Some(Timestamp::MAX)
        );
        // Exactly a window later the first one has left.
        assert_eq!(
            weekly(2).free_at(&past, &candidate, usage(168, Category::Critical).at),
            None
        );
    }

    #[test]
    fn important_ones_use_up_room_and_are_never_limited() {
        let past = [
            usage(0, Category::Transactional),
            usage(1, Category::Critical),
        ];
        let newsletter = usage(2, Category::Marketing);
        assert!(
            weekly(2)
                .free_at(&past, &newsletter, newsletter.at)
                .is_some()
        );
        assert!(!weekly(2).limits(&usage(2, Category::Transactional)));
    }

    #[test]
    fn a_subject_counts_for_itself() {
        let budget = Budget {
            categories: vec![],
            templates: vec!["t".into()],
            per_subject: true,
            max: 1,
            ..weekly(1)
        };
        let of = |subject: &str| Usage {
            subject: subject.into(),
            ..usage(1, Category::Relationship)
        };
        assert!(
            budget
                .free_at(&[of("tent")], &of("tent"), of("tent").at)
                .is_some()
        );
        assert!(
            budget
                .free_at(&[of("tent")], &of("stove"), of("stove").at)
                .is_none()
        );
        assert!(!budget.limits(&of("")));
    }
}
