//! The physical plan: how a store gets from its schema to the next, as a value that can be read before it is run.
//!
//! A view says what its tables are, a [`SchemaStep`] what becomes of one of them, and a store alone knows how: which
//! statements its database takes, in which order, and what it cannot be asked at all. A plan is all of that before
//! anything is sent, with what each step touches. A store carries out its plan and nothing else, so what was shown is what
//! happens (DDL Synchronisation, cases B7 and B11).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::view::{SchemaStep, Table, TableKind};

/// The steps from one schema to the next, in the order in which they are carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In order; none if the schema stays as it is.
    pub steps: Vec<PlanStep>,
}

/// One step, how the store carries it out, and what it touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What becomes of the schema.
    pub step: SchemaStep,
    /// How.
    pub way: Way,
    /// What it touches.
    pub touched: Touched,
}

/// How a store carries out a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By these statements, in order; none for a store that is not asked in texts.
    Statements(Vec<String>),
    /// By a new database that takes the place of this one, because no statement can be trusted with it.
    StartAgain {
        /// What is wrong with the statement that should do it.
        reason: String,
    },
}

/// What a step touches: the impact of a schema change (DDL Synchronisation, case B11).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// The table, under its name before the step, and the others that name it.
    pub tables: BTreeSet<String>,
    /// Columns of the table that come, go or change.
    pub columns: BTreeSet<String>,
    /// How many rows the table holds.
    pub rows: usize,
}

impl Plan {
    /// What all steps touch; a table that takes several is counted by its largest number of rows.
    #[must_use]
    pub fn touched(&self) -> BTreeMap<String, Touched> {
        let mut all: BTreeMap<String, Touched> = BTreeMap::new();
        for PlanStep { step, touched, .. } in &self.steps {
            let total = all.entry(step.table().to_owned()).or_default();
            total.tables.extend(touched.tables.iter().cloned());
            total.columns.extend(touched.columns.iter().cloned());
            total.rows = total.rows.max(touched.rows);
        }
        all
    }
}

/// One line per step, and one per statement below it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, PlanStep { step, way, touched }) in (1..).zip(&self.steps) {
            let listed = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
            write!(f, "{number}. {step} [tables: {}; rows: {}", listed(&touched.tables), touched.rows)?;
            if !touched.columns.is_empty() {
                write!(f, "; columns: {}", listed(&touched.columns))?;
            }
            writeln!(f, "]")?;
            match way {
                Way::Statements(statements) => {
                    statements.iter().try_for_each(|statement| writeln!(f, "   {statement}"))?;
                }
                Way::StartAgain { reason } => writeln!(f, "   a new database: {reason}")?,
            }
        }
        Ok(())
    }
}

/// The tables of a schema as far as their impact goes: columns, ends and the number of rows.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    tables: BTreeMap<String, Outlined>,
}

#[derive(Clone, Debug, Default)]
struct Outlined {
    columns: BTreeSet<String>,
    ends: BTreeSet<String>,
    rows: usize,
}

impl Outline {
    /// Adds a table with so many rows.
    pub fn add(&mut self, name: &str, table: &Table, rows: usize) {
        let ends = match &table.kind {
            TableKind::Node { .. } => BTreeSet::new(),
            TableKind::Edge { pairs } => pairs.iter().flat_map(|(from, to)| [from.clone(), to.clone()]).collect(),
        };
        let columns = table.columns.keys().cloned().collect();
        self.tables.insert(name.to_owned(), Outlined { columns, ends, rows });
    }

    /// What a step touches; the outline is then that of the schema after it.
    pub fn take_up(&mut self, step: &SchemaStep) -> Touched {
        let rows = self.tables.get(step.table()).map_or(0, |table| table.rows);
        let mut touched = Touched { tables: [step.table().to_owned()].into(), rows, ..Touched::default() };
        let Some(mut table) = self.tables.remove(step.table()) else {
            if let SchemaStep::CreateTable { name, table } = step {
                self.add(name, table, 0);
                touched.columns.extend(table.columns.keys().cloned());
            }
            return touched;
        };
        let mut name = step.table().to_owned();
        match step {
            SchemaStep::DropTable { .. } => {
                touched.columns = table.columns;
                return touched;
            }
            SchemaStep::RenameTable { from, to } => {
                for (other, outlined) in self.tables.iter_mut().filter(|(_, other)| other.ends.contains(from)) {
                    outlined.ends.remove(from);
                    outlined.ends.insert(to.clone());
                    touched.tables.insert(other.clone());
                }
                name.clone_from(to);
            }
            SchemaStep::CreateTable { .. } => {}
            SchemaStep::DropColumn { column, .. } => {
                table.columns.remove(column);
                touched.columns.insert(column.clone());
            }
            SchemaStep::RenameColumn { from, to, .. } => {
                table.columns.remove(from);
                table.columns.insert(to.clone());
                touched.columns.extend([from.clone(), to.clone()]);
            }
            SchemaStep::AddColumn { column, .. } | SchemaStep::RetypeColumn { column, .. } => {
                table.columns.insert(column.clone());
                touched.columns.insert(column.clone());
            }
            SchemaStep::AddPair { from, to, .. } => {
                table.ends.extend([from.clone(), to.clone()]);
                touched.tables.extend([from.clone(), to.clone()]);
            }
        }
        self.tables.insert(name, table);
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GraphStore;
    use crate::store::memory::MemoryStore;
    use crate::value::{Type, Value};
    use crate::view::{Row, View, ViewDelta};

    fn view() -> View {
        let columns = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Type::Int64)).collect();
        let nodes = Table { kind: TableKind::Node { primary_key: "id".into() }, columns: columns(&["id", "n"]) };
        let pairs = [("N".to_owned(), "N".to_owned())].into();
        let edges = Table { kind: TableKind::Edge { pairs }, columns: columns(&["w"]) };
        View {
            tables: [("N".to_owned(), nodes), ("E".to_owned(), edges)].into(),
            nodes: [("N".to_owned(), (0..7).map(|id| (Value::from(id), Row::new())).collect())].into(),
            edges: [("E".to_owned(), BTreeMap::new())].into(),
        }
    }

    #[test]
    fn a_plan_says_what_each_step_touches_and_changes_nothing() {
        let mut store = MemoryStore::default();
        store.rebuild(&view()).unwrap();
        let rename = SchemaStep::RenameTable { from: "N".into(), to: "M".into() };
        let retype = SchemaStep::RetypeColumn { table: "M".into(), column: "n".into(), column_type: Type::String };
        let delta = ViewDelta { schema: vec![rename, retype], ..ViewDelta::default() };
        let plan = store.plan(&delta).unwrap();
        let shown = "1. RENAME TABLE N TO M [tables: E, N; rows: 7]\n\
                     2. ALTER TABLE M ALTER n TYPE STRING [tables: M; rows: 7; columns: n]\n";
        assert_eq!(plan.to_string(), shown);
        assert_eq!(plan.touched()["M"].rows, 7);
        assert_eq!(store.read().unwrap(), view());
    }

    #[test]
    fn what_a_store_would_refuse_it_does_not_plan() {
        let mut store = MemoryStore::default();
        store.rebuild(&view()).unwrap();
        let drop = |name: &str| SchemaStep::DropTable { name: name.into() };
        let delta = |schema: Vec<SchemaStep>| ViewDelta { schema, ..ViewDelta::default() };
        assert!(store.plan(&delta(vec![drop("N")])).is_err(), "an edge table connects it");
        let plan = store.plan(&delta(vec![drop("E"), drop("N")])).unwrap();
        assert_eq!(
            plan.touched()["N"],
            Touched { tables: ["N".into()].into(), columns: ["id".into(), "n".into()].into(), rows: 7 }
        );
    }
}
