use serde_json::Value;

use super::*;
use crate::catalog::bundle::Bundle;
use crate::catalog::compile;
use crate::catalog::compose::{Order, compose};
use crate::catalog::source::Files;
use crate::domain::intent::Variables;

/// A partial, how it is included, and whether it reads nothing but what it is given.
const CASES: &[(&str, &str, bool)] = &[
    ("words", "{{> p}}", true),
    ("{{text}}", "{{> p text=a.b}}", true),
    ("{{this.text}}", "{{> p text=a.b}}", true),
    ("{{text.b}}{{{text.b}}}", "{{> p text=a}}", true),
    (
        "{{#if text}}{{text}}{{else}}none{{/if}}",
        "{{> p text=a.b}}",
        true,
    ),
    (
        "{{#if (eq text 'B')}}{{len text}}{{/if}}",
        "{{> p text=a.b}}",
        true,
    ),
    (
        "{{#each list}}{{list.[0]}}{{/each}}",
        "{{> p list=list}}",
        true,
    ),
    (
        "{{#each list as |text|}}{{text}}{{/each}}",
        "{{> p list=list text=a}}",
        true,
    ),
    ("{{> q word=text}}", "{{> p text=a.b}}", true),
    ("{{> q}}", "{{> p word=a.b}}", false),
    ("{{> q word=b}}", "{{> p text=a.b}}", false),
    ("{{> whole word=text}}", "{{> p text=a.b}}", false),
    ("{{b}}", "{{> p text=a.b}}", false),
    ("{{text}}{{b}}", "{{> p text=a.b}}", false),
    ("{{#if b}}{{text}}{{/if}}", "{{> p text=a.b}}", false),
    (
        "{{#if text}}{{text}}{{else}}{{b}}{{/if}}",
        "{{> p text=''}}",
        false,
    ),
    ("{{#if (eq text b)}}same{{/if}}", "{{> p text='B'}}", false),
    ("{{#unless text}}{{b}}{{/unless}}", "{{> p text=''}}", false),
    (
        "{{#each list}}{{this}}{{/each}}",
        "{{> p list=list}}",
        false,
    ),
    (
        "{{#each list}}{{../b}}{{/each}}",
        "{{> p list=list}}",
        false,
    ),
    (
        "{{#each list as |item|}}{{item}}{{/each}}",
        "{{> p list=list}}",
        false,
    ),
    ("{{#each this}}{{@key}}{{/each}}", "{{> p text=a.b}}", false),
    ("{{#with text}}{{b}}{{/with}}", "{{> p text=a}}", false),
    ("{{#with this}}{{b}}{{/with}}", "{{> p text=a}}", false),
    ("{{text}}{{../b}}", "{{> p text=a.b}}", false),
    ("{{text}}{{@root.b}}", "{{> p text=a.b}}", false),
    ("{{len this}}", "{{> p text=a.b}}", false),
    (
        "{{lookup this 'b'}}{{lookup text 'b'}}",
        "{{> p text=a}}",
        false,
    ),
    (
        "{{text}}{{> @partial-block}}",
        "{{#> p text=a.b}}{{b}}{{/p}}",
        false,
    ),
    ("{{text}}", "{{#> p text=a.b}}{{b}}{{/p}}", false),
    ("{{b}}", "{{> p a}}", false),
    ("{{text}}{{b}}", "{{> p a text=a.b}}", false),
];

fn registry(partial: &str, include: &str) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    for (name, text) in [
        (
            "main",
            &*format!("{{{{#each loop}}}}{{{{#if b}}}}{include}{{{{/if}}}}{{{{/each}}}}{include}"),
        ),
        ("p", partial),
        ("q", "<{{word}}>"),
        ("whole", "<{{word}}{{b}}>"),
    ] {
        registry.register_template_string(name, text).unwrap();
    }
    registry
}

fn variables() -> Value {
    json!({
        "a": {"b": "B"}, "b": "outer", "list": ["x", "y"],
        "loop": [{"a": {"b": "1"}, "b": "one", "list": []}, {"a": {"b": "2"}, "b": "two", "list": ["z"]}],
    })
}

/// Takes back what [`narrow`] does; no author can write an object as a context.
fn widen(registry: &mut Handlebars<'static>) -> usize {
    let mut count = 0;
    let templates = registry.get_templates().clone();
    for (name, mut template) in templates {
        count += widen_template(&mut template);
        registry.register_template(&name, template);
    }
    count
}

fn widen_template(template: &mut Template) -> usize {
    let mut count = 0;
    for element in &mut template.elements {
        let inner = match element {
            TemplateElement::HelperBlock(block) => {
                [block.template.as_mut(), block.inverse.as_mut()]
            }
            TemplateElement::PartialBlock(include) => [include.template.as_mut(), None],
            TemplateElement::PartialExpression(include) => {
                if include.params == [Parameter::Literal(json!({}))] {
                    include.params.clear();
                    count += 1;
                }
                [None, None]
            }
            _ => [None, None],
        };
        count += inner
            .into_iter()
            .flatten()
            .map(widen_template)
            .sum::<usize>();
    }
    count
}

#[test]
fn an_include_is_narrowed_when_its_partial_reads_only_what_it_is_given() {
    for (partial, include, contained) in CASES {
        let wide = registry(partial, include);
        let mut narrowed = wide.clone();
        narrow(&mut narrowed);
        let fill = |registry: &Handlebars<'_>| {
            registry
                .render("main", &variables())
                .map_err(|error| error.to_string())
        };
        assert_eq!(fill(&narrowed), fill(&wide), "{partial} in {include}");
        let is_narrowed = narrowed.get_template("main") != wide.get_template("main");
        assert_eq!(is_narrowed, *contained, "{partial} in {include}");
        assert_eq!(
            widen(&mut narrowed) > 0,
            is_narrowed || partial.starts_with("{{> q word")
        );
        assert_eq!(narrowed.get_templates(), wide.get_templates());
    }
}

/// Everything that the bundle's samples say, by what says it.
fn all(bundle: &Bundle) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let strange = "<b>&\u{202e}\r\n*_{{this}}";
    for manifest in bundle.manifests() {
        let key = manifest.key.as_str();
        let arms = manifest.variants.iter().map(|arm| arm.name.as_str());
        let arms: Vec<&str> = arms.chain([""]).collect();
        for (sample, channel, locale, name, arm) in bundle
            .sample_names(key)
            .into_iter()
            .chain([""])
            .flat_map(|sample| {
                manifest
                    .channels
                    .iter()
                    .map(move |channel| (sample, *channel))
            })
            .flat_map(|(sample, channel)| {
                bundle
                    .locales(key)
                    .into_iter()
                    .map(move |locale| (sample, channel, locale))
            })
            .flat_map(|(sample, channel, locale)| {
                ["Ada", "", strange].map(|name| (sample, channel, locale.clone(), name))
            })
            .flat_map(|(sample, channel, locale, name)| {
                arms.iter()
                    .map(move |arm| (sample, channel, locale.clone(), name, *arm))
            })
        {
            // Without a sample nothing is given: what fails has to fail at the same place.
            let none = Variables::default();
            let content = compose(
                bundle,
                &Order {
                    template: key,
                    channel,
                    locale: &locale,
                    variables: bundle.sample(key, sample).unwrap_or(&none),
                    given_name: name,
                    time_zone: "Europe/Berlin",
                    message_id: "0192f6a0-0000-7000-8000-000000000001",
                    preferences: "https://p.example/a?b=1&c=2",
                    unsubscribe: "https://u.example/x",
                    variant: arm,
                },
            );
            said.push((
                format!("{key} {channel} {locale} {sample} {name:?} {arm}"),
                match content {
                    Ok(content) => format!("{content:?}"),
                    // Which of several missing values is named first is left to chance.
                    Err(error) => format!("Err {}:{}:{}", error.file, error.line, error.column),
                },
            ));
        }
    }
    said
}

#[test]
fn what_the_shipped_templates_say_stays_the_same() {
    let bundle = || compile::published(Files::embedded().unwrap()).unwrap().0;
    let (narrowed, mut wide) = (bundle(), bundle());
    let mut count = 0;
    wide.engine.change(|registry| count += widen(registry));
    assert!(count >= 50, "only {count} includes are narrowed");
    let (narrowed, wide) = (all(&narrowed), all(&wide));
    assert!(narrowed.iter().any(|(_, said)| said.starts_with("Err")));
    assert!(
        narrowed
            .iter()
            .filter(|(_, said)| !said.starts_with("Err"))
            .count()
            > 100
    );
    for (narrowed, wide) in narrowed.iter().zip(&wide) {
        assert_eq!(narrowed, wide);
    }
}
