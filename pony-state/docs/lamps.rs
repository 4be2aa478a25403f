//! The tables that the examples in `pony-state`'s documentation use: lamps in rooms, switches, and wires that join
//! them. They are here, and not in each example, because each would be compiled.

mod exchange;

pub use exchange::{Parts, conversation, exchange, sessions};

use pony_state::{Entity, Part, SchemaError, State, Text};

/// A lamp: how bright it should be, and how bright it is.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "lamp")]
pub struct Lamp {
    /// The room that it hangs in.
    #[entity(key)]
    pub room: Text,
    /// How it should shine.
    pub desired: Option<Light>,
    /// How it shines.
    pub current: Option<Light>,
}

/// How a lamp shines.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct Light {
    /// How bright.
    pub percent: i64,
    /// In which colour, if it has one.
    #[part(index)]
    pub colour: Option<Text>,
}

/// A switch.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "switch")]
pub struct Switch {
    /// Its name.
    #[entity(key)]
    pub name: Text,
    /// It is wanted.
    pub desired: Option<Nothing>,
}

/// Which switch is for which lamp.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "wire", join("switch", "lamp"))]
pub struct Wire {
    /// The switch.
    #[entity(key, references = "switch")]
    pub switch: Text,
    /// The lamp.
    #[entity(key, references = "lamp")]
    pub lamp: Text,
    /// It is wanted.
    pub desired: Option<Nothing>,
}

/// A part without columns: it is there, or it is not.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct Nothing {}

/// A light without colour.
#[must_use]
pub const fn light(percent: i64) -> Light {
    Light { percent, colour: None }
}

/// Two lamps, of which one shines, and a switch with a wire to that.
///
/// # Errors
/// None: the tables fit.
pub fn house() -> Result<State, SchemaError> {
    let mut state = State::builder().table::<Lamp>().table::<Switch>().table::<Wire>().build()?;
    let mut tx = state.transaction();
    tx.set_desired::<Lamp>(&"hall".into(), light(80));
    tx.set_current::<Lamp>(&"hall".into(), light(20));
    tx.set_desired::<Lamp>(&"attic".into(), light(50));
    tx.set_desired::<Switch>(&"door".into(), Nothing {});
    tx.set_desired::<Wire>(&("door".into(), "hall".into()), Nothing {});
    tx.commit();
    Ok(state)
}
