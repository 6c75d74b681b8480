//! L5: the command line.
//!
//! Every command but the hosts (`demo`, `dev`, `serve`, `doctor`, `bench`) talks to a gateway over gRPC: the command line has
//! no rights and no rules of its own. Tables and colour on a terminal; tabs, no colour and exact times in a pipe; JSON
//! with `--json`. An error is one line that says what happened and one that says what to do. What hosts do is not
//! here: the application implements [`Hosts`].

use std::io::Write as _;
use std::process::ExitCode;

use async_trait::async_trait;
use clap::{CommandFactory as _, Parser as _};

mod args;
mod assets;
mod bar;
mod bulk;
mod customers;
mod explain;
mod failure;
mod input;
mod keys;
mod notifications;
mod output;
mod parse;
mod recover;
mod screen;
mod send;
mod session;
mod show;
mod tail;
mod templates;
mod unknown;

pub use args::{
    AssetsOptions, BenchOptions, BenchPart, BenchQueue, BenchStore, Chaos, Cli, Command,
    ContentOptions, CustomersCommand, DemoOptions, DevOptions, DoctorOptions, ExplainOptions,
    KeysCommand, MigrateOptions, NotificationsCommand, Part, PreferencesOptions, RecoverOptions,
    RenderOptions, SendOptions, ServeOptions, TailOptions, TemplatesCommand, UnknownCommand,
    UpsertOptions, Verdict,
};

pub use bar::Bar;
pub use screen::{Canvas, Size, complain, document, line, listing, table};

use crate::client::Target;
use failure::{Exit, Failure};
use output::Output;

/// The commands that run a gateway or look at one from inside. Each answers with the process's exit code and has told
/// its errors itself.
#[async_trait(?Send)]
pub trait Hosts {
    /// Everything in one process, with customers and a story.
    async fn demo(&self, options: DemoOptions) -> i32;
    /// Everything in one process, for development.
    async fn dev(&self, options: DevOptions) -> i32;
    /// The gateway with a configuration.
    async fn serve(&self, options: ServeOptions) -> i32;
    /// The store's tables, brought to this release.
    async fn migrate(&self, options: MigrateOptions) -> i32;
    /// Checks of an installation.
    async fn doctor(&self, options: DoctorOptions) -> i32;
    /// Measures a gateway of its own.
    async fn bench(&self, options: BenchOptions) -> i32;
}

/// Reads the command line. Ends the process itself for `--help` and `--version` (0) and for what cannot be read (2).
pub fn parse() -> Cli {
    Cli::parse()
}

/// Does what the command line says.
pub async fn run(cli: Cli, hosts: &dyn Hosts) -> ExitCode {
    let code = match cli.command {
        Command::Demo(options) => hosts.demo(options).await,
        Command::Dev(options) => hosts.dev(options).await,
        Command::Serve(options) => hosts.serve(options).await,
        Command::Migrate(options) => hosts.migrate(options).await,
        Command::Doctor(mut options) => {
            options.json = cli.json;
            hosts.doctor(options).await
        }
        Command::Bench(mut options) => {
            options.json = cli.json;
            hosts.bench(options).await
        }
        command => match talk(&cli.access.target(cli.address), cli.json, command).await {
            Ok(()) => Exit::Done as i32,
            Err(failure) => tell(&failure),
        },
    };
    // An exit code has eight bits; anything else is a failure all the same.
    ExitCode::from(u8::try_from(code).unwrap_or(Exit::Failed as u8))
}

/// The commands that talk to a gateway.
async fn talk(target: &Target, json: bool, command: Command) -> Result<(), Failure> {
    let mut output = Output::standard(json);
    match command {
        Command::Send(options) => send::run(target, &mut output, options).await,
        Command::Explain(options) => explain::run(target, &mut output, options).await,
        Command::Tail(options) => tail::run(target, &mut output, options).await,
        Command::Notifications(command) => notifications::run(target, &mut output, command).await,
        Command::Customers(command) => customers::run(target, &mut output, command).await,
        Command::Templates(command) => templates::run(target, &mut output, command).await,
        Command::Recover(options) => recover::run(target, &mut output, options).await,
        Command::Unknown(command) => unknown::run(target, &mut output, command).await,
        Command::Keys(command) => keys::run(&mut output, &command),
        Command::Completions { shell } => completions(shell),
        // The hosts were taken out before.
        Command::Demo(_)
        | Command::Dev(_)
        | Command::Serve(_)
        | Command::Migrate(_)
        | Command::Doctor(_)
        | Command::Bench(_) => Ok(()),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tidings", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}

/// Tells a failure on standard error; its exit code.
fn tell(failure: &Failure) -> i32 {
    if let Failure::Told { what, advice, .. } = failure {
        output::note(&format!("error: {}", output::clean(what)));
        if !advice.is_empty() {
            output::note(&format!("  try: {}", output::clean(advice)));
        }
    }
    failure.exit() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("tidings").chain(line.split_whitespace()))
    }

    #[test]
    fn commands_are_read() {
        for line in [
            "demo --speed 600x --headless --port 0 --ui-port 0",
            "dev --data d --templates t --chaos email=5% --chaos sms=1%",
            "serve --config c.toml",
            "serve --role worker --channel email,sms --lane bulk",
            "serve --role ingest,scheduler",
            "migrate --config c.toml",
            "send order.shipped --to c-1 --var number=4711 --wait",
            "send order.shipped --to c-1 --wait=30s --request-id r --attach a.pdf",
            "send --file intents.jsonl --dry-run",
            "explain 0192f600-0000-7000-8000-000000000000 --json",
            "explain --template review.request --to c-1 --data d.json --at 2026-11-22T21:30:00Z",
            "--address 127.0.0.1:1 tail --json",
            "notifications list --limit 5 --address 127.0.0.1:1",
            "notifications cancel --key k",
            "customers preferences c-1 --order sms,email --opt-out newsletter",
            "customers import customers.jsonl",
            "templates render order.shipped --locale de --part html",
            "completions bash",
            "serve --paused",
            "recover --from 2026-11-22T21:30:00Z",
            "recover --complete --json",
            "unknown list --limit 5",
            "unknown resolve 0192f600-0000-7000-8000-000000000000 --as resend --reason why --json",
            "keys new",
            "keys new --out orders.key --json",
            "tail --address https://gateway.shop.example --api-key-file k --ca-file c",
            "--certificate-file c --key-file k notifications cancel --key k",
            "bench",
            "bench accept render --seconds 1 --callers 8 --json --data d --chart c.svg",
            "bench all --quick --stored 20000",
        ] {
            assert!(read(line).is_ok(), "{line}: {}", read(line).unwrap_err());
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "",
            "send",
            "send order.shipped",
            "send order.shipped --to c-1 --file f",
            "send --file f --wait",
            "send order.shipped --to c-1 --var a=b --data d.json",
            "send order.shipped --to c-1 --wait=soon",
            "explain",
            "explain x --template t --to c",
            "explain x --at 2026-11-22T21:30:00Z",
            "explain --template t",
            "notifications cancel",
            "notifications cancel x --key k",
            "notifications list --limit 0",
            "customers preferences c --pause-until 2026-11-22T21:30:00Z --resume",
            "templates render t --sample s --data d",
            "demo --speed 0x",
            "dev --chaos fax=5%",
            "completions dos",
            "keys",
            "keys new orders",
            "bench speed",
            "bench --seconds 0",
            "bench --callers 0",
            "bench stored --stored 5",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
