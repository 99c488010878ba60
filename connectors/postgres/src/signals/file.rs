//! The file channel: one signal a line, taken out of the file when it is read.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::signals::parse::Signal;

/// Takes all signals out of the file. A file that is not there has none.
pub fn take(path: &Path) -> std::io::Result<Vec<Signal>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    fs::File::create(path)?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).filter_map(read).collect())
}

fn read(line: &str) -> Option<Signal> {
    let signal = serde_json::from_str::<Value>(line).ok().and_then(|value| {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let data = value.get("data")?;
        Some(Signal { id: value.get("id").map(text), kind: text(value.get("type")?), data: Some(data.to_string()) })
    });
    if signal.is_none() {
        tracing::warn!(line, "a line of the signal file is no signal: id, type and data are needed");
    }
    signal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_out_and_others_are_left_out() {
        let path = std::env::temp_dir().join(format!("signals-{}.txt", uuid::Uuid::new_v4()));
        assert_eq!(take(&path).expect("no file is no error"), Vec::new());
        let lines = "{\"id\":\"a\",\"type\":\"log\",\"data\":{\"message\":\"m\"}}\n\nnonsense\n{\"id\":7,\"type\":\"pause-snapshot\",\"data\":{}}\n";
        fs::write(&path, lines).expect("a file can be written");
        let signals = take(&path).expect("the file is read");
        assert_eq!(signals.len(), 2);
        assert_eq!(signals[0].data.as_deref(), Some("{\"message\":\"m\"}"));
        assert_eq!(signals[1].id.as_deref(), Some("7"));
        assert_eq!(fs::read_to_string(&path).expect("the file is there"), "");
        fs::remove_file(&path).expect("the file is there");
    }
}
