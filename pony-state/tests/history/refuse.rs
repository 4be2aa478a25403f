//! What must be refused.

use crate::op::{Wrong, misfit, part};
use pony_state::{ColumnType, Key, PartError, PartKind, TableDef, Transaction, Value};
use serde_json::{Value as Json, json};

/// Both doors refuse it in the same words.
pub(crate) fn refuse<'a>(
    wrong: Wrong,
    def: &TableDef,
    key: &Key,
    kind: PartKind,
    typed: &mut Transaction<'a>,
    dynamic: &mut Transaction<'a>,
) {
    let mut values = part(def, kind, &[1; 5]);
    let first = def.schema().part(kind).first();
    let mut json = def.values_to_json(kind, &values);
    let (mut table, mut wrong_key) = (def.name(), key.clone());
    let mut by_json = true;
    match wrong {
        Wrong::Table => table = "tenant",
        Wrong::KeyCount => (wrong_key, by_json) = (Key::of([]), false),
        Wrong::KeyType => (wrong_key, by_json) = (Key::of(key.values().iter().map(|_| true.into())), false),
        Wrong::ValueCount => by_json = values.pop().is_none(),
        Wrong::ValueType => {
            let Some(column) = first else { return };
            json.insert(column.name.clone(), misfit(&column.ty).to_json());
            (values[0], by_json) = (misfit(&column.ty), column.ty == ColumnType::Json);
            if by_json {
                return;
            }
        }
        Wrong::NoObject => {
            for tx in [&mut *typed, &mut *dynamic] {
                assert!(matches!(
                    tx.set_json(table, key, kind, &json!([1])),
                    Err(PartError::NotAnObject { .. })
                ));
            }
            return;
        }
        Wrong::UnknownColumn => drop(json.insert("nonsense".into(), Json::Null)),
        Wrong::KeyMismatch => drop(json.insert(def.schema().key[0].name.clone(), other_key(def, key))),
        Wrong::NullInKey => drop(json.insert(def.schema().key[0].name.clone(), Json::Null)),
        Wrong::PatchToWrongType => {
            let Some(column) = first.filter(|column| column.ty != ColumnType::Json) else {
                return;
            };
            let columns = json!({ &column.name: misfit(&column.ty).to_json() });
            let results = [typed, dynamic].map(|tx| tx.patch_json(table, key, kind, &columns));
            assert!(results[0].is_err() && results[0] == results[1], "{results:?}");
            return;
        }
    }
    let part = Json::Object(json);
    let results = [typed, dynamic].map(|tx| match by_json {
        true => {
            let refused = tx.set_json(table, &wrong_key, kind, &part);
            assert_eq!(tx.set_text(table, &wrong_key, kind, &part.to_string()), refused);
            refused
        }
        false => tx.set(table, &wrong_key, kind, &values),
    });
    assert!(results[0].is_err() && results[0] == results[1], "{wrong:?}: {results:?}");
}

fn other_key(def: &TableDef, key: &Key) -> Json {
    let text = key.values()[0].to_string();
    let other = if text.ends_with('1') {
        format!("{}2", &text[..text.len() - 1])
    } else {
        format!("{}1", &text[..text.len() - 1])
    };
    Value::parse(&def.schema().key[0].ty, &other).unwrap().to_json()
}
