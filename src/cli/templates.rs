//! `tidings templates`: list and render, by the gateway's own rendering.

use super::args::{Part, RenderOptions, TemplatesCommand};
use super::assets;
use super::failure::Failure;
use super::input;
use super::output::{Output, Style, Tone, Toned, clean, clean_block, note};
use super::session::Session;
use super::show;
use crate::client::Target;
use crate::domain::channel::Channel;
use crate::proto::{
    self, LintFinding, ListTemplatesRequest, PreviewTemplateRequest, RenderedContent, Template,
};

/// Templates of one call.
const PAGE: i32 = 1000;

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    command: TemplatesCommand,
) -> Result<(), Failure> {
    match command {
        TemplatesCommand::List => list(target, output).await,
        TemplatesCommand::Render(options) => render(target, output, options).await,
        TemplatesCommand::Assets(options) => assets::run(output, &options),
    }
}

async fn list(target: &Target, output: &mut Output) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTemplatesRequest {
            page_size: PAGE,
            page_token,
            filter: String::new(),
        };
        let page = session.templates(request).await?;
        for template in &page.templates {
            if output.is_json() {
                output.json_line(&session.write("Template", template)?)?;
            } else {
                rows.push(row(template));
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !output.is_json() {
        output.table(
            &[
                "TEMPLATE", "NAME", "CATEGORY", "TOPIC", "CHANNELS", "LOCALES",
            ],
            &rows,
        )?;
    }
    Ok(())
}

fn row(template: &Template) -> Vec<Toned> {
    [
        show::id(&template.name).to_owned(),
        show::or_dash(&template.display_name),
        show::category(template.category),
        show::or_dash(&template.topic),
        show::channels(&template.channels),
        show::or_dash(&template.locales.join(", ")),
    ]
    .into_iter()
    .map(Toned::from)
    .collect()
}

async fn render(
    target: &Target,
    output: &mut Output,
    options: RenderOptions,
) -> Result<(), Failure> {
    let variables = match &options.data {
        Some(path) => input::variables(&[], Some(path))?,
        None => None,
    };
    let session = Session::open(target).await?;
    let mut answer = session
        .preview(PreviewTemplateRequest {
            name: format!("templates/{}", options.template),
            locale: options.locale.clone().unwrap_or_default(),
            sample: options.sample.clone().unwrap_or_default(),
            variables,
            variant: String::new(),
        })
        .await?;
    // One part of everything means the mail's, unless the part is text and a channel says otherwise.
    let wanted = options.channel.or(options.part.map(|_| Channel::Email));
    if let Some(channel) = wanted {
        let wire = show::wire_channel(channel) as i32;
        answer.contents.retain(|content| content.channel == wire);
        if answer.contents.is_empty() {
            return Err(Failure::failed(
                format!("{} has no content for {channel}", options.template),
                "see its channels with: tidings templates list",
            ));
        }
    }
    if let Some(part) = options.part {
        return one_part(output, &answer.contents, part);
    }
    if output.is_json() {
        return Ok(output.json(&session.write("PreviewTemplateResponse", &answer)?)?);
    }
    for content in &answer.contents {
        show_content(output, content)?;
    }
    for finding in &answer.findings {
        note(&finding_line(finding));
    }
    Ok(())
}

/// One part as it is, for a file or a browser; a terminal gets it without control characters.
fn one_part(output: &mut Output, contents: &[RenderedContent], part: Part) -> Result<(), Failure> {
    for content in contents {
        let (text, name) = match part {
            Part::Html => (&content.html, "html"),
            Part::Text => (&content.text, "text"),
            Part::Subject => (&content.subject, "subject"),
        };
        if text.is_empty() {
            return Err(Failure::failed(
                format!("{} has no {name} part", show::channel(content.channel)),
                "only mail has html and subject; give --part text",
            ));
        }
        if output.is_json() {
            output.json(&serde_json::json!({ name: text }))?;
        } else if output.style == Style::Terminal {
            output.raw(&clean_block(text))?;
        } else {
            output.raw(text)?;
        }
    }
    Ok(())
}

fn show_content(output: &mut Output, content: &RenderedContent) -> Result<(), Failure> {
    let size = match proto::Channel::try_from(content.channel) {
        Ok(proto::Channel::Email) => format!("{} bytes of HTML", content.html_byte_count),
        Ok(proto::Channel::Sms) => format!(
            "{} segment{}, {}",
            content.sms_segment_count,
            if content.sms_segment_count == 1 {
                ""
            } else {
                "s"
            },
            content.sms_encoding
        ),
        _ => format!("{} characters", content.text.chars().count()),
    };
    let head = format!("── {} ── {}", show::channel(content.channel), clean(&size));
    let head = output.paint(&head, Tone::Quiet);
    output.line(&head)?;
    if !content.subject.is_empty() {
        output.fields(&[
            ("subject", content.subject.clone().into()),
            ("preheader", show::or_dash(&content.preheader).into()),
        ])?;
        output.line("")?;
    }
    output.raw(&clean_block(&content.text))?;
    Ok(output.line("")?)
}

fn finding_line(finding: &LintFinding) -> String {
    let place = if finding.line > 0 {
        format!("{}:{}:{}", finding.path, finding.line, finding.column)
    } else {
        finding.path.clone()
    };
    clean(&format!("{place}: {} ({})", finding.message, finding.rule))
}
