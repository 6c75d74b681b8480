//! A mail's HTML filled by handlebars alone, to compare rendering with: the same compiled template, and the plain value
//! where a helper would find words or format money and days. Nothing is bounded, and nothing of it is ever sent.

use handlebars::{
    Context, Handlebars, Helper, HelperResult, JsonRender as _, Output, RenderContext,
};
use serde_json::{Value, json};

use super::Bundle;
use super::helpers::{self, Markup};
use crate::domain::intent::Variables;

/// Helpers that stand for a value.
const VALUES: [&str; 6] = ["t", "money", "date", "time", "number", "url"];

/// The HTML template of one mail with its variables.
pub struct Bare {
    registry: Handlebars<'static>,
    template: String,
    context: Context,
}

impl Bare {
    /// Compiles the HTML of `template`; `None` when the bundle has none.
    pub fn of(bundle: &Bundle, template: &str, variables: &Variables) -> Option<Self> {
        let message = bundle.message(template)?;
        let template = message.file(&bundle.engine, Markup::Html, "email", "en", "")?;
        let compiled = bundle.engine.flat(Markup::Html, &template)?;
        let mut registry = Handlebars::new();
        registry.register_template(&template, compiled.template.clone());
        registry.register_helper(helpers::BIND, Box::new(helpers::Bind));
        for helper in VALUES {
            registry.register_helper(helper, Box::new(value));
        }
        let mut root = variables.0.clone();
        let shop = bundle.shop();
        root.insert("customer".into(), json!({"given_name": "Ada"}));
        root.insert(
            "shop".into(),
            json!({"name": shop.name, "url": shop.url, "support_email": shop.support_email,
                "support_url": shop.support_url, "postal_address": shop.postal_address}),
        );
        root.insert(
            "message".into(),
            json!({"locale": "en", "subject": "An order", "preheader": "It is on its way"}),
        );
        let context = Context::from(Value::Object(root));
        Some(Self {
            registry,
            template,
            context,
        })
    }

    /// The HTML; `None` when handlebars refuses.
    pub fn fill(&self) -> Option<String> {
        self.registry
            .render_with_context(&self.template, &self.context)
            .ok()
    }
}

/// Writes its first argument.
fn value(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    if let Some(param) = helper.param(0) {
        out.write(&param.value().render())?;
    }
    Ok(())
}
