//! The operations of a patch, one after the other, on the draft.

use super::access::Grant;
use super::body::kind;
use super::create::{Spot, object};
use super::draft::{Draft, Entry};
use super::error::{DocumentError, Problem};
use super::operation::{Action, Operation};
use super::pointer::Pointer;
use super::resolve::{Bound, Path, Step, Tail, bind_key};
use super::rows::Rows;
use super::verify::Depth;
use super::within::{self, NoSuchMember};
use pony_state::{Key, PartKind, TableDef};
use serde_json::{Map, Value as Json};

/// An operation's place: its path, as words and as sent.
struct Place<'p, 'a> {
    op: &'static str,
    path: Path<'a>,
    at: &'p Pointer,
}

impl Place<'_, '_> {
    fn wrong(&self, right: &'static str) -> DocumentError {
        let problem = Problem::WrongPlace { op: self.op, place: self.path.tail.name(), right };
        DocumentError::at(self.at, problem)
    }

    fn current(&self) -> DocumentError {
        DocumentError::at(self.at, Problem::CurrentIsReported)
    }

    /// The pointer to the part that the path goes into.
    fn part(&self) -> Pointer {
        Pointer(self.at.0.iter().take(self.path.entities.len() * 3).cloned().collect())
    }

    fn missing(&self, NoSuchMember(name): NoSuchMember) -> DocumentError {
        DocumentError::at(self.at, Problem::NoMember { name })
    }
}

impl<'a, R: Rows> Draft<'a, R> {
    /// Does one operation.
    pub(super) fn apply(&mut self, operation: &Operation) -> Result<(), DocumentError> {
        let op = operation.action.name();
        let at = &operation.path;
        let place = Place { op, path: Path::parse(self.tree, at)?, at };
        self.permit_operation(&place, &operation.action)?;
        match &operation.action {
            Action::Test(value) => self.test(&place, value, Depth::Exact),
            Action::Verify(value) => self.test(&place, value, Depth::Subset),
            Action::Add(value) => self.add(&place, value),
            Action::Replace(value) => self.replace(&place, value),
            Action::Merge(value) => self.merge(&place, value),
            Action::Remove => self.remove(&place),
            Action::Move(from) => self.relocate(&place, from),
            Action::Copy(from) => {
                let from = Place { op, path: Path::parse(self.tree, from)?, at: from };
                let value = self.taken(&from, &place)?;
                self.add(&place, &value)
            }
        }
    }

    /// Access is decided before anybody looks whether rows exist. Where the path does not yet say whose a row is
    /// (entities at the root, which may have to be made), that is decided when its key is known.
    fn permit_operation(&self, place: &Place<'_, 'a>, action: &Action) -> Result<(), DocumentError> {
        let path = &place.path;
        let makes = matches!(action, Action::Add(_) | Action::Merge(_) | Action::Copy(_) | Action::Move(_));
        match (action, path.entities.len(), &path.tail) {
            (Action::Test(_) | Action::Verify(_), ..) => self.permit(path, place.at, Grant::Read),
            (_, 0, _) => Ok(()),
            (_, 1, Tail::Entity) if makes => Ok(()),
            _ => self.permit(path, place.at, Grant::Write),
        }
    }

    fn test(&self, place: &Place<'_, 'a>, value: &Json, depth: Depth) -> Result<(), DocumentError> {
        self.verify(&place.path, place.at, value, depth)
    }

    /// The collection that the last entity of a path is to be a member of, and what stands for it there.
    fn spot(&self, place: &Place<'_, 'a>) -> Result<(Spot<'a>, String), DocumentError> {
        let Some(((endpoint, name), above)) = place.path.entities.split_last() else {
            return Err(place.wrong("name an entity"));
        };
        let steps = self.walk(above)?;
        let at = Pointer(place.at.0.iter().take(place.path.entities.len() * 3 - 2).cloned().collect());
        let root = steps.first().map(|step| step.key.clone());
        let above = steps.last().map(|step| step.key.clone());
        Ok((Spot { endpoint, root, above, at }, name.clone()))
    }

    fn add(&mut self, place: &Place<'_, 'a>, value: &Json) -> Result<(), DocumentError> {
        match &place.path.tail {
            Tail::Entity => {
                let (spot, name) = self.spot(place)?;
                self.create(&spot, Some(&name), value).map(drop)
            }
            Tail::Part(PartKind::Desired) => {
                let step = self.locate(&place.path, place.at)?;
                if self.desired(step.endpoint.table.id(), &step.key).is_some() {
                    return self.replace(place, value);
                }
                let (spot, _) = self.spot(place)?;
                super::create::writable(step.endpoint, place.at)?;
                self.create_part(&spot, &step.key, object(value, "an object of columns", place.at)?, place.at)
            }
            Tail::Column(PartKind::Desired, column, rest) => {
                self.edit(place, column, |json| within::add(json, rest, value.clone()))
            }
            Tail::Part(PartKind::Current) | Tail::Column(PartKind::Current, ..) => Err(place.current()),
            _ => Err(place.wrong("name an entity, its desired part or a column")),
        }
    }

    fn replace(&mut self, place: &Place<'_, 'a>, value: &Json) -> Result<(), DocumentError> {
        match &place.path.tail {
            Tail::Entity | Tail::Part(PartKind::Desired) => {
                let step = self.locate(&place.path, place.at)?;
                let desired = match &place.path.tail {
                    Tail::Entity => sole_desired(value, place)?,
                    _ => value,
                };
                let desired = object(desired, "an object of columns", place.at)?.clone();
                self.replace_part(&step, &desired, &place.part())
            }
            Tail::Column(PartKind::Desired, column, rest) => {
                let step = self.locate(&place.path, place.at)?;
                self.need_value(place, &step, column)?;
                self.edit(place, column, |json| within::replace(json, rest, value.clone()))
            }
            Tail::Part(PartKind::Current) | Tail::Column(PartKind::Current, ..) => Err(place.current()),
            _ => Err(place.wrong("name an entity, its desired part or a column")),
        }
    }

    fn merge(&mut self, place: &Place<'_, 'a>, value: &Json) -> Result<(), DocumentError> {
        match &place.path.tail {
            Tail::Root => self.merge_root(value, place.at),
            Tail::Collection(endpoint) => {
                let steps = self.walk(&place.path.entities)?;
                let root = steps.first().map(|step| step.key.clone());
                let above = steps.last().map(|step| step.key.clone());
                self.merge_collection(&Spot { endpoint, root, above, at: place.at.clone() }, value)
            }
            Tail::Entity => {
                let (spot, name) = self.spot(place)?;
                self.merge_collection(&spot, &Json::Object(Map::from_iter([(name, value.clone())])))
            }
            Tail::Children => {
                let step = self.locate(&place.path, place.at)?;
                let (spot, name) = self.spot(place)?;
                let root = Some(spot.root.unwrap_or_else(|| step.key.clone()));
                let at = spot.at.join(&name);
                let parent = Spot { endpoint: step.endpoint, root, above: Some(step.key), at };
                self.merge_children(&parent, value)
            }
            Tail::Part(PartKind::Desired) => {
                let step = self.locate(&place.path, place.at)?;
                let (spot, _) = self.spot(place)?;
                self.merge_desired(&spot, &step, value, place.at)
            }
            Tail::Column(PartKind::Desired, column, rest) => self.edit(place, column, |json| {
                within::merge(within::get_mut(json, rest)?, value);
                Ok(())
            }),
            Tail::Part(PartKind::Current) | Tail::Column(PartKind::Current, ..) => Err(place.current()),
        }
    }

    fn merge_root(&mut self, value: &Json, at: &Pointer) -> Result<(), DocumentError> {
        for (name, collection) in object(value, "an object of collections", at)? {
            let at = at.join(name);
            let Some(id) = self.tree.roots().get(name) else {
                let known = self.tree.roots().keys().cloned().collect();
                return Err(DocumentError::at(&at, Problem::NoCollection { name: name.clone(), known }));
            };
            let spot = Spot { endpoint: self.tree.get(*id), root: None, above: None, at };
            self.merge_collection(&spot, collection)?;
        }
        Ok(())
    }

    fn remove(&mut self, place: &Place<'_, 'a>) -> Result<(), DocumentError> {
        match &place.path.tail {
            Tail::Entity | Tail::Part(PartKind::Desired) => {
                let step = self.locate(&place.path, place.at)?;
                self.delete(&step, place.at)
            }
            Tail::Column(PartKind::Desired, column, rest) => {
                let step = self.locate(&place.path, place.at)?;
                self.need_value(place, &step, column)?;
                self.edit(place, column, |json| {
                    if rest.is_empty() {
                        *json = Json::Null;
                        return Ok(());
                    }
                    within::remove(json, rest).map(drop)
                })
            }
            Tail::Part(PartKind::Current) | Tail::Column(PartKind::Current, ..) => Err(place.current()),
            _ => Err(place.wrong("name an entity, its desired part or a column")),
        }
    }

    /// Changes a column of the entity that a path names.
    fn edit(
        &mut self,
        place: &Place<'_, 'a>,
        column: &str,
        edit: impl FnOnce(&mut Json) -> Result<(), NoSuchMember>,
    ) -> Result<(), DocumentError> {
        let step = self.locate(&place.path, place.at)?;
        self.edit_column(&step, column, place.at, &place.part(), edit)
    }

    /// What `remove` and `replace` name must be there.
    fn need_value(&self, place: &Place<'_, 'a>, step: &Step<'a>, column: &str) -> Result<(), DocumentError> {
        let table = &step.endpoint.table;
        let columns = self.desired(table.id(), &step.key).ok_or_else(|| self.no_desired(step, place.at))?;
        self.check_name(table, column, &place.part())?;
        let key = table.schema().key.iter().any(|it| it.name == column);
        if !key && !columns.contains_key(column) {
            return Err(place.missing(NoSuchMember(column.to_owned())));
        }
        Ok(())
    }

    /// What `copy` takes from a place to put it at another.
    fn taken(&self, from: &Place<'_, 'a>, to: &Place<'_, 'a>) -> Result<Json, DocumentError> {
        self.permit(&from.path, from.at, Grant::Read)?;
        let step = self.locate(&from.path, from.at)?;
        let (kind, column, rest) = match (&from.path.tail, &to.path.tail) {
            (Tail::Entity, Tail::Entity) | (Tail::Part(PartKind::Desired), Tail::Part(PartKind::Desired)) => {
                return self.taken_part(from, to, &step);
            }
            (Tail::Column(kind, column, rest), Tail::Column(..)) => (*kind, column, rest),
            _ => {
                return Err(from.wrong("take an entity to an entity, a desired part to one, a column to one"));
            }
        };
        let table = &step.endpoint.table;
        let visible = super::describe::shown(table.schema(), kind).any(|it| it.name == *column);
        let columns = self.columns(table.id(), &step.key, kind).filter(|_| visible).unwrap_or_default();
        let value = columns.get(column).ok_or_else(|| from.missing(NoSuchMember(column.clone())))?;
        within::get(value, rest).cloned().map_err(|problem| from.missing(problem))
    }

    /// What was ordered of an entity, without its key and what its place in the document says of it: both are other
    /// ones at the place that it is copied to. Its children are not copied: their keys exist already.
    fn taken_part(
        &self,
        from: &Place<'_, 'a>,
        to: &Place<'_, 'a>,
        step: &Step<'a>,
    ) -> Result<Json, DocumentError> {
        let table = &step.endpoint.table;
        let mut columns =
            self.desired(table.id(), &step.key).ok_or_else(|| self.no_desired(step, from.at))?;
        columns.retain(|name, _| {
            let shown = super::describe::shown(table.schema(), PartKind::Desired).any(|it| it.name == *name);
            let fixed = |path: &Path<'a>| path.endpoint().is_some_and(|it| it.via.as_ref() == Some(name));
            shown && !fixed(&from.path) && !fixed(&to.path)
        });
        let part = Json::Object(columns);
        Ok(match from.path.tail {
            Tail::Entity => Json::Object(Map::from_iter([("desired".to_owned(), part)])),
            _ => part,
        })
    }

    /// `move`: an entity below another parent or to another key, or a value within columns.
    fn relocate(&mut self, to: &Place<'_, 'a>, from: &Pointer) -> Result<(), DocumentError> {
        let at = from;
        let from = Place { op: "move", path: Path::parse(self.tree, at)?, at };
        if from.at == to.at {
            return self
                .permit(&to.path, to.at, Grant::Write)
                .and_then(|()| self.locate(&to.path, to.at))
                .map(drop);
        }
        if to.at.0.starts_with(&from.at.0) {
            return Err(to.wrong("something cannot be moved into itself"));
        }
        match (&from.path.tail, &to.path.tail) {
            (Tail::Entity, Tail::Entity) => self.move_entity(&from, to),
            (Tail::Column(PartKind::Desired, ..), Tail::Column(PartKind::Desired, ..)) => {
                let value = self.taken(&from, to)?;
                self.remove(&from)?;
                self.add(to, &value)
            }
            _ => Err(to.wrong("entities move to entities, values of columns to columns")),
        }
    }

    fn move_entity(&mut self, from: &Place<'_, 'a>, to: &Place<'_, 'a>) -> Result<(), DocumentError> {
        const KIND: &str = "entities move along the same kind of path";
        for place in [from, to] {
            self.permit(&place.path, place.at, Grant::Write)?;
        }
        let step = self.locate(&from.path, from.at)?;
        let (spot, name) = self.spot(to)?;
        if step.endpoint.id != spot.endpoint.id {
            return Err(to.wrong(KIND));
        }
        super::create::writable(spot.endpoint, to.at)?;
        let across = self.root_of(&from.path) != self.root_of(&to.path);
        if across && !self.caller.is_alicorn() {
            let what = "move something from one owner to another".to_owned();
            return Err(DocumentError::at(to.at, Problem::AccessDenied { what }));
        }
        let placeholders = |placeholder: &str| self.name(placeholder);
        let bound = bind_key(self.tree, spot.endpoint, spot.above.as_ref(), &name, &placeholders);
        let Ok(Bound::Key(key)) = bound else { return Err(self.new_identity(&step, to)) };
        self.move_row(&step, &spot, &key, to)
    }

    fn new_identity(&self, step: &Step<'a>, to: &Place<'_, 'a>) -> DocumentError {
        let column = step.endpoint.table.schema().key.first().map(|it| it.name.clone()).unwrap_or_default();
        let hint = "; an entity keeps its identity when it moves";
        DocumentError::at(to.at, Problem::Immutable { column, hint })
    }

    fn move_row(
        &mut self,
        step: &Step<'a>,
        spot: &Spot<'a>,
        key: &Key,
        to: &Place<'_, 'a>,
    ) -> Result<(), DocumentError> {
        let table: &TableDef = &step.endpoint.table;
        let Some(mut columns) = self.desired(table.id(), &step.key) else {
            return Err(self.no_desired(step, to.at));
        };
        if *key != step.key {
            self.check_rename(step, key, to)?;
            self.put(table.id(), &step.key, Entry { desired: None, path: to.at.clone(), direct: true })?;
        }
        let parent = spot.above.as_ref().and_then(|above| above.values().first());
        if let (Some(via), None, Some(parent)) = (&spot.endpoint.via, spot.endpoint.fixed_key_place(), parent)
        {
            columns.insert(via.clone(), parent.to_json());
        }
        self.put(table.id(), key, Entry { desired: Some(columns), path: to.at.clone(), direct: true })
    }

    /// A key changes only where people chose it, and nothing refers to it.
    fn check_rename(&self, step: &Step<'a>, key: &Key, to: &Place<'_, 'a>) -> Result<(), DocumentError> {
        let table = &step.endpoint.table;
        if !table.schema().user_key {
            return Err(self.new_identity(step, to));
        }
        if self.desired(table.id(), key).is_some() {
            let problem = Problem::Exists { table: table.name().to_owned(), key: self.shown_key(key) };
            return Err(DocumentError::at(to.at, problem));
        }
        match self.referrers(table, &step.key).first() {
            None => Ok(()),
            Some((referrer, _, other)) => Err(DocumentError::at(
                to.at,
                Problem::InUse {
                    table: table.name().to_owned(),
                    called: self.called(table, &step.key),
                    by: format!("{} {}", referrer.name(), self.called(referrer, other)),
                    right: "its key cannot change while something refers to it",
                },
            )),
        }
    }
}

/// The desired part in the value of an entity to be replaced: its children are replaced one by one, or merged.
fn sole_desired<'j>(value: &'j Json, place: &Place<'_, '_>) -> Result<&'j Json, DocumentError> {
    let members = object(value, "an entity, an object with `desired`", place.at)?;
    super::create::check_members(members, place.at)?;
    if members.contains_key("children") {
        return Err(place.wrong("replace its desired part alone, or use `x-merge`"));
    }
    members.get("desired").ok_or_else(|| {
        let problem = Problem::Shape { expected: "an entity with a `desired` part", found: kind(value) };
        DocumentError::at(place.at, problem)
    })
}
