//! Columns of types that other crates define, without a [`Column`](crate::Column) of their own: functions for
//! `#[part(with = "…")]`.

/// A column of a type that prints and parses: text.
///
/// ```
/// use pony_state::{Entity, Part, Read, State};
/// use std::net::SocketAddr;
/// use std::num::NonZeroU8;
///
/// #[derive(Debug, Clone, PartialEq, Entity)]
/// #[entity(table = "server")]
/// struct Server {
///     #[entity(key, with = "pony_state::as_text")]
///     addr: SocketAddr,
///     desired: Option<ServerDesired>,
/// }
///
/// #[derive(Debug, Clone, PartialEq, Part)]
/// struct ServerDesired {
///     #[part(with = "pony_state::as_text")]
///     weight: Option<NonZeroU8>,
/// }
///
/// let mut state = State::builder().table::<Server>().build()?;
/// let (addr, weight) = ("10.0.0.1:80".parse()?, NonZeroU8::new(7));
/// let mut tx = state.transaction();
/// tx.set_desired::<Server>(&addr, ServerDesired { weight });
/// tx.commit();
/// let found = state.table::<Server>().find("weight", "7").next();
/// assert_eq!(found.map(|server| server.addr), Some(addr));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// Equal values must print the same text, and what was printed must parse as the same value.
pub mod as_text {
    use crate::column::Column;
    use crate::schema::ColumnType;
    use crate::value::{Text, Value, ValueError, quote};
    use std::fmt::Display;
    use std::str::FromStr;

    /// [`ColumnType::Text`].
    ///
    /// ```
    /// assert_eq!(pony_state::as_text::column_type(), pony_state::ColumnType::Text);
    /// ```
    #[must_use]
    pub fn column_type() -> ColumnType {
        ColumnType::Text
    }

    /// The text that it prints.
    ///
    /// ```
    /// assert_eq!(pony_state::as_text::to_value(&'x'), "x".into());
    /// ```
    pub fn to_value<T: Display>(it: &T) -> Value {
        Value::from(it.to_string())
    }

    /// What the text stands for.
    ///
    /// ```
    /// assert_eq!(pony_state::as_text::from_value(&"x".into()), Ok('x'));
    /// let error = pony_state::as_text::from_value::<u8>(&"x".into()).unwrap_err();
    /// assert_eq!(error.to_string(), "`\"x\"` is not allowed: invalid digit found in string");
    /// ```
    ///
    /// # Errors
    /// [`ValueError`], where it is not text, or does not parse.
    pub fn from_value<T: FromStr<Err: Display>>(value: &Value) -> Result<T, ValueError> {
        let text = Text::from_value(value)?;
        text.parse().map_err(|error: T::Err| ValueError::Refused {
            found: quote(&value.to_json()),
            reason: error.to_string(),
        })
    }
}

/// A column of a type that [`serde`] takes and gives: JSON.
///
/// ```
/// use pony_state::Part;
/// use std::time::Duration;
///
/// #[derive(Debug, Clone, PartialEq, Part)]
/// struct Policy {
///     #[part(with = "pony_state::as_json", default_json = r#"{"secs": 5, "nanos": 0}"#)]
///     timeout: Duration,
/// }
/// assert_eq!(Policy::columns()[0].ty, pony_state::ColumnType::Json);
/// ```
pub mod as_json {
    use crate::schema::ColumnType;
    use crate::value::{Value, ValueError, quote};
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value as Json;
    use std::sync::Arc;

    /// [`ColumnType::Json`].
    ///
    /// ```
    /// assert_eq!(pony_state::as_json::column_type(), pony_state::ColumnType::Json);
    /// ```
    #[must_use]
    pub fn column_type() -> ColumnType {
        ColumnType::Json
    }

    /// What it serializes as.
    ///
    /// ```
    /// assert_eq!(pony_state::as_json::to_value(&[1, 2]).to_string(), "[1,2]");
    /// ```
    ///
    /// # Panics
    /// Where it does not become JSON, or becomes `null`: its type is none of such a column then, which is a mistake in
    /// the program.
    pub fn to_value<T: Serialize>(it: &T) -> Value {
        match serde_json::to_value(it) {
            Ok(Json::Null) => panic!("a column `as_json` must not become null; make it an `Option`"),
            Ok(json) => Value::Json(Arc::new(json)),
            Err(error) => panic!("a column `as_json` must become JSON: {error}"),
        }
    }

    /// What deserializes from it.
    ///
    /// ```
    /// use pony_state::as_json::{from_value, to_value};
    ///
    /// assert_eq!(from_value(&to_value(&[1, 2])), Ok([1, 2]));
    /// let error = from_value::<bool>(&to_value(&"x")).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`\"x\"` is not allowed: invalid type: string \"x\", expected a boolean"
    /// );
    /// ```
    ///
    /// # Errors
    /// [`ValueError`], where it is not JSON, or not of that shape.
    pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, ValueError> {
        let Value::Json(json) = value else {
            return Err(ValueError::wrong_type(&ColumnType::Json, value));
        };
        T::deserialize(&**json)
            .map_err(|error| ValueError::Refused { found: quote(json), reason: error.to_string() })
    }
}
