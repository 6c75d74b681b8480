//! Files of requests: read line by line, sent as a stream, each refused line told by its number.
//!
//! Memory stays bounded however long the file is: what is read waits for the gateway to take it. Safe to run again
//! after any break, since every line carries its own request id.

use std::path::Path;

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::io::{AsyncBufRead, BufReader};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::failure::{Exit, Failure};
use super::input::{Line, Lines};
use super::output::{Output, clean, note};
use super::session::{Session, codec, sentence};
use super::show;
use crate::client::Refusal;
use crate::client::Target;
use crate::proto::stream_notifications_response::Result as Answer;
use crate::proto::{
    JsonCodec, SendNotificationRequest, StreamNotificationsRequest, StreamNotificationsResponse,
};

/// Requests read ahead of the gateway.
const AHEAD: usize = 64;

/// A file or standard input, as lines.
pub(super) type Source = Lines<Box<dyn AsyncBufRead + Unpin + Send>>;

/// Opens a file of requests, `-` for standard input, with its size where it has one.
pub(super) async fn open(path: &Path) -> Result<(Source, Option<u64>), Failure> {
    if path == Path::new("-") {
        let input: Box<dyn AsyncBufRead + Unpin + Send> =
            Box::new(BufReader::new(tokio::io::stdin()));
        return Ok((Lines::new(input), None));
    }
    let unreadable = |error: std::io::Error| {
        Failure::failed(
            format!("{} cannot be read: {error}", path.display()),
            "check the path and its permissions",
        )
    };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let size = file.metadata().await.map_err(unreadable)?.len();
    let input: Box<dyn AsyncBufRead + Unpin + Send> = Box::new(BufReader::new(file));
    Ok((Lines::new(input), Some(size)))
}

/// A refusal before any gateway was asked.
pub(super) fn here(reason: &str, message: &str) -> Refusal {
    Refusal {
        reason: reason.to_owned(),
        message: message.to_owned(),
        fields: Vec::new(),
        facts: Vec::new(),
        retry_after: None,
    }
}

/// What is wrong with a line's JSON: it is always at "line 1" of itself, which says nothing beside its number.
pub(super) fn within_line(why: &str) -> String {
    why.replace(" at line 1 column ", " at column ")
}

/// How far it has come: a bar on a terminal, counts at the end.
pub(super) struct Progress {
    bar: ProgressBar,
    /// What a request that was taken is called at the end.
    taken: &'static str,
    accepted: u64,
    replayed: u64,
    refused: u64,
}

impl Progress {
    /// A bar over a file of `size` bytes, or a spinner.
    pub(super) fn new(size: Option<u64>, taken: &'static str) -> Self {
        let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = if size.is_some() {
            "{bar:32} {percent:>3} %  {msg}, {eta} left"
        } else {
            "{spinner} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let progress = Self {
            bar,
            taken,
            accepted: 0,
            replayed: 0,
            refused: 0,
        };
        progress.show();
        progress
    }

    /// Bytes of the file that were read.
    pub(super) fn read(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Requests that were taken.
    pub(super) fn took(&mut self, count: u64) {
        self.accepted += count;
        self.show();
    }

    /// A line that was refused.
    pub(super) fn refused(
        &mut self,
        output: &mut Output,
        line: u64,
        refusal: &Refusal,
    ) -> Result<(), Failure> {
        self.refused += 1;
        self.show();
        if output.is_json() {
            let item = json!({"line": line, "error": {"reason": refusal.reason, "message": refusal.message}});
            return Ok(self.bar.suspend(|| output.json_line(&item))?);
        }
        let text = format!("line {line}: {}", clean(&sentence(refusal)));
        self.bar.suspend(|| note(&text));
        Ok(())
    }

    fn answered(&self) -> u64 {
        self.accepted + self.replayed + self.refused
    }

    fn show(&self) {
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let rate = self.answered() as f64 / seconds;
        self.bar.set_message(format!(
            "{} taken, {} refused, {rate:.0}/s",
            self.accepted + self.replayed,
            self.refused
        ));
    }

    /// The counts, and a failure if anything was refused.
    pub(super) fn finish(&self, output: &mut Output) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        if !output.is_json() {
            output.fields(&[
                (self.taken, self.accepted.to_string().into()),
                ("seen before", self.replayed.to_string().into()),
                ("refused", self.refused.to_string().into()),
            ])?;
        }
        if self.refused > 0 {
            return Err(Failure::Silent(Exit::Failed));
        }
        Ok(())
    }
}

/// What the reading task tells.
enum Read {
    /// A line went on its way.
    Sent { bytes: u64 },
    /// A line is no request.
    Refused { line: u64, bytes: u64, why: String },
    /// The file cannot be read on.
    Broken(std::io::Error),
}

/// `tidings send --file`
pub(super) async fn send(
    target: &Target,
    output: &mut Output,
    path: &Path,
    dry_run: bool,
) -> Result<(), Failure> {
    let (lines, size) = open(path).await?;
    let session = Session::open(target).await?;
    let (requests, outgoing) = mpsc::channel(AHEAD);
    let (told, events) = mpsc::channel(AHEAD);
    let reader = tokio::spawn(read(lines, codec()?, dry_run, requests, told));
    let mut stream = Stream {
        progress: Progress::new(size, if dry_run { "valid" } else { "accepted" }),
        output,
        sent: 0,
        refused_here: 0,
        broken: None,
    };
    let result = stream.run(&session, outgoing, events).await;
    reader.abort();
    result?;
    stream.finish()
}

/// Reads requests and passes them on, waiting when the gateway is slower than the disk.
async fn read(
    mut lines: Source,
    codec: JsonCodec,
    dry_run: bool,
    requests: mpsc::Sender<StreamNotificationsRequest>,
    told: mpsc::Sender<Read>,
) {
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => {
                let _ = told.send(Read::Broken(error)).await;
                return;
            }
        };
        let (number, bytes) = (line.number, line.bytes);
        let event = match parse(&codec, line, dry_run) {
            Ok(request) => {
                if requests.send(request).await.is_err() {
                    return;
                }
                Read::Sent { bytes }
            }
            Err(why) => Read::Refused {
                line: number,
                bytes,
                why,
            },
        };
        if told.send(event).await.is_err() {
            return;
        }
    }
}

fn parse(
    codec: &JsonCodec,
    line: Line,
    dry_run: bool,
) -> Result<StreamNotificationsRequest, String> {
    let mut request: SendNotificationRequest =
        codec.read("SendNotificationRequest", &line.text?)?;
    request.validate_only |= dry_run;
    Ok(StreamNotificationsRequest {
        // The sequence comes back with the answer: it is the line, so nothing has to be remembered.
        sequence: i64::try_from(line.number).unwrap_or(i64::MAX),
        request: Some(request),
    })
}

struct Stream<'a> {
    progress: Progress,
    output: &'a mut Output,
    sent: u64,
    refused_here: u64,
    broken: Option<std::io::Error>,
}

impl Stream<'_> {
    async fn run(
        &mut self,
        session: &Session,
        outgoing: mpsc::Receiver<StreamNotificationsRequest>,
        mut events: mpsc::Receiver<Read>,
    ) -> Result<(), Failure> {
        let call = session
            .client
            .notifications()
            .stream_notifications(ReceiverStream::new(outgoing))
            .await;
        let mut answers = call.map_err(|error| session.fault(error))?.into_inner();
        loop {
            tokio::select! {
                Some(event) = events.recv() => self.note(event)?,
                answer = answers.next() => match answer {
                    Some(Ok(answer)) => self.answer(answer)?,
                    Some(Err(error)) => return Err(self.lost(&session.fault(error))),
                    None => break,
                },
            }
        }
        // The gateway ends the stream after the last answer; what the reader told last may still lie there.
        while let Ok(event) = events.try_recv() {
            self.note(event)?;
        }
        Ok(())
    }

    fn note(&mut self, event: Read) -> Result<(), Failure> {
        match event {
            Read::Sent { bytes } => {
                self.sent += 1;
                self.progress.read(bytes);
            }
            Read::Refused { line, bytes, why } => {
                self.refused_here += 1;
                self.progress.read(bytes);
                self.progress.refused(
                    self.output,
                    line,
                    &here("FIELD_INVALID", &within_line(&why)),
                )?;
            }
            Read::Broken(error) => self.broken = Some(error),
        }
        Ok(())
    }

    fn answer(&mut self, answer: StreamNotificationsResponse) -> Result<(), Failure> {
        let line = u64::try_from(answer.sequence).unwrap_or(0);
        match answer.result {
            Some(Answer::Accepted(accepted)) => {
                if accepted.replayed {
                    self.progress.replayed += 1;
                } else {
                    self.progress.accepted += 1;
                }
                self.progress.show();
                if self.output.is_json() {
                    let name = accepted
                        .notification
                        .map(|notification| notification.name)
                        .unwrap_or_default();
                    let item = json!({"line": line, "notification": show::id(&name), "replayed": accepted.replayed});
                    let output = &mut self.output;
                    self.progress.bar.suspend(|| output.json_line(&item))?;
                }
                Ok(())
            }
            Some(Answer::Error(status)) => {
                let refusal = Refusal::of_item(&status);
                self.progress.refused(self.output, line, &refusal)
            }
            None => {
                self.progress
                    .refused(self.output, line, &here("INTERNAL", "the answer is empty"))
            }
        }
    }

    fn unanswered(&self) -> u64 {
        (self.sent + self.refused_here).saturating_sub(self.progress.answered())
    }

    fn lost(&self, cause: &Failure) -> Failure {
        self.progress.bar.finish_and_clear();
        let what = match cause {
            Failure::Told { what, .. } => what.clone(),
            Failure::Silent(_) => "the stream ended".to_owned(),
        };
        Failure::told(
            cause.exit(),
            format!(
                "{what}; {} taken, at least {} without an answer",
                self.progress.accepted + self.progress.replayed,
                self.unanswered()
            ),
            "run the same file again: request ids keep anything from being sent twice",
        )
    }

    fn finish(self) -> Result<(), Failure> {
        if let Some(error) = &self.broken {
            return Err(self.lost(&Failure::failed(
                format!("the file cannot be read on: {error}"),
                "",
            )));
        }
        if self.unanswered() > 0 {
            return Err(self.lost(&Failure::told(
                Exit::Unreachable,
                "the gateway ended the stream",
                "",
            )));
        }
        self.progress.finish(self.output)
    }
}
