//! From statements by name to operations by identity, or the error that names the offender.
//!
//! Everything is checked here, at the origin and before anything is logged, against the state and what earlier
//! statements of the transaction did to it. The state itself is not touched.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::change::{Cells, Change, Edge, Element, Node, Op};
use crate::clock::Rank;
use crate::ddl::{Ddl, Rule};
use crate::error::Error;
use crate::id::TableId;
use crate::planted::{Bug, is_planted};
use crate::schema::{ColumnState, Kind, Schema, TableState};
use crate::state::State;
use crate::statement::{EdgeName, Properties, Statement};
use crate::value::Value;

/// The operations of `statements`, each ranked after `first` when its name claims are compared, in a database with a main
/// or without.
///
/// # Errors
/// What is wrong with the first bad statement.
pub fn resolve(state: &State, first: Rank, has_main: bool, statements: &[Statement]) -> Result<Vec<Op>, Error> {
    if statements.is_empty() {
        return Err(Error::EmptyTransaction);
    }
    let mut draft = Draft {
        state,
        schema: Cow::Borrowed(state.schema()),
        first,
        has_main,
        made: BTreeSet::new(),
        gone: BTreeSet::new(),
        ops: Vec::new(),
    };
    for statement in statements {
        draft.add(statement)?;
        if draft.ops.len() > Change::OPS_MAX {
            return Err(Error::TransactionTooLong { found: draft.ops.len(), max: Change::OPS_MAX });
        }
    }
    Ok(draft.ops)
}

/// A transaction half written.
struct Draft<'a> {
    state: &'a State,
    schema: Cow<'a, Schema>,
    first: Rank,
    has_main: bool,
    made: BTreeSet<Element>,
    gone: BTreeSet<Element>,
    ops: Vec<Op>,
}

impl Draft<'_> {
    fn add(&mut self, statement: &Statement) -> Result<(), Error> {
        match statement {
            Statement::CreateNodeTable { table, columns, primary_key } => {
                let (name, columns, primary_key) = (table.clone(), columns.clone(), primary_key.clone());
                self.create_table(Ddl::CreateNodeTable { name, birth: 0, columns, primary_key })
            }
            Statement::CreateEdgeTable { table, from, to, columns } => {
                let ((from, _), (to, _)) = (self.node_table(from)?, self.node_table(to)?);
                let (name, columns) = (table.clone(), columns.clone());
                self.create_table(Ddl::CreateEdgeTable { name, birth: 0, from, to, columns })
            }
            Statement::CreateNode { table, properties } => {
                let (id, state) = self.node_table(table)?;
                let key = key_column(state);
                let missing = || Error::MissingKey { table: table.clone(), key: key.name().to_owned() };
                let is_key = |name: &String| crate::ddl::same_name(name, key.name());
                let mut keys = properties.iter().filter(|(name, _)| is_key(name));
                let (_, value) = keys.next().ok_or_else(missing)?;
                if let Some((again, _)) = keys.next() {
                    return Err(Error::DuplicateColumn { table: table.clone(), column: again.clone() });
                }
                let node = self.node(table, value)?;
                let others = properties.iter().filter(|(name, _)| !is_key(name));
                let cells = self.cells(table, id, others)?;
                self.insert(Element::Node(node), cells)
            }
            Statement::UpdateNode { table, key, properties } => {
                let node = self.node(table, key)?;
                let cells = self.cells(table, node.table, properties)?;
                self.update(Element::Node(node), cells)
            }
            Statement::DeleteNode { table, key } => {
                let node = self.node(table, key)?;
                self.delete_node(node)
            }
            Statement::CreateEdge { edge, properties } => {
                let (edge, cells) = self.edge(edge, properties)?;
                for end in [&edge.from, &edge.to] {
                    self.require(&Element::Node(end.clone()))?;
                }
                self.check_multiplicity(&edge)?;
                self.insert(Element::Edge(edge), cells)
            }
            Statement::UpdateEdge { edge, properties } => {
                let (edge, cells) = self.edge(edge, properties)?;
                self.update(Element::Edge(edge), cells)
            }
            Statement::IncrementNode { table, key, column, by } => {
                let node = self.node(table, key)?;
                self.increment(table, Element::Node(node), column, by)
            }
            Statement::IncrementEdge { edge: name, column, by } => {
                let (edge, _) = self.edge(name, &Properties::new())?;
                self.increment(&name.table, Element::Edge(edge), column, by)
            }
            Statement::SetRule { table, rule } => self.set_rule(table, rule),
            Statement::DeleteEdge { edge } => {
                let (edge, _) = self.edge(edge, &Properties::new())?;
                let element = Element::Edge(edge);
                self.require(&element)?;
                self.delete(element);
                Ok(())
            }
        }
    }

    fn create_table(&mut self, ddl: Ddl) -> Result<(), Error> {
        if let Ddl::CreateNodeTable { name, .. } | Ddl::CreateEdgeTable { name, .. } = &ddl
            && self.schema.table_named(name).is_some()
        {
            return Err(Error::TableExists(name.clone()));
        }
        self.schema.check(&ddl)?;
        let ddl = self.schema.with_birth(ddl);
        self.change_schema(ddl);
        Ok(())
    }

    fn set_rule(&mut self, name: &str, rule: &Rule<String>) -> Result<(), Error> {
        let unknown = || Error::UnknownTable { kind: "node or edge", name: name.to_owned() };
        let (table, state) = self.schema.table_named(name).ok_or_else(unknown)?;
        let rule = match rule {
            Rule::Policy { policy, .. } if policy.needs_main() && !self.has_main => {
                return Err(Error::NeedsMain { what: policy.name() });
            }
            Rule::Policy { column: None, policy } => Rule::Policy { column: None, policy: *policy },
            Rule::Policy { column: Some(column), policy } => {
                let unknown = || Error::UnknownColumn { table: name.to_owned(), column: column.clone() };
                let (column, _) = state.column_named(column).ok_or_else(unknown)?;
                Rule::Policy { column: Some(column), policy: *policy }
            }
            Rule::UpdateRevives(is_on) => Rule::UpdateRevives(*is_on),
            Rule::Revive(is_on) => Rule::Revive(*is_on),
            Rule::Multiplicity(multiplicity) => Rule::Multiplicity(*multiplicity),
        };
        let ddl = Ddl::SetRule { table, rule };
        self.schema.check(&ddl)?;
        self.change_schema(ddl);
        Ok(())
    }

    fn change_schema(&mut self, ddl: Ddl) {
        let index = u32::try_from(self.ops.len()).unwrap_or(u32::MAX);
        self.schema.to_mut().join(Rank { index, ..self.first }, &ddl);
        self.ops.push(Op::Schema(ddl));
    }

    fn increment(&mut self, table: &str, element: Element, column: &str, by: &Value) -> Result<(), Error> {
        let state = self.schema.table(element.table()).expect("the table was just looked up");
        let unknown = || Error::UnknownColumn { table: table.to_owned(), column: column.to_owned() };
        let (id, column_state) = state.column_named(column).ok_or_else(unknown)?;
        if matches!(state.kind(), Kind::Node { key } if *key == id) {
            return Err(Error::ImmutableKey { table: table.to_owned(), key: column.to_owned() });
        }
        let found = column_state.column_type();
        if !found.is_summable() {
            let (table, column) = (table.to_owned(), column.to_owned());
            return Err(Error::NotSummable { table, column, found: found.to_string() });
        }
        self.schema.check_value(element.table(), column_state, by)?;
        if *by == Value::Null {
            let (table, column) = (table.to_owned(), column.to_owned());
            let (expected, found) = (found.clone(), by.to_string());
            return Err(Error::TypeMismatch { table, column, expected, found });
        }
        self.require(&element)?;
        self.ops.push(Op::Increment { element, column: id, by: by.clone() });
        Ok(())
    }

    /// Refuses an edge that a node which may have only one has no room for.
    fn check_multiplicity(&self, edge: &Edge) -> Result<(), Error> {
        let multiplicity = self.schema.table(edge.table).map(TableState::multiplicity).unwrap_or_default();
        let shares = |other: &Edge| {
            let at_start = multiplicity.limits_starts() && other.from == edge.from;
            let at_end = multiplicity.limits_ends() && other.to == edge.to;
            other.table == edge.table && other != edge && (at_start || at_end)
        };
        let made = self.made.iter().find_map(|element| match element {
            Element::Edge(other) if shares(other) => Some(other),
            _ => None,
        });
        let Some(existing) = made.or_else(|| self.state.in_the_way_of(edge, multiplicity, &self.gone)) else {
            return Ok(());
        };
        let describe = |edge: &Edge| self.state.describe(&Element::Edge(edge.clone()));
        let (element, existing) = (describe(edge), describe(existing));
        let (table, multiplicity) = (self.schema.shown_name(edge.table).to_owned(), multiplicity.name());
        Err(Error::Multiplicity { element, existing, table, multiplicity })
    }

    fn insert(&mut self, element: Element, cells: Cells) -> Result<(), Error> {
        if self.exists(&element) {
            return Err(Error::Exists { element: self.state.describe(&element) });
        }
        self.gone.remove(&element);
        self.made.insert(element.clone());
        self.ops.push(Op::Insert { element, cells });
        Ok(())
    }

    fn update(&mut self, element: Element, cells: Cells) -> Result<(), Error> {
        self.require(&element)?;
        self.ops.push(Op::Update { element, cells });
        Ok(())
    }

    /// Also deletes every edge known to touch the node, hidden ones included: otherwise deleting and creating the node
    /// again would bring its old edges back.
    fn delete_node(&mut self, node: Node) -> Result<(), Error> {
        self.require(&Element::Node(node.clone()))?;
        let touches =
            |element: &&Element| matches!(element, Element::Edge(edge) if edge.from == node || edge.to == node);
        let made: Vec<_> = self.made.iter().filter(touches).cloned().collect();
        let known = self.state.live_edges(&node).cloned().map(Element::Edge);
        let edges: BTreeSet<_> = known.chain(made).filter(|edge| !self.gone.contains(edge)).collect();
        let edges = if is_planted(Bug::NodeDeleteKeepsEdges) { BTreeSet::new() } else { edges };
        edges.into_iter().for_each(|edge| self.delete(edge));
        self.delete(Element::Node(node));
        Ok(())
    }

    fn delete(&mut self, element: Element) {
        self.made.remove(&element);
        self.gone.insert(element.clone());
        self.ops.push(Op::Delete { element });
    }

    fn exists(&self, element: &Element) -> bool {
        let ends_exist = match element {
            Element::Node(_) => true,
            Element::Edge(edge) => [&edge.from, &edge.to].iter().all(|end| self.exists(&Element::Node((*end).clone()))),
        };
        let is_visible = || self.state.is_visible(element);
        ends_exist && !self.gone.contains(element) && (self.made.contains(element) || is_visible())
    }

    fn require(&self, element: &Element) -> Result<(), Error> {
        if self.exists(element) { Ok(()) } else { Err(Error::NotFound { element: self.state.describe(element) }) }
    }

    fn table(&self, kind: &'static str, name: &str) -> Result<(TableId, &TableState), Error> {
        let found = self.schema.table_named(name).filter(|(_, table)| match table.kind() {
            Kind::Node { .. } => kind == "node",
            Kind::Edge { .. } => kind == "edge",
        });
        found.ok_or_else(|| Error::UnknownTable { kind, name: name.to_owned() })
    }

    fn node_table(&self, name: &str) -> Result<(TableId, &TableState), Error> {
        self.table("node", name)
    }

    fn node(&self, table: &str, key: &Value) -> Result<Node, Error> {
        let (id, state) = self.node_table(table)?;
        let column = key_column(state);
        if *key == Value::Null {
            return Err(Error::MissingKey { table: table.to_owned(), key: column.name().to_owned() });
        }
        self.schema.check_value(id, column, key)?;
        Ok(Node { table: id, key: key.clone() })
    }

    fn edge(&self, name: &EdgeName, properties: &Properties) -> Result<(Edge, Cells), Error> {
        let (table, _) = self.table("edge", &name.table)?;
        let (from, to) = (self.node(&name.from.0, &name.from.1)?, self.node(&name.to.0, &name.to.1)?);
        let edge = Edge { table, from, to, discriminator: name.discriminator.clone() };
        let element = Element::Edge(edge.clone());
        self.schema.check_op(&Op::Delete { element }).map_err(|_| Error::UnknownTable {
            kind: "edge",
            name: format!("{} FROM {} TO {}", name.table, name.from.0, name.to.0),
        })?;
        let cells = self.cells(&name.table, table, properties)?;
        Ok((edge, cells))
    }

    fn cells<'p>(
        &self,
        table: &str,
        id: TableId,
        properties: impl IntoIterator<Item = (&'p String, &'p Value)>,
    ) -> Result<Cells, Error> {
        let state = self.schema.table(id).expect("the table was just looked up");
        let mut cells = Cells::new();
        for (name, value) in properties {
            let unknown = || Error::UnknownColumn { table: table.to_owned(), column: name.clone() };
            let (column, column_state) = state.column_named(name).ok_or_else(unknown)?;
            if matches!(state.kind(), Kind::Node { key } if *key == column) {
                return Err(Error::ImmutableKey { table: table.to_owned(), key: name.clone() });
            }
            self.schema.check_value(id, column_state, value)?;
            if cells.insert(column, value.clone()).is_some() {
                return Err(Error::DuplicateColumn { table: table.to_owned(), column: name.clone() });
            }
        }
        Ok(cells)
    }
}

fn key_column(table: &TableState) -> &ColumnState {
    let Kind::Node { key } = table.kind() else { panic!("only node tables have a key") };
    table.column(*key).expect("a key is one of its table's columns")
}
