//! What Kùzu 0.11.3 cannot give back through its binding, and what the store holds instead.
//!
//! The log keeps every value. In Kùzu a column of its own is exact for every type; only *inside* another type four are
//! held as something else, because their parameters cannot be bound or their values not be read back. That is decided by
//! the type alone, done before anything is written, and said here: a comparison of a store with its log compares with
//! [`held`], and [`Substitution`] names each difference.
//!
//! Measured:
//!
//! * the binding reads a decimal of more than 28 digits by a panic; on its own it is read as text, but Kùzu crashes when
//!   it casts a list of decimals to text;
//! * the binding reads the member of a union without its name; on its own it is asked for, but no expression asks
//!   for the names in a list of unions;
//! * the binding reads an interval as a number of microseconds, with months of thirty days; it too is read as text, but
//!   Kùzu forgets which unions are NULL when it casts them;
//! * the binding has no word for JSON, and Kùzu casts a parameter to JSON on its own, but not to a list of JSON.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kuzusync_core::value::{Field, Type, Value};
use kuzusync_core::view::{Row, Table, View};

/// A type that is held as another when it stands inside a third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Substitution {
    /// A decimal of more than 28 digits, as its text.
    WideDecimal,
    /// JSON, as its text.
    Json,
    /// A union, as a struct of a tag and every member.
    Union,
    /// An interval anywhere inside a union, as its text.
    IntervalInUnion,
}

impl Substitution {
    /// Every substitution.
    pub const ALL: [Substitution; 4] =
        [Substitution::WideDecimal, Substitution::Json, Substitution::Union, Substitution::IntervalInUnion];
}

impl fmt::Display for Substitution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Substitution::WideDecimal => "a DECIMAL of more than 28 digits inside another type is held as STRING",
            Substitution::Json => "a JSON inside another type is held as STRING",
            Substitution::IntervalInUnion => "an INTERVAL inside a UNION is held as STRING",
            Substitution::Union => {
                "a UNION inside another type is held as STRUCT, its members after a `tag` with the name of one"
            }
        })
    }
}

/// The most digits of a decimal that the binding reads.
pub(crate) const DIGITS_MAX: u8 = 28;

/// The field of a struct that stands for a union; no member has that name.
const TAG: &str = "tag";

/// What is held otherwise of a column's type.
#[must_use]
pub fn substitutions(column_type: &Type) -> BTreeSet<Substitution> {
    fn collect(place: Place, found: &mut BTreeSet<Substitution>) {
        found.extend(place.substitution());
        place.of.parts().into_iter().for_each(|part| collect(place.part(part), found));
    }
    let mut found = BTreeSet::new();
    collect(Place::column(column_type), &mut found);
    found
}

/// A type and where it stands in its column's.
#[derive(Clone, Copy)]
struct Place<'t> {
    of: &'t Type,
    is_inside: bool,
    is_inside_union: bool,
}

impl<'t> Place<'t> {
    fn column(of: &'t Type) -> Self {
        Place { of, is_inside: false, is_inside_union: false }
    }

    /// A type that this one is made of.
    fn part(self, of: &'t Type) -> Self {
        let is_inside_union = self.is_inside_union || matches!(self.of, Type::Union(_));
        Place { of, is_inside: true, is_inside_union }
    }

    /// What becomes of the type here, whatever becomes of its parts.
    fn substitution(self) -> Option<Substitution> {
        match self.of {
            Type::Decimal { precision, .. } if *precision > DIGITS_MAX && self.is_inside => {
                Some(Substitution::WideDecimal)
            }
            Type::Json if self.is_inside => Some(Substitution::Json),
            Type::Union(_) if self.is_inside => Some(Substitution::Union),
            Type::Interval if self.is_inside_union => Some(Substitution::IntervalInUnion),
            _ => None,
        }
    }

    fn held_type(self) -> Type {
        let boxed = |part| Box::new(self.part(part).held_type());
        let field = |Field { name, field_type }: &'t Field| Field {
            name: name.clone(),
            field_type: self.part(field_type).held_type(),
        };
        match (self.substitution(), self.of) {
            (Some(Substitution::Union), Type::Union(members)) => {
                let tag = Field { name: TAG.to_owned(), field_type: Type::String };
                Type::Struct(std::iter::once(tag).chain(members.iter().map(field)).collect())
            }
            (Some(_), _) => Type::String,
            (None, Type::List(element)) => Type::List(boxed(element)),
            (None, Type::Array(element, length)) => Type::Array(boxed(element), *length),
            (None, Type::Map(key, value)) => Type::Map(boxed(key), boxed(value)),
            (None, Type::Struct(fields)) => Type::Struct(fields.iter().map(field).collect()),
            (None, Type::Union(members)) => Type::Union(members.iter().map(field).collect()),
            (None, plain) => plain.clone(),
        }
    }

    fn held_value(self, value: &Value) -> Value {
        let all = |values: &[Value], element| values.iter().map(|value| self.part(element).held_value(value)).collect();
        match (self.substitution(), value, self.of) {
            (Some(Substitution::Union), Value::Union(tag, value), Type::Union(members)) => {
                let member = |member: &'t Field| {
                    let value = if member.name == *tag { value } else { &Value::Null };
                    (member.name.clone(), self.part(&member.field_type).held_value(value))
                };
                let tag = (TAG.to_owned(), Value::String(tag.clone()));
                Value::Struct(std::iter::once(tag).chain(members.iter().map(member)).collect())
            }
            (Some(_), plain, _) => plain.cast(&Type::String).expect("what is held as text has one"),
            (None, Value::List(values), Type::List(element)) => Value::List(all(values, element)),
            (None, Value::Array(values), Type::Array(element, _)) => Value::Array(all(values, element)),
            (None, Value::Map(entries), Type::Map(key_type, value_type)) => {
                let held =
                    |(key, value)| (self.part(key_type).held_value(key), self.part(value_type).held_value(value));
                Value::Map(entries.iter().map(held).collect())
            }
            (None, Value::Struct(values), Type::Struct(fields)) => {
                let held = |Field { name, field_type }: &'t Field| {
                    (name.clone(), self.part(field_type).held_value(&values[name]))
                };
                Value::Struct(fields.iter().map(held).collect())
            }
            (None, Value::Union(tag, value), Type::Union(members)) => {
                let member = members.iter().find(|member| member.name == *tag).expect("the value is of the type");
                Value::Union(tag.clone(), Box::new(self.part(&member.field_type).held_value(value)))
            }
            (None, plain, _) => plain.clone(),
        }
    }
}

/// The type of the column that stands for one of `column_type`.
#[must_use]
pub fn held_type(column_type: &Type) -> Cow<'_, Type> {
    if substitutions(column_type).is_empty() {
        return Cow::Borrowed(column_type);
    }
    Cow::Owned(Place::column(column_type).held_type())
}

/// The value that stands for `value`, which is one of `column_type`.
#[must_use]
pub fn held_value<'v>(value: &'v Value, column_type: &Type) -> Cow<'v, Value> {
    if substitutions(column_type).is_empty() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(Place::column(column_type).held_value(value))
}

/// What the store holds of a view.
#[must_use]
pub fn held(view: &View) -> Cow<'_, View> {
    if view.tables.values().flat_map(|table| table.columns.values()).all(|column| substitutions(column).is_empty()) {
        return Cow::Borrowed(view);
    }
    let mut held = view.clone();
    for (name, table) in &view.tables {
        let nodes = held.nodes.get_mut(name).into_iter().flat_map(BTreeMap::values_mut);
        let edges = held.edges.get_mut(name).into_iter().flat_map(BTreeMap::values_mut);
        nodes.chain(edges).for_each(|row| hold_row(row, table));
    }
    for column_type in held.tables.values_mut().flat_map(|table| table.columns.values_mut()) {
        *column_type = held_type(column_type).into_owned();
    }
    Cow::Owned(held)
}

/// Every column of a view that is held otherwise, and how.
#[must_use]
pub fn held_otherwise(view: &View) -> Vec<String> {
    let columns = view.tables.iter().flat_map(|(name, table)| table.columns.iter().map(move |column| (name, column)));
    let named = |(table, (column, of)): (&String, (&String, &Type))| {
        let substitutions = substitutions(of).into_iter();
        substitutions.map(|substitution| format!("{table}.{column}: {substitution}")).collect::<Vec<_>>()
    };
    columns.flat_map(named).collect()
}

fn hold_row(row: &mut Row, table: &Table) {
    for (column, value) in row {
        *value = held_value(value, &table.columns[column]).into_owned();
    }
}

#[cfg(test)]
mod tests {
    use kuzusync_core::value::sample::samples;
    use kuzusync_core::view::TableKind;

    use super::*;

    fn held_as(text: &str) -> String {
        let column_type: Type = text.parse().unwrap();
        assert_eq!(column_type.check(), Ok(()));
        held_type(&column_type).to_string()
    }

    #[test]
    fn a_column_of_its_own_loses_nothing() {
        for sample in samples().iter().filter(|sample| sample.column_type.parts().is_empty()) {
            assert_eq!(substitutions(&sample.column_type), BTreeSet::new(), "{}", sample.column_type);
        }
        for text in ["UNION(a INT8, b INT8)", "INTERVAL[]", "DECIMAL(28, 28)[2]", "STRUCT(a MAP(DATE, BLOB[]))"] {
            assert_eq!(held_as(text), text);
        }
    }

    #[test]
    fn every_substitution_is_of_a_type_inside_another() {
        assert_eq!(held_as("DECIMAL(29, 0)[]"), "STRING[]");
        assert_eq!(held_as("MAP(STRING, JSON[2])"), "MAP(STRING, STRING[2])");
        assert_eq!(held_as("UNION(a JSON, b INTERVAL[])"), "UNION(a STRING, b STRING[])");
        assert_eq!(
            held_as("STRUCT(u UNION(a INT8, b UNION(c JSON)))"),
            "STRUCT(u STRUCT(tag STRING, a INT8, b STRUCT(tag STRING, c STRING)))"
        );
        let of = |text: &str| substitutions(&text.parse().unwrap());
        assert_eq!(of("DECIMAL(29, 0)[]"), [Substitution::WideDecimal].into());
        assert_eq!(of("UNION(a UNION(b JSON), c MAP(INTERVAL, DECIMAL(38, 3)))"), Substitution::ALL.into());
    }

    #[test]
    fn what_is_held_is_of_the_type_that_is_held() {
        let mut seen = BTreeSet::new();
        for sample in samples() {
            let held_type = held_type(&sample.column_type);
            seen.extend(substitutions(&sample.column_type));
            for value in &sample.values {
                let held = held_value(value, &sample.column_type);
                assert!(held.is_of(&held_type), "{held} of {held_type}");
                assert!(*held == *value || !substitutions(&sample.column_type).is_empty(), "{held} for {value}");
            }
            assert_eq!(*held_value(&Value::Null, &sample.column_type), Value::Null);
        }
        assert!(seen.into_iter().eq(Substitution::ALL), "a substitution is not sampled");
    }

    #[test]
    fn a_view_that_is_held_otherwise_is_so_by_name() {
        let kind = TableKind::Node { primary_key: "id".into() };
        let columns = [("id", "INT64"), ("tags", "JSON[]")].map(|(name, of)| (name.to_owned(), of.parse().unwrap()));
        let mut view = View::default();
        view.tables.insert("T".into(), Table { kind, columns: columns.into() });
        let tags = |element| Row::from([("tags".to_owned(), Value::List(vec![element]))]);
        let json = Value::Json("[1]".parse().unwrap());
        view.nodes.insert("T".into(), [(Value::from(1), tags(json)), (Value::from(2), tags(Value::Null))].into());
        assert_eq!(held_otherwise(&view), ["T.tags: a JSON inside another type is held as STRING"]);
        let held = held(&view);
        assert_eq!(held.tables["T"].columns["tags"].to_string(), "STRING[]");
        assert_eq!(held.node("T", &1.into()), Some(&tags("[1]".into())));
        assert_eq!(held.node("T", &2.into()), Some(&tags(Value::Null)));
        assert!(matches!(super::held(&held), Cow::Borrowed(again) if *again == *held), "it is held as it is");
    }

    #[test]
    fn the_text_of_a_held_type_can_be_read() {
        let union = |inner: String| format!("UNION(a {inner})");
        let deepest = (1..Type::DEPTH_MAX).fold("INT8".to_owned(), |inner, _| union(inner));
        let many: Vec<String> = (0..100).map(|n| format!("f{n} UNION(a INT8)")).collect();
        for text in [deepest, format!("STRUCT({})", many.join(", "))] {
            let held = held_as(&text);
            assert_eq!(held.parse::<Type>().unwrap().to_string(), held);
        }
    }
}
