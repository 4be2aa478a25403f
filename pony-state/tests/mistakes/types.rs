//! Types that do not fit.

use pony_state::{Entity, Enum, Part};
use std::time::Duration;

mod elsewhere {
    #[derive(Debug, Clone, PartialEq)]
    pub struct Place {
        pub lat: f64,
        pub lon: f64,
        pub name: String,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Mode {
        Slow,
        Fast,
    }
}

#[derive(Debug, Clone, PartialEq, Part)]
struct NoColumn {
    timeout: Duration,
    retries: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Part)]
struct NoText {
    #[part(with = "pony_state::as_text")]
    timeout: Duration,
    #[part(with = "missing::module")]
    other: Duration,
}

#[derive(Debug, Clone, PartialEq, Part)]
#[part(remote = "elsewhere::Place")]
struct HalfAPlace {
    lat: f64,
    lon: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
#[value(remote = "elsewhere::Mode")]
enum HalfAMode {
    Slow,
}

#[derive(Debug, Clone, PartialEq)]
struct NotAPart {}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct WithoutPart {
    #[entity(key)]
    id: i64,
    desired: Option<NotAPart>,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "b")]
struct FloatKey {
    #[entity(key)]
    id: f64,
    desired: Option<HalfAPlace>,
}

fn main() {}
