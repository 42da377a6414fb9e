//! Where a verb speaks: results to standard output, findings and progress to standard error.

use std::fmt;
use std::io::{self, IsTerminal, StderrLock, StdoutLock, Write};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use policy_lang::source::{SourceFile, Span};

use super::{ColourChoice, ErrorFormat, Global};
use crate::exit::Failure;
use crate::render::{self, Report};

/// Both standard handles, locked, and how they are to be written.
#[derive(Debug)]
pub(crate) struct Console {
    out: io::BufWriter<StdoutLock<'static>>,
    width: usize,
    err: StderrLock<'static>,
    format: ErrorFormat,
    colour: bool,
    progress: bool,
}

impl Console {
    /// Locks the handles.
    pub(crate) fn new(global: &Global) -> Self {
        let (out, err) = (io::stdout().lock(), io::stderr().lock());
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format: global.error_format,
            colour: match global.colour {
                ColourChoice::Always => true,
                ColourChoice::Never => false,
                ColourChoice::Auto => err.is_terminal() && !no_colour,
            },
            progress: err.is_terminal() && global.error_format == ErrorFormat::Human,
            width: width(&out),
            out: io::BufWriter::new(out),
            err,
        }
    }

    /// Writes a line of results; what could command a terminal is made visible.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.raw(&(render::visible(text) + "\n"))
    }

    /// Writes results as they are, for files that are printed instead of written.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Reports a finding.
    pub(crate) fn report(
        &mut self,
        source: Option<&SourceFile>,
        report: &Report,
    ) -> Result<(), Failure> {
        let text = match self.format {
            ErrorFormat::Human => render::terminal(source, report, self.colour) + "\n",
            ErrorFormat::Json => render::json(source, report) + "\n",
        };
        // What was printed before stays before it, where both go to the same place.
        self.out.flush()?;
        Ok(self.err.write_all(text.as_bytes())?)
    }

    /// Says something about a place of a policy, in a line where people read it.
    pub(crate) fn remark(
        &mut self,
        source: &SourceFile,
        span: Span,
        text: &str,
    ) -> Result<(), Failure> {
        if self.format == ErrorFormat::Json {
            return self.report(Some(source), &Report::warning(text).at(span, ""));
        }
        let line = format!("{}: {text}", render::place(source, span));
        self.out.flush()?;
        Ok(writeln!(self.err, "{}", render::visible(&line))?)
    }

    /// Says something beside the results.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Failure> {
        if self.format == ErrorFormat::Json {
            return self.report(None, &Report::warning(text));
        }
        self.out.flush()?;
        Ok(writeln!(self.err, "epochgate: {}", render::visible(text))?)
    }

    /// Writes out what is still in a buffer: its failure must not go unnoticed.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(self.err.flush()?)
    }

    /// How many characters a line of results has room for.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// A line that shows how far long work has come.
    pub(crate) fn progress(&mut self, what: &'static str) -> Progress<'_> {
        Progress {
            console: self,
            what,
            due: Instant::now() + PATIENCE,
            shown: false,
        }
    }

    /// Does `work`, which counts up `done`, and shows meanwhile how many of `all` it has done, or how
    /// many there are so far if nobody knows all. Where that is not shown, `work` gets no thread of its
    /// own.
    pub(crate) fn counting<T: Send>(
        &mut self,
        what: &'static str,
        (done, all): (&AtomicU64, Option<u64>),
        work: impl FnOnce() -> T + Send,
    ) -> T {
        if !self.progress {
            return work();
        }
        let mut progress = self.progress(what);
        let (ended, end) = sync_channel::<()>(0);
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                // Dropped at the end, however that comes.
                let _ended = ended;
                work()
            });
            while end.recv_timeout(PATIENCE / 4) == Err(RecvTimeoutError::Timeout) {
                let done = done.load(Ordering::Relaxed);
                match all {
                    Some(all) => progress.update(done.min(all), all),
                    None => progress.show(format_args!("{done}")),
                }
            }
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// The width of a terminal; a file or a pipe always gets the same.
fn width(out: &StdoutLock<'_>) -> usize {
    let terminal = out
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(out));
    match terminal {
        Some(Ok(size)) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => WIDTH,
    }
}

/// Characters in a line that no terminal limits.
const WIDTH: usize = 100;

/// How long work may take before it is worth a line, and the time between two lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// Progress of long work, on a terminal only; the line goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    console: &'a mut Console,
    what: &'static str,
    due: Instant,
    shown: bool,
}

impl Progress<'_> {
    /// Says that `done` of `all` are done. That it can't be said is no reason to stop the work.
    pub(crate) fn update(&mut self, done: u64, all: u64) {
        self.show(format_args!("{done} of {all}"));
    }

    fn show(&mut self, amount: fmt::Arguments<'_>) {
        if self.console.progress && Instant::now() >= self.due {
            self.due = Instant::now() + PATIENCE / 4;
            self.shown = true;
            let _ = write!(self.console.err, "\r{}: {amount}", self.what);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.shown {
            let _ = self.console.err.write_all(b"\r\x1b[K");
        }
    }
}
