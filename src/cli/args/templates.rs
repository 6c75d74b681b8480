//! `tidings templates`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::parse;
use crate::domain::channel::Channel;

/// `tidings templates`
#[derive(Clone, Debug, Subcommand)]
pub enum TemplatesCommand {
    /// List the templates.
    List,
    /// Render a template with a sample or with data; nothing is sent.
    Render(RenderOptions),
    /// Write the pictures of a folder of templates under the names that mails call them by.
    Assets(AssetsOptions),
}

/// `tidings templates assets`
#[derive(Clone, Debug, Args)]
pub struct AssetsOptions {
    /// The folder of templates.
    #[arg(value_name = "DIR")]
    pub templates: PathBuf,
    /// Where to write them; what is in it belongs at the base_url of the section assets in shop.toml.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `tidings templates render`
#[derive(Clone, Debug, Args)]
pub struct RenderOptions {
    /// The template's key, such as order.shipped.
    pub template: String,
    /// The language. Without it: the template's default.
    #[arg(long)]
    pub locale: Option<String>,
    /// A sample of the template repository. Without it: typical.
    #[arg(long, conflicts_with = "data")]
    pub sample: Option<String>,
    /// The variables as a JSON object in a file; - reads standard input.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// This channel only.
    #[arg(long, value_parser = parse::channel)]
    pub channel: Option<Channel>,
    /// This part only, as it is.
    #[arg(long)]
    pub part: Option<Part>,
}

/// A part of a rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The HTML of a mail.
    Html,
    /// The text.
    Text,
    /// The subject of a mail.
    Subject,
}
