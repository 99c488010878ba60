//! What the user sees: steps, lines and bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use crate::testbed::notice;

const PLAIN_EVERY: Duration = Duration::from_secs(2);
const BAR: &str = "  {prefix:<34} {bar:32} {pos:>9} of {len} {msg}";

/// Standard output.
pub(super) struct Screen {
    bars: Option<MultiProgress>,
    steps: AtomicU32,
    began: Instant,
}

impl Screen {
    pub(super) fn new() -> Self {
        let bars =
            std::io::stdout().is_terminal().then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        let notices = bars.clone();
        notice::redirect(move |text| match &notices {
            Some(bars) => drop(bars.println(format!("  {text}"))),
            None => println!("  {text}"),
        });
        Self { bars, steps: AtomicU32::new(0), began: Instant::now() }
    }

    /// Begins a step.
    pub(super) fn step(&self, what: &str) {
        let number = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        self.line(&format!("[{:>5.1} s] {number}. {what}", self.began.elapsed().as_secs_f64()));
    }

    /// A line within a step.
    pub(super) fn say(&self, text: &str) {
        self.line(&format!("  {}", text.replace('\n', "\n  ")));
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // A terminal that is gone is no reason to stop.
            Some(bars) => drop(bars.println(text)),
            None => println!("{text}"),
        }
    }

    /// A gauge that fills up to `length`.
    pub(super) fn gauge(&self, name: &str, length: u64) -> Gauge<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = bars.add(ProgressBar::new(length).with_style(style));
            bar.set_prefix(name.to_owned());
            bar
        });
        let now = Instant::now();
        Gauge { screen: self, name: name.to_owned(), length, bar, began: now, seen: Mutex::new((now, 0)) }
    }
}

/// One count that grows.
pub(super) struct Gauge<'a> {
    screen: &'a Screen,
    name: String,
    length: u64,
    bar: Option<ProgressBar>,
    began: Instant,
    /// When a plain line was written last, and the last count.
    seen: Mutex<(Instant, u64)>,
}

impl Gauge<'_> {
    /// Shows a count.
    pub(super) fn set(&self, count: u64) {
        let mut seen = self.seen.lock();
        let done = count >= self.length;
        let first_done = done && seen.1 < self.length;
        seen.1 = count;
        let rate = count as f64 / self.began.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.set_position(count);
            if first_done {
                bar.abandon_with_message(format!("{rate:.0}/s"));
            } else if !done {
                bar.set_message(format!("{rate:.0}/s"));
            }
        } else if first_done || (!done && count > 0 && seen.0.elapsed() >= PLAIN_EVERY) {
            seen.0 = Instant::now();
            self.screen.say(&format!("{:<34} {count:>9} of {} {rate:.0}/s", self.name, self.length));
        }
    }

    /// True once the count was reached.
    pub(super) fn full(&self) -> bool {
        self.seen.lock().1 >= self.length
    }
}
