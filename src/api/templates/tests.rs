//! Previews and lists of the shipped templates.

use super::*;
use crate::catalog::{Catalog, Source};

fn bundle() -> Arc<Bundle> {
    Catalog::open(Source::Embedded).unwrap().live()
}

fn preview_of(
    change: fn(&mut proto::PreviewTemplateRequest),
) -> Result<proto::PreviewTemplateResponse, Rejection> {
    let mut request = proto::PreviewTemplateRequest {
        name: "templates/review.request".into(),
        ..Default::default()
    };
    change(&mut request);
    preview(&bundle(), request)
}

#[test]
fn every_template_is_shown_and_its_sample_fills_every_channel() {
    let bundle = bundle();
    for manifest in bundle.manifests() {
        let template = wire_template(&bundle, manifest);
        assert_eq!(template.locales[0], bundle.shop().default_locale);
        assert!(template.variables_schema.is_some());
        let request = proto::PreviewTemplateRequest {
            name: template.name,
            ..Default::default()
        };
        let answer = preview(&bundle, request).unwrap();
        assert_eq!(answer.findings, []);
        assert_eq!(
            answer.contents.len(),
            template.channels.len(),
            "{}",
            manifest.key
        );
        for content in answer.contents {
            assert!(!content.text.is_empty(), "{content:?}");
            let sms = content.channel() == proto::Channel::Sms;
            assert_eq!(content.sms_segment_count > 0, sms);
        }
    }
}

#[test]
fn what_cannot_be_previewed_says_why() {
    use RejectionReason as R;
    type Spoil = fn(&mut proto::PreviewTemplateRequest);
    let cases: [(R, &str, Spoil); 7] = [
        (R::TemplateNotFound, "", |r| {
            r.name = "templates/no.such".into();
        }),
        (R::FieldInvalid, "name", |r| {
            r.name = "review.request".into();
        }),
        (R::LocaleInvalid, "locale", |r| r.locale = "x".repeat(36)),
        (R::FieldInvalid, "sample", |r| r.sample = "none".into()),
        (R::FieldInvalid, "variant", |r| r.variant = "none".into()),
        (R::FieldInvalid, "sample", |r| {
            r.sample = "typical".into();
            r.variables = Some(proto::Struct::default());
        }),
        (R::VariablesInvalid, "variables", |r| {
            r.variables = Some(proto::Struct::default());
        }),
    ];
    for (reason, field, spoil) in cases {
        let rejection = preview_of(spoil).unwrap_err();
        assert_eq!(rejection.reason, reason, "{rejection}");
        let first = rejection
            .violations
            .first()
            .map_or("", |v| v.field.as_str());
        assert!(first.starts_with(field), "{rejection:?}");
    }
    assert!(preview_of(|r| r.sample = "minimal".into()).is_ok());
}

#[test]
fn templates_are_filtered_by_category_and_channel_only() {
    let bundle = bundle();
    let keys = |text: &str| {
        let filter = Filter::parse(text).unwrap();
        check_filter(&filter).unwrap();
        bundle
            .manifests()
            .filter(|manifest| passes(&filter, manifest))
            .map(|manifest| manifest.key.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("").len(), bundle.manifests().count());
    assert!(keys("category = RELATIONSHIP").contains(&"review.request".to_owned()));
    assert!(!keys("category != relationship").contains(&"review.request".to_owned()));
    assert!(check_filter(&Filter::parse("state = SENT").unwrap()).is_err());
    assert!(check_filter(&Filter::parse("create_time > 2026-01-01T00:00:00Z").unwrap()).is_err());
}
