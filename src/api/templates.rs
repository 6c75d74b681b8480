//! `TemplateService`: what the shop can say, and how it would look. Everything that this door knows of the catalog and of
//! rendering is in this file.

use std::sync::Arc;

use prost::Message as _;
use serde_json::Value;
use tonic::{Request, Response, Status};

use crate::admit::check_size;
use crate::api::Shared;
use crate::api::convert::customer::locale;
use crate::api::convert::{bad_field, id_in, wire_category, wire_channel};
use crate::api::errors::refuse;
use crate::api::page::{self, Scope};
use crate::catalog::Bundle;
use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::filter::{Field, Filter};
use crate::domain::intent::Variables;
use crate::domain::policy::Manifest;
use crate::domain::rejection::{FieldViolation, Rejection, RejectionReason};
use crate::domain::sms;
use crate::proto;
use crate::proto::template_service_server::TemplateService;
use crate::render::{Filling, Links, RenderError, render};

const DEFAULT_SAMPLE: &str = "typical";
const MAX_PAGE_BYTES: usize = 3 * 1024 * 1024;

/// The service.
#[derive(Clone)]
pub(super) struct Templates {
    shared: Arc<Shared>,
}

#[tonic::async_trait]
impl TemplateService for Templates {
    async fn list_templates(
        &self,
        request: Request<proto::ListTemplatesRequest>,
    ) -> Result<Response<proto::ListTemplatesResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        let request = request.into_inner();
        let scope = Scope {
            list: "ListTemplates",
            identity: &caller.identity,
            filter: &request.filter,
            order: "",
        };
        self.list(&scope, &request)
            .map(Response::new)
            .map_err(refuse)
    }

    async fn get_template(
        &self,
        request: Request<proto::GetTemplateRequest>,
    ) -> Result<Response<proto::GetTemplateResponse>, Status> {
        let bundle = self.shared.catalog.live();
        let name = request.into_inner().name;
        let manifest = find(&bundle, &name).map_err(refuse)?;
        Ok(Response::new(proto::GetTemplateResponse {
            template: Some(wire_template(&bundle, manifest)),
        }))
    }

    async fn preview_template(
        &self,
        request: Request<proto::PreviewTemplateRequest>,
    ) -> Result<Response<proto::PreviewTemplateResponse>, Status> {
        let bundle = self.shared.catalog.live();
        preview(&bundle, request.into_inner())
            .map(Response::new)
            .map_err(refuse)
    }
}

impl Shared {
    /// Whether a customer can choose about this topic.
    pub(super) fn knows_topic(&self, topic: &str) -> bool {
        self.catalog.policy().topics.contains_key(topic)
    }
}

impl Templates {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn list(
        &self,
        scope: &Scope<'_>,
        request: &proto::ListTemplatesRequest,
    ) -> Result<proto::ListTemplatesResponse, Rejection> {
        let size = usize::try_from(page::size(request.page_size)?).unwrap_or(usize::MAX);
        let filter = Filter::parse(&request.filter)?;
        check_filter(&filter)?;
        let tokens = &self.shared.tokens;
        let read = |position: &[u8]| String::from_utf8(position.to_vec()).ok();
        let after = tokens
            .position(scope, &request.page_token, read)?
            .unwrap_or_default();
        let bundle = self.shared.catalog.live();
        let mut behind = bundle
            .manifests()
            .filter(|manifest| manifest.key > after && passes(&filter, manifest))
            .peekable();
        let mut templates: Vec<proto::Template> = Vec::new();
        let mut bytes = 0;
        let mut last = "";
        while let Some(manifest) = behind.peek().filter(|_| templates.len() < size) {
            let template = wire_template(&bundle, manifest);
            bytes += template.encoded_len();
            if bytes > MAX_PAGE_BYTES && !templates.is_empty() {
                break;
            }
            templates.push(template);
            last = &manifest.key;
            behind.next();
        }
        let next_page_token = match behind.peek() {
            Some(_) => tokens.seal(scope, last.as_bytes()),
            None => String::new(),
        };
        Ok(proto::ListTemplatesResponse {
            templates,
            next_page_token,
        })
    }
}

fn find<'a>(bundle: &'a Bundle, name: &str) -> Result<&'a Manifest, Rejection> {
    let key = id_in(name, "templates")
        .ok_or_else(|| bad_field("name", "a template is named templates/{key}"))?;
    bundle.manifest(key).ok_or_else(|| {
        Rejection::new(
            RejectionReason::TemplateNotFound,
            format!("there is no template {key:?}"),
        )
    })
}

/// Templates have fewer fields than notifications.
fn check_filter(filter: &Filter) -> Result<(), Rejection> {
    match filter {
        Filter::Everything
        | Filter::Text {
            field: Field::Category | Field::Channel,
            ..
        } => Ok(()),
        Filter::And(left, right) | Filter::Or(left, right) => {
            check_filter(left)?;
            check_filter(right)
        }
        Filter::Text { .. } | Filter::CreateTime(..) => Err(bad_field(
            "filter",
            "templates are filtered by category and channel only",
        )),
    }
}

fn passes(filter: &Filter, manifest: &Manifest) -> bool {
    match filter {
        Filter::And(left, right) => passes(left, manifest) && passes(right, manifest),
        Filter::Or(left, right) => passes(left, manifest) || passes(right, manifest),
        Filter::Text {
            field,
            equal,
            value,
        } => {
            let holds = match field {
                Field::Category => manifest.category.as_str() == value,
                Field::Channel => manifest
                    .channels
                    .iter()
                    .any(|channel| channel.as_str() == value),
                _ => false,
            };
            holds == *equal
        }
        Filter::Everything | Filter::CreateTime(..) => true,
    }
}

fn wire_template(bundle: &Bundle, manifest: &Manifest) -> proto::Template {
    let default = &bundle.shop().default_locale;
    let mut locales = bundle.locales(&manifest.key);
    // Stable: the default one first, the others in their order.
    locales.sort_by_key(|locale| locale != default);
    proto::Template {
        name: format!("templates/{}", manifest.key),
        display_name: manifest.display_name.clone(),
        owner: manifest.owner.clone(),
        category: wire_category(manifest.category).into(),
        topic: manifest.topic.clone(),
        channels: manifest
            .channels
            .iter()
            .map(|channel| wire_channel(*channel).into())
            .collect(),
        locales,
        variables_schema: bundle
            .schema(&manifest.key)
            .and_then(Value::as_object)
            .map(proto::structure),
        revision: bundle.id().to_owned(),
        variants: manifest
            .variants
            .iter()
            .map(|variant| proto::Variant {
                name: variant.name.clone(),
                weight: i32::try_from(variant.weight).unwrap_or(i32::MAX),
            })
            .collect(),
    }
}

fn preview(
    bundle: &Bundle,
    request: proto::PreviewTemplateRequest,
) -> Result<proto::PreviewTemplateResponse, Rejection> {
    let manifest = find(bundle, &request.name)?;
    let locale = locale(&request.locale)
        .map_err(|why| Rejection::field(RejectionReason::LocaleInvalid, "locale", why))?;
    let variant = variant(manifest, &request.variant)?;
    let variables = variables(bundle, manifest, &request.sample, request.variables)?;
    let mut answer = proto::PreviewTemplateResponse::default();
    for channel in manifest.channels.iter().copied() {
        if !bundle.has_content(&manifest.key, channel, &locale) {
            continue;
        }
        let filling = Filling {
            bundle,
            template: &manifest.key,
            channel,
            locale: &locale,
            variables: &variables,
            given_name: "",
            time_zone: "",
            message_id: "preview",
            links: Links::default(),
            variant: &variant,
        };
        match render(&filling) {
            Ok(content) => answer.contents.push(wire_content(channel, content)),
            Err(error) => answer.findings.push(finding(channel, &error, &locale)),
        }
    }
    Ok(answer)
}

fn variant(manifest: &Manifest, wanted: &str) -> Result<String, Rejection> {
    let variants = &manifest.variants;
    let found = if wanted.is_empty() {
        variants.first()
    } else {
        let found = variants.iter().find(|variant| variant.name == wanted);
        if found.is_none() {
            return Err(bad_field("variant", "the template has no such variant"));
        }
        found
    };
    Ok(found.map_or_else(String::new, |variant| variant.name.clone()))
}

/// What to fill in: what was given, checked as a send would be, or a sample.
fn variables(
    bundle: &Bundle,
    manifest: &Manifest,
    sample: &str,
    given: Option<proto::Struct>,
) -> Result<Variables, Rejection> {
    match given {
        Some(_) if !sample.is_empty() => Err(bad_field("sample", "goes without variables")),
        Some(given) => checked(bundle, manifest, given),
        None => {
            let name = if sample.is_empty() {
                DEFAULT_SAMPLE
            } else {
                sample
            };
            bundle
                .sample(&manifest.key, name)
                .cloned()
                .ok_or_else(|| bad_field("sample", format!("the template has no sample {name:?}")))
        }
    }
}

fn checked(
    bundle: &Bundle,
    manifest: &Manifest,
    given: proto::Struct,
) -> Result<Variables, Rejection> {
    let wrong = |pointer: &str, why: &str| {
        let field = format!("variables{pointer}");
        Rejection::field(RejectionReason::VariablesInvalid, field, why)
    };
    let object = proto::json(given).map_err(|error| wrong(&error.pointer, error.description))?;
    let variables = Variables(object);
    check_size(&variables).map_err(|rule| wrong("", &rule))?;
    let violations = bundle.violations(&manifest.key, &variables);
    if violations.is_empty() {
        return Ok(variables);
    }
    let violations = violations
        .into_iter()
        .map(|violation| FieldViolation {
            field: format!("variables{}", violation.field),
            description: violation.description,
        })
        .collect();
    Err(Rejection::fields(
        RejectionReason::VariablesInvalid,
        violations,
    ))
}

fn wire_content(channel: Channel, content: Content) -> proto::RenderedContent {
    let empty = proto::RenderedContent {
        channel: wire_channel(channel).into(),
        ..Default::default()
    };
    match content {
        Content::Email {
            subject,
            preheader,
            html,
            text,
            ..
        } => proto::RenderedContent {
            html_byte_count: i32::try_from(html.len()).unwrap_or(i32::MAX),
            subject,
            preheader,
            html,
            text,
            ..empty
        },
        Content::Sms { text } => {
            let segments = sms::segments(&text);
            proto::RenderedContent {
                sms_segment_count: i32::try_from(segments.count).unwrap_or(i32::MAX),
                sms_encoding: segments.encoding.to_string(),
                text,
                ..empty
            }
        }
        Content::Chat { text } => proto::RenderedContent { text, ..empty },
    }
}

/// A channel that these variables cannot fill is a finding beside the channels that they can.
fn finding(channel: Channel, error: &RenderError, locale: &str) -> proto::LintFinding {
    proto::LintFinding {
        rule: "render/failed".to_owned(),
        severity: proto::lint_finding::Severity::Error.into(),
        message: format!("{channel}: {}", error.sentence),
        path: error.file.clone(),
        line: i32::try_from(error.line).unwrap_or(0),
        column: i32::try_from(error.column).unwrap_or(0),
        locale: locale.to_owned(),
    }
}

#[cfg(test)]
mod tests;
