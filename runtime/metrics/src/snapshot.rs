//! What was measured at one moment, under the JVM's names: domain and type of the MBean, its tags, its attributes.

/// The domain and type of an MBean: `kafka.connect`, `source-task-metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// `kafka.connect`, `kafka.producer`, `debezium.postgres` ...
    pub domain: &'static str,
    /// `source-task-metrics` ...
    pub kind: &'static str,
}

impl Group {
    /// A group of the worker itself.
    pub const fn connect(kind: &'static str) -> Self {
        Self { domain: "kafka.connect", kind }
    }
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Goes up and down.
    Gauge(f64),
    /// Only grows, until the process ends.
    Count(f64),
    /// A name, such as a state or a class.
    Text(String),
}

/// The attributes of one group with its tags.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Which MBean.
    pub group: Group,
    /// What tells it from others of its type, in order.
    pub tags: Vec<(&'static str, String)>,
    /// In order.
    pub values: Vec<(&'static str, Value)>,
}

impl Attributes {
    /// Adds a gauge.
    pub fn gauge(&mut self, attribute: &'static str, value: f64) -> &mut Self {
        self.values.push((attribute, Value::Gauge(value)));
        self
    }

    /// Adds a counter.
    pub fn count(&mut self, attribute: &'static str, value: u64) -> &mut Self {
        self.values.push((attribute, Value::Count(value as f64)));
        self
    }

    /// Adds a text.
    pub fn text(&mut self, attribute: &'static str, value: impl Into<String>) -> &mut Self {
        self.values.push((attribute, Value::Text(value.into())));
        self
    }

    /// The value of a tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| value.as_str())
    }
}

/// Everything that was measured at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    groups: Vec<Attributes>,
}

impl Snapshot {
    /// Begins a group; its attributes are added to what this gives.
    pub fn group(&mut self, group: Group, tags: &[(&'static str, &str)]) -> &mut Attributes {
        let tags = tags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.groups.push(Attributes { group, tags, values: Vec::new() });
        self.groups.last_mut().expect("it was pushed just now")
    }

    /// Adds an attribute to the group that was begun last; there has to be one.
    pub fn put(&mut self, attribute: &'static str, value: Value) {
        if let Some(group) = self.groups.last_mut() {
            group.values.push((attribute, value));
        }
    }

    /// All groups, in the order in which they were begun.
    pub fn groups(&self) -> &[Attributes] {
        &self.groups
    }
}
