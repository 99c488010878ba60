//! How deep a recursive schema is unrolled.
//!
//! A schema here is shared and never changes, so it can't hold itself: a struct within itself is written out level by level,
//! and data below the last level are refused. Where a level holds itself several times, the whole doubles with each, so the
//! number of levels depends on how much that makes. A pass that makes too much, or nests too deep, ends at once: a few lines
//! of a schema can stand for more than there is memory, or for a nesting that no stack holds.

use connect_api::{Error, Result, Schema};

/// Levels at most.
const LEVELS_MAX: usize = 64;
/// Levels at least.
const LEVELS_MIN: usize = 3;
/// How many schemas the whole may have, counted as often as they occur, while there are levels to do without.
const SCHEMAS_MAX: u64 = 20_000;
/// How many it may have with the least levels, or when it doesn't hold itself.
const SCHEMAS_LAST: u64 = 200_000;
/// How many parameters, and pieces of text, all schemas may have. An enum has one for each symbol wherever it is used.
const PARAMETERS_MAX: usize = 2_000_000;
/// How many bytes of a text are as much as a parameter.
const TEXT_OF_PARAMETER: usize = 64;
/// How deep schemas may hold each other. Making and reading them recurse, and a thread of the worker has a stack of 2 MB.
const DEPTH_MAX: usize = 200;

/// One attempt to convert a schema, with a number of levels.
pub(crate) struct Pass {
    pub(crate) levels: usize,
    /// Whether the schema holds itself, so that levels matter.
    pub(crate) recursive: bool,
    depth: usize,
    schemas: u64,
    parameters: usize,
    exceeded: bool,
}

impl Pass {
    fn new(levels: usize) -> Self {
        Self { levels, recursive: false, depth: 0, schemas: 0, parameters: 0, exceeded: false }
    }

    /// Begins a schema within those that were begun.
    pub(crate) fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.exceeded = true;
            return Err(Error::data(format!(
                "the schema nests deeper than {DEPTH_MAX} levels, or holds itself where no struct can be unrolled"
            )));
        }
        self.add(1)
    }

    /// Ends the schema that was begun last.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Counts schemas.
    pub(crate) fn add(&mut self, schemas: u64) -> Result<()> {
        self.schemas = self.schemas.saturating_add(schemas);
        let most = if self.recursive && self.levels > LEVELS_MIN { SCHEMAS_MAX } else { SCHEMAS_LAST };
        if self.schemas > most {
            self.exceeded = true;
            return Err(Error::data(format!("the schema is too large: written out, it is more than {most} schemas")));
        }
        Ok(())
    }
}

impl Pass {
    /// Counts what a schema has besides its type.
    pub(crate) fn weigh(&mut self, schema: &Schema) -> Result<()> {
        let doc = schema.doc.as_ref().map_or(0, |doc| doc.len());
        let parameters = schema.parameters.iter().flatten();
        let text = parameters.map(|(key, value)| TEXT_OF_PARAMETER + key.len() + value.len()).sum::<usize>() + doc;
        self.parameters = self.parameters.saturating_add(text / TEXT_OF_PARAMETER);
        if self.parameters > PARAMETERS_MAX {
            self.exceeded = true;
            return Err(Error::data(format!(
                "the schema is too large: written out, it has more than {PARAMETERS_MAX} parameters and pieces of text"
            ))
            .hint("an enum counts with all its symbols wherever it is used"));
        }
        Ok(())
    }
}

/// Converts with the most levels that are within bounds; an error when there are none.
pub(crate) fn unrolled<T>(mut convert: impl FnMut(&mut Pass) -> Result<T>) -> Result<T> {
    let mut levels = LEVELS_MAX;
    loop {
        let mut pass = Pass::new(levels);
        let outcome = convert(&mut pass);
        if outcome.is_ok() || !pass.exceeded || !pass.recursive || levels <= LEVELS_MIN {
            return outcome;
        }
        levels = (levels / 2).max(LEVELS_MIN);
    }
}

/// What is said of data that go deeper.
pub(crate) const TOO_DEEP: &str = "the record holds itself deeper than its schema is unrolled to here";

/// Runs a test with the stack that threads of the worker have.
#[cfg(test)]
pub(crate) fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_halved_until_the_whole_is_small_enough() {
        let of = |recursive: bool, schemas: fn(usize) -> u64| {
            unrolled(|pass| {
                pass.recursive = recursive;
                pass.add(schemas(pass.levels)).map(|()| pass.levels)
            })
        };
        assert_eq!(of(true, |levels| 2u64.saturating_pow(levels as u32)).unwrap(), 8);
        assert_eq!(of(true, |levels| 10 * levels as u64).unwrap(), LEVELS_MAX);
        assert_eq!(of(true, |_| SCHEMAS_LAST).unwrap(), LEVELS_MIN);
        assert_eq!(of(false, |_| SCHEMAS_LAST).unwrap(), LEVELS_MAX);
        for recursive in [true, false] {
            assert!(of(recursive, |_| u64::MAX).unwrap_err().message().starts_with("the schema is too large"));
        }
    }

    #[test]
    fn levels_are_halved_until_the_nesting_is_shallow_enough() {
        let levels = unrolled(|pass| {
            pass.recursive = true;
            (0..pass.levels * 10).try_for_each(|_| pass.enter()).map(|()| pass.levels)
        });
        assert_eq!(levels.unwrap(), 16);
    }
}
