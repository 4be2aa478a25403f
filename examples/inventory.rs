//! Tables of one's own in 30 lines: the articles in stock, and which of them are made of which others.

use pony_state::{Entity, Part, Read, State, Text};

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "article")]
struct Article {
    #[entity(key)]
    name: Text,
    current: Option<Count>,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "made_of", join("whole", "piece"))]
struct MadeOf {
    #[entity(key, references = "article")]
    whole: Text,
    #[entity(key, references = "article")]
    piece: Text,
    desired: Option<Count>,
}

#[derive(Debug, Clone, PartialEq, Part)]
struct Count {
    count: i64,
}

fn main() -> Result<(), pony_state::SchemaError> {
    let mut state = State::builder().table::<Article>().table::<MadeOf>().build()?;
    let mut tx = state.transaction();
    tx.set_current::<Article>(&"wheel".into(), Count { count: 7 });
    tx.set_desired::<MadeOf>(&("bike".into(), "wheel".into()), Count { count: 2 });
    tx.commit();
    state.joined::<MadeOf, Article>("whole", "bike").for_each(|(needs, has)| println!("{needs:?} {has:?}"));
    Ok(())
}
