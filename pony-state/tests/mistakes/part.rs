//! Mistakes in a part.

use pony_state::Part;

macro_rules! part {
    ($name:ident, $(#[$attribute:meta])*) => {
        #[derive(Debug, Clone, PartialEq, Part)]
        struct $name {
            $(#[$attribute])*
            host: i64,
        }
    };
}

part!(Unknown, #[part(indexed)]);
part!(Key, #[part(key)]);
part!(ReferencesNothing, #[part(references)]);
part!(ReferencesNumber, #[part(references = 5)]);
part!(ReferencesTwice, #[part(references = "a", references = "b")]);
part!(SoftAlone, #[part(soft)]);
part!(ScopeAlone, #[part(scope = "follows")]);
part!(OnDeleteAlone, #[part(index, on_delete = "cascade")]);
part!(OnDeleteUnknown, #[part(references = "a", on_delete = "set_null")]);
part!(ScopeUnknown, #[part(references = "a", scope = "follow")]);
part!(IndexWithValue, #[part(index = true)]);
part!(DefaultName, #[part(default = NONE)]);
part!(DefaultCall, #[part(default = String::new())]);
part!(DefaultNothing, #[part(default)]);
part!(DefaultNoJson, #[part(default_json = "{")]);
part!(TwoDefaults, #[part(default = 1, default_json = "1")]);
part!(WithNothing, #[part(with)]);
part!(WithNoPath, #[part(with = "not a path")]);
part!(NameNumber, #[part(name = 5)]);
part!(NotAList, #[part = "a"]);

#[derive(Debug, Clone, PartialEq, Part)]
struct Twice {
    kind: String,
    #[part(name = "kind")]
    r#type: String,
}

#[derive(Debug, Clone, PartialEq, Part)]
#[part(table = "a")]
struct UnknownOfStruct {
    host: i64,
}

#[derive(Debug, Clone, PartialEq, Part)]
#[part(remote = "not a path")]
struct RemoteNoPath {
    host: i64,
}

fn main() {}
