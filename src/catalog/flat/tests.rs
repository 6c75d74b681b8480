use serde_json::{Value, json};

use super::*;
use crate::catalog::bundle::Bundle;
use crate::catalog::compile;
use crate::catalog::compose::{Order, compose};
use crate::catalog::skeleton::Skeleton;
use crate::catalog::source::Files;
use crate::domain::intent::Variables;

/// A partial, how it is included, and whether it can be put in its place.
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
    ("{{> q}}", "{{> p word=a.b}}", true),
    ("{{> q word=b}}", "{{> p text=a.b}}", true),
    ("{{> whole word=text}}", "{{> p text=a.b}}", true),
    ("{{b}}", "{{> p text=a.b}}", true),
    ("{{text}}{{b}}", "{{> p text=a.b}}", true),
    ("{{#if b}}{{text}}{{/if}}", "{{> p text=a.b}}", true),
    (
        "{{#if text}}{{text}}{{else}}{{b}}{{/if}}",
        "{{> p text=''}}",
        true,
    ),
    ("{{#if (eq text b)}}same{{/if}}", "{{> p text='B'}}", true),
    ("{{#unless text}}{{b}}{{/unless}}", "{{> p text=''}}", true),
    ("{{#each list}}{{this}}{{/each}}", "{{> p list=list}}", true),
    ("{{#each list}}{{../b}}{{/each}}", "{{> p list=list}}", true),
    (
        "{{#each list as |item|}}{{item}}{{/each}}",
        "{{> p list=list}}",
        true,
    ),
    ("{{#each this}}{{@key}}{{/each}}", "{{> p text=a.b}}", false),
    ("{{#with text}}{{b}}{{/with}}", "{{> p text=a}}", true),
    ("{{#with this}}{{b}}{{/with}}", "{{> p text=a}}", false),
    ("{{text}}{{../b}}", "{{> p text=a.b}}", true),
    ("{{text}}{{@root.b}}", "{{> p text=a.b}}", true),
    ("{{len this}}", "{{> p text=a.b}}", false),
    (
        "{{lookup this 'b'}}{{lookup text 'b'}}",
        "{{> p text=a}}",
        false,
    ),
    (
        "{{text}}{{> @partial-block}}",
        "{{#> p text=a.b}}{{b}}{{/p}}",
        true,
    ),
    ("{{text}}", "{{#> p text=a.b}}{{b}}{{/p}}", true),
    ("{{b}}", "{{> p a}}", false),
    ("{{text}}{{b}}", "{{> p a text=a.b}}", false),
    (
        "{{#each list}}{{this}}{{@index}}{{/each}}",
        "{{> p text=a.b}}",
        true,
    ),
    (
        "{{#each list}}{{text}}{{../text}}{{../../b}}{{/each}}",
        "{{> p text=a.b}}",
        true,
    ),
    ("{{b}}{{../b}}", "{{#each list}}{{> p}}{{/each}}", true),
    ("{{../b}}", "{{#each list}}{{> p}}{{/each}}", true),
    ("{{../../b}}", "{{#each list}}{{> p}}{{/each}}", true),
    (
        "{{text}}{{@index}}{{@first}}",
        "{{#each list}}{{> p text=this}}{{/each}}",
        true,
    ),
    ("{{#with a}}{{b}}{{text}}{{/with}}", "{{> p text=b}}", true),
    ("{{text}}", "{{> p this text=b}}", true),
    (
        "{{> @partial-block}}",
        "{{#> p}}{{b}}{{#> p}}!{{/p}}{{/p}}",
        true,
    ),
    (
        "{{> q word=text}}{{> @partial-block}}",
        "{{#> p text=b}}{{> q word=text}}{{text}}{{/p}}",
        true,
    ),
    (
        "a\n  {{> q word=text}}\nb\n{{#if text}}\n  c\n{{/if}}\n",
        "{{> p text=b}}",
        true,
    ),
];

fn registry(partial: &str, include: &str) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.set_prevent_indent(true);
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

#[test]
fn a_flat_template_says_what_its_includes_say() {
    for (partial, include, whole) in CASES {
        let mut registry = registry(partial, include);
        registry.register_helper(helpers::BIND, Box::new(helpers::Bind));
        let place = |name: &str| (name.to_owned(), Spot::WHOLE);
        let library = Library {
            registry: &registry,
            place: &place,
            text: &|name| match name {
                "p" => Some(partial),
                "main" => Some(include),
                _ => None,
            },
        };
        let mut flat = flatten(&library, "main").unwrap();
        assert_eq!(flat.kept.is_empty(), *whole, "{partial} in {include}");
        merge(&mut flat.template);
        // As text and back: nothing is lost on that way.
        let skeleton = Skeleton::of(&flat);
        let again = skeleton.rebuild(&skeleton.text).unwrap();
        let fill = |registry: &Handlebars<'_>, name: &str| {
            registry
                .render(name, &variables())
                .map_err(|error| error.reason().to_string())
        };
        let expected = fill(&registry, "main");
        registry.register_template("flat", flat.template);
        registry.register_template("again", again);
        assert_eq!(fill(&registry, "flat"), expected, "{partial} in {include}");
        assert_eq!(fill(&registry, "again"), expected, "{partial} in {include}");
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
    let bundle = || {
        let mut files = Files::embedded().unwrap();
        // CSS in its elements is another matter.
        for text in files.texts.values_mut() {
            *text = text.replace("<style>", "<style data-css-inline=\"ignore\">");
        }
        compile::published(files).unwrap().0
    };
    let (flat, mut plain) = (bundle(), bundle());
    plain.engine.forget_flat();
    let (flat, plain) = (all(&flat), all(&plain));
    assert!(flat.iter().any(|(_, said)| said.starts_with("Err")));
    assert!(
        flat.iter()
            .filter(|(_, said)| !said.starts_with("Err"))
            .count()
            > 100
    );
    for (flat, plain) in flat.iter().zip(&plain) {
        assert_eq!(flat, plain);
    }
}
