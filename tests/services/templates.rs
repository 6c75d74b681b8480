//! `TemplateService` on the shipped templates.

use serde_json::json;
use tidings::proto::{
    self, Category, Channel, GetTemplateRequest, ListTemplatesRequest, PreviewTemplateRequest,
    PreviewTemplateResponse, RenderedContent,
};
use tonic::Status;

use crate::at_noon;
use crate::support::calls::{Refusal, variables};
use crate::support::gateway::Embedded;

const KEYS: [&str; 8] = [
    "birthday.greeting",
    "delivery.delayed",
    "delivery.delivered",
    "order.cancelled",
    "order.confirmation",
    "order.shipped",
    "review.request",
    "satisfaction.check",
];

async fn keys(gateway: &Embedded, filter: &str, page_size: i32) -> Vec<String> {
    let mut list = ListTemplatesRequest {
        page_size,
        filter: filter.into(),
        ..Default::default()
    };
    let mut keys = Vec::new();
    loop {
        let page = gateway
            .client
            .templates()
            .list_templates(list.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page_size == 0 || page.templates.len() <= usize::try_from(page_size).unwrap());
        keys.extend(
            page.templates
                .into_iter()
                .map(|template| template.name.replace("templates/", "")),
        );
        list.page_token = page.next_page_token;
        if list.page_token.is_empty() {
            return keys;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_listed_by_name_in_pages_and_by_filter() {
    let gateway = at_noon().await;
    assert_eq!(keys(&gateway, "", 0).await, KEYS);
    assert_eq!(keys(&gateway, "", 3).await, KEYS);
    assert_eq!(
        keys(&gateway, "category = RELATIONSHIP", 1).await,
        ["review.request", "satisfaction.check"]
    );
    let some = keys(&gateway, "category != TRANSACTIONAL AND channel = sms", 0).await;
    assert_eq!(
        some,
        ["birthday.greeting", "review.request", "satisfaction.check"]
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_shown_with_its_schema() {
    let gateway = at_noon().await;
    let request = GetTemplateRequest {
        name: "templates/order.shipped".into(),
    };
    let template = gateway
        .client
        .templates()
        .get_template(request)
        .await
        .unwrap()
        .into_inner()
        .template
        .unwrap();
    assert_eq!(
        (template.category(), template.topic.as_str()),
        (Category::Transactional, "delivery")
    );
    assert_eq!(
        template.channels,
        [Channel::Email, Channel::Sms, Channel::Chat].map(i32::from)
    );
    assert_eq!(template.locales, ["en", "pt-BR"]);
    assert!(!template.revision.is_empty());
    let schema = proto::json(template.variables_schema.unwrap()).unwrap();
    assert_eq!(schema["required"], json!(["order"]));
    assert_eq!(
        schema["properties"]["order"]["properties"]["number"]["maxLength"],
        json!(40)
    );
    gateway.stop().await;
}

async fn preview(
    gateway: &Embedded,
    change: impl FnOnce(&mut PreviewTemplateRequest),
) -> Result<PreviewTemplateResponse, Status> {
    let mut request = PreviewTemplateRequest {
        name: "templates/order.shipped".into(),
        ..Default::default()
    };
    change(&mut request);
    let answer = gateway.client.templates().preview_template(request).await?;
    Ok(answer.into_inner())
}

fn of(answer: &PreviewTemplateResponse, channel: Channel) -> &RenderedContent {
    answer
        .contents
        .iter()
        .find(|content| content.channel() == channel)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_filled_by_sample_locale_or_variables() {
    let gateway = at_noon().await;
    let typical = preview(&gateway, |_| {}).await.unwrap();
    assert_eq!(typical.findings, []);
    assert!(of(&typical, Channel::Email).html.contains("NL-48211"));
    assert!(of(&typical, Channel::Email).html_byte_count > 1000);
    assert!(of(&typical, Channel::Sms).sms_segment_count > 0);
    let named = preview(&gateway, |p| p.sample = "typical".into())
        .await
        .unwrap();
    assert_eq!(named.contents, typical.contents);
    let long = preview(&gateway, |p| p.sample = "long".into())
        .await
        .unwrap();
    assert!(
        of(&long, Channel::Email)
            .subject
            .contains("NL-2026-0000048211-B")
    );

    let english = &of(&typical, Channel::Email).subject;
    let portuguese = preview(&gateway, |p| p.locale = "pt-BR".into())
        .await
        .unwrap();
    assert_ne!(&of(&portuguese, Channel::Email).subject, english);
    for kin in ["pt-PT", "pt", "pt-BR-u-hc-h23"] {
        let answer = preview(&gateway, |p| p.locale = kin.into()).await.unwrap();
        assert_eq!(
            answer.contents, portuguese.contents,
            "{kin} speaks Portuguese"
        );
    }
    for unknown in ["xx-ZZ", "x-elvish"] {
        let answer = preview(&gateway, |p| p.locale = unknown.into())
            .await
            .unwrap();
        assert_eq!(answer.contents, typical.contents, "{unknown} falls back");
    }

    let given = json!({"order": {"number": "A<&>B"}});
    let given = preview(&gateway, |p| p.variables = variables(&given))
        .await
        .unwrap();
    assert!(
        of(&given, Channel::Email).html.contains("A&lt;&amp;&gt;B"),
        "escaped"
    );
    assert!(of(&given, Channel::Sms).text.contains("A<&>B"), "as it is");
    assert!(gateway.all().await.is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_with_bad_variables_names_each_field() {
    let gateway = at_noon().await;
    let bad = json!({"order": {"number": 7}, "shipment": {"estimated_delivery": "soon"}});
    let status = preview(&gateway, |p| p.variables = variables(&bad))
        .await
        .unwrap_err();
    let mut refusal = Refusal::of(&status);
    refusal.fields.sort();
    assert_eq!(refusal.reason, "VARIABLES_INVALID");
    assert_eq!(
        refusal.fields,
        [
            "variables/order/number",
            "variables/shipment/estimated_delivery"
        ]
    );
    let both = preview(&gateway, |p| {
        p.sample = "typical".into();
        p.variables = variables(&json!({}));
    });
    for (asked, reason, field) in [
        (both.await, "FIELD_INVALID", "sample"),
        (
            preview(&gateway, |p| p.sample = "none".into()).await,
            "FIELD_INVALID",
            "sample",
        ),
        (
            preview(&gateway, |p| p.variant = "none".into()).await,
            "FIELD_INVALID",
            "variant",
        ),
        (
            preview(&gateway, |p| p.locale = "de_AT".into()).await,
            "LOCALE_INVALID",
            "locale",
        ),
    ] {
        let refusal = Refusal::of(&asked.unwrap_err());
        assert_eq!(
            (refusal.reason.as_str(), refusal.fields[0].as_str()),
            (reason, field)
        );
    }
    gateway.stop().await;
}
