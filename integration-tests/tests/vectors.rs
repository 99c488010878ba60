//! Replays the golden vectors: what the JVM's own classes do, recorded from them.
//!
//! `CONNECT_VECTORS` names another directory of vectors; `--strict` or `CONNECT_VECTORS_STRICT=1` also refuses, in the
//! classes that `vectors/done.toml` lists, what is not supported yet. `CONNECT_VECTORS_SHOW=n` prints the first `n`
//! failures of each class. A word on the command line selects files by name. Each file counts as one test.

#[path = "vectors/builder.rs"]
mod builder;
#[path = "vectors/clientprops.rs"]
mod clientprops;
#[path = "vectors/codec.rs"]
mod codec;
#[path = "vectors/compare.rs"]
mod compare;
#[path = "vectors/configs.rs"]
mod configs;
#[path = "vectors/converters.rs"]
mod converters;
#[path = "vectors/done.rs"]
mod done;
#[path = "vectors/outcome.rs"]
mod outcome;
#[path = "vectors/records.rs"]
mod records;
#[path = "vectors/transforms.rs"]
mod transforms;
#[path = "vectors/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use done::Done;
use outcome::{Outcome, Verdict};

type Run = fn(&Path) -> Vec<Outcome>;

const FILES: [(&str, Run); 6] = [
    ("clientprops", clientprops::run),
    ("configs", configs::run),
    ("converters", converters::run),
    ("records", records::run),
    ("transforms", transforms::run),
    ("values", values::run),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        FILES.iter().for_each(|(file, _)| println!("{file}: test"));
        return ExitCode::SUCCESS;
    }
    let strict = args.iter().any(|arg| arg == "--strict")
        || std::env::var("CONNECT_VECTORS_STRICT").is_ok_and(|v| !matches!(v.as_str(), "" | "0" | "false"));
    let words = positional(&args);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let dir = std::env::var_os("CONNECT_VECTORS").map_or_else(|| own.clone(), PathBuf::from);
    let done = Done::read(&own.join("done.toml"));
    let chosen: Vec<_> =
        FILES.into_iter().filter(|(file, _)| words.is_empty() || words.iter().any(|w| file.contains(w))).collect();

    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for (file, run) in &chosen {
        let outcomes: Vec<Outcome> = run(&dir).into_iter().map(|outcome| done.excuse(outcome)).collect();
        let good = report(&outcomes, &done, strict);
        println!("test vectors::{file} ... {}", if good { "ok" } else { "FAILED" });
        failed += usize::from(!good);
    }
    let (verdict, passed) = (if failed == 0 { "ok" } else { "FAILED" }, chosen.len() - failed);
    let filtered = FILES.len() - chosen.len();
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The words that are no options, leaving out the values of the options that the standard harness takes.
fn positional(args: &[String]) -> Vec<&str> {
    const WITH_VALUE: [&str; 6] = ["--test-threads", "--skip", "--format", "--color", "--logfile", "-Z"];
    let mut words = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if WITH_VALUE.contains(&arg.as_str()) {
            args.next();
        } else if !arg.starts_with('-') {
            words.push(arg.as_str());
        }
    }
    words
}

/// Prints a line per class, and says whether the classes that are done are as they must be.
fn report(outcomes: &[Outcome], done: &Done, strict: bool) -> bool {
    let show: usize = std::env::var("CONNECT_VECTORS_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut classes: BTreeMap<(&str, &str), Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        classes.entry((outcome.file, &outcome.class)).or_default().push(outcome);
    }
    let mut good = true;
    for ((file, class), outcomes) in classes {
        let is_done = done.lists(file, class);
        let bad = |o: &&&Outcome| matches!(o.verdict, Verdict::Failed(_));
        let unsupported = |o: &&&Outcome| matches!(o.verdict, Verdict::Unsupported(_));
        let (failed, missing) = (outcomes.iter().filter(bad).count(), outcomes.iter().filter(unsupported).count());
        let passed = outcomes.len() - failed - missing;
        let mark = if is_done { " (done)" } else { "" };
        println!("  {file} {class}{mark}: {passed} passed, {failed} failed, {missing} not supported yet");
        let refuses = is_done && (failed > 0 || (strict && missing > 0));
        good &= !refuses;
        let shown = outcomes.iter().filter(|o| bad(o) || (unsupported(o) && (refuses || show > 3)));
        for outcome in shown.take(show) {
            println!("    {} {:?}", outcome.id, outcome.verdict);
        }
    }
    good
}
