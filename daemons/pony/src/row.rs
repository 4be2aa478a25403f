//! A row as the API shows it: desired and current part, both optional.

use serde_json::{Map, Value as Json};

/// A row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// What was ordered.
    pub desired: Option<Map<String, Json>>,
    /// What is.
    pub current: Option<Map<String, Json>>,
}

impl From<Json> for Row {
    fn from(mut json: Json) -> Self {
        let mut part = |name| match json.get_mut(name).map(Json::take) {
            Some(Json::Object(members)) => Some(members),
            _ => None,
        };
        Self { desired: part("desired"), current: part("current") }
    }
}

impl Row {
    /// The row as JSON again.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let parts = [("desired", &self.desired), ("current", &self.current)];
        parts.into_iter().filter_map(|(name, part)| Some((name, Json::Object(part.clone()?)))).collect()
    }

    /// A column of the desired part.
    #[must_use]
    pub fn desired(&self, column: &str) -> Option<&Json> {
        self.desired.as_ref()?.get(column).filter(|value| !value.is_null())
    }

    /// A column of the current part.
    #[must_use]
    pub fn current(&self, column: &str) -> Option<&Json> {
        self.current.as_ref()?.get(column).filter(|value| !value.is_null())
    }

    /// A text column of the desired part.
    #[must_use]
    pub fn desired_text(&self, column: &str) -> Option<&str> {
        self.desired(column)?.as_str()
    }

    /// A text column of the current part.
    #[must_use]
    pub fn current_text(&self, column: &str) -> Option<&str> {
        self.current(column)?.as_str()
    }

    /// A column of either part, as text; for keys and references.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<String> {
        match self.desired(column).or_else(|| self.current(column))? {
            Json::String(text) => Some(text.clone()),
            other @ (Json::Number(_) | Json::Bool(_)) => Some(other.to_string()),
            _ => None,
        }
    }

    /// The name that was given to it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.desired_text("name")
    }

    /// The name that it has of itself.
    #[must_use]
    pub fn alias(&self) -> Option<&str> {
        self.current_text("hostname").or_else(|| self.current_text("link_name"))
    }
}
