//! Replays `transforms.jsonl`: transforms, predicates, and transforms behind a predicate.

use std::path::Path;

use connect_api::{Error, Plugin, PluginKind, Predicate, Transform};
use serde_json::Value as Json;

use super::outcome::{Outcome, Verdict, replay, same_error};
use super::{codec, compare};

/// Replays the file.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    let plugins = connect_transforms::plugins();
    let class = |v: &Json| v["class"].as_str().unwrap_or_default().to_owned();
    replay(dir, "transforms", class, |vector| check(&plugins, vector))
}

fn find<'a>(plugins: &'a [Plugin], class: &Json) -> Result<&'a PluginKind, Verdict> {
    let class = class.as_str().unwrap_or_default();
    let plugin = plugins.iter().find(|plugin| plugin.class == class);
    plugin.map(|plugin| &plugin.kind).ok_or_else(|| Verdict::Unsupported(format!("{class} is not built")))
}

fn make_transform(kind: &PluginKind, config: &Json) -> Result<Box<dyn Transform>, Error> {
    match kind {
        PluginKind::Transformation(make) => make(&codec::props(config)),
        _ => Err(Error::connect("not a transform")),
    }
}

fn make_predicate(kind: &PluginKind, config: &Json) -> Result<Box<dyn Predicate>, Error> {
    match kind {
        PluginKind::Predicate(make) => make(&codec::props(config)),
        _ => Err(Error::connect("not a predicate")),
    }
}

fn check(plugins: &[Plugin], vector: &Json) -> Verdict {
    let judged = match vector["kind"].as_str() {
        Some("predicate") => predicate(plugins, vector),
        _ => transform(plugins, vector),
    };
    judged.unwrap_or_else(|verdict| verdict)
}

fn unsupported(codec::Undecodable(why): codec::Undecodable) -> Verdict {
    Verdict::Unsupported(why)
}

fn predicate(plugins: &[Plugin], vector: &Json) -> Result<Verdict, Verdict> {
    let kind = find(plugins, &vector["class"])?;
    let record = codec::record(&vector["input"]).map_err(unsupported)?;
    let answer = make_predicate(kind, &vector["config"]).and_then(|predicate| predicate.test(&record));
    Ok(match answer {
        Err(error) if !vector["error"].is_null() => same_error(&vector["error"], &error),
        Err(error) => Verdict::Failed(format!("expected {}, got error {}", vector["output"], error.trace())),
        Ok(answer) if Json::Bool(answer) == vector["output"] => Verdict::Passed,
        Ok(answer) => Verdict::Failed(format!("expected {} {}, got {answer}", vector["output"], vector["error"])),
    })
}

fn transform(plugins: &[Plugin], vector: &Json) -> Result<Verdict, Verdict> {
    let kind = find(plugins, &vector["class"])?;
    let gate = &vector["predicate"];
    let gate_kind = if gate.is_null() { None } else { Some(find(plugins, &gate["class"])?) };
    let record = codec::record(&vector["input"]).map_err(unsupported)?;
    let passed = || -> Result<_, Error> {
        let transform = make_transform(kind, &vector["config"])?;
        if let Some(gate_kind) = gate_kind {
            let fits = make_predicate(gate_kind, &gate["config"])?.test(&record)?;
            if fits == (gate["negate"] == Json::Bool(true)) {
                return Ok(Some(record.clone()));
            }
        }
        transform.apply(record.clone())
    };
    let passed = passed();
    if !vector["error"].is_null() {
        return Ok(match passed {
            Err(error) => same_error(&vector["error"], &error),
            Ok(record) => Verdict::Failed(format!("expected error {}, got {record:?}", vector["error"]["message"])),
        });
    }
    let expected = match &vector["output"] {
        Json::Null => None,
        output => Some(codec::record(output).map_err(unsupported)?),
    };
    Ok(match (expected, passed) {
        (_, Err(error)) => Verdict::Failed(format!("got error {}", error.trace())),
        (None, Ok(None)) => Verdict::Passed,
        (Some(expected), Ok(Some(record))) => {
            compare::records(&expected, &record).map_or_else(Verdict::Failed, |()| Verdict::Passed)
        }
        (expected, Ok(record)) => Verdict::Failed(format!("expected {expected:?}, got {record:?}")),
    })
}
