//! From statements by name to operations by identity, or the error that names the offender.
//!
//! Everything is checked here, at the origin and before anything is logged, against the state and what earlier
//! statements of the transaction did to it. The state itself is not touched.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::change::{Cells, Change, Edge, Element, Node, Op};
use crate::ddl::{Ddl, IndexKind, Rule, same_name};
use crate::error::Error;
use crate::id::{ColumnId, TableId};
use crate::planted::{Bug, is_planted};
use crate::schema::{ColumnState, IndexState, Kind, Schema, TableState};
use crate::state::State;
use crate::statement::{EdgeName, Properties, Statement};
use crate::value::{Type, Value};

/// The operations of `statements`, which are to be those of `change`, in a database with a main or without.
///
/// # Errors
/// What is wrong with the first bad statement.
pub fn resolve(state: &State, change: &Change, has_main: bool, statements: &[Statement]) -> Result<Vec<Op>, Error> {
    if statements.is_empty() {
        return Err(Error::EmptyTransaction);
    }
    let mut draft = Draft {
        state,
        schema: Cow::Borrowed(state.schema()),
        change,
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
    if draft.ops.is_empty() {
        return Err(Error::NothingToDo);
    }
    Ok(draft.ops)
}

/// A transaction half written.
struct Draft<'a> {
    state: &'a State,
    schema: Cow<'a, Schema>,
    change: &'a Change,
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
                self.insert(Element::from(edge), cells)
            }
            Statement::UpdateEdge { edge, properties } => {
                let (edge, cells) = self.edge(edge, properties)?;
                self.update(Element::from(edge), cells)
            }
            Statement::IncrementNode { table, key, column, by } => {
                let node = self.node(table, key)?;
                self.increment(table, Element::Node(node), column, by)
            }
            Statement::IncrementEdge { edge: name, column, by } => {
                let (edge, _) = self.edge(name, &Properties::new())?;
                self.increment(&name.table, Element::from(edge), column, by)
            }
            Statement::SetRule { table, rule } => self.set_rule(table, rule),
            Statement::ByIdentity(ddl) => self.check_rule_needs(ddl).and_then(|()| self.write_as_it_is(ddl.clone())),
            Statement::IfNotExists(_)
            | Statement::IfExists(_)
            | Statement::DropNodeTable { .. }
            | Statement::DropEdgeTable { .. }
            | Statement::UndropTable { .. }
            | Statement::RenameTable { .. }
            | Statement::AddColumn { .. }
            | Statement::DropColumn { .. }
            | Statement::UndropColumn { .. }
            | Statement::RenameColumn { .. }
            | Statement::AlterColumnType { .. }
            | Statement::AddPair { .. }
            | Statement::DropPair { .. }
            | Statement::CreateIndex { .. }
            | Statement::DropIndex { .. }
            | Statement::CommentOnTable { .. }
            | Statement::CommentOnColumn { .. } => self.change_schema(statement),
            Statement::DeleteEdge { edge } => {
                let (edge, _) = self.edge(edge, &Properties::new())?;
                let element = Element::from(edge);
                self.require(&element)?;
                self.delete(element);
                Ok(())
            }
        }
    }

    // ---- what changes the schema ----

    fn change_schema(&mut self, statement: &Statement) -> Result<(), Error> {
        match statement {
            Statement::IfNotExists(statement) => self.add_if_not_exists(statement),
            Statement::IfExists(statement) => self.add_if_exists(statement),
            Statement::DropNodeTable { table, cascade } => self.drop_node_table(table, *cascade),
            Statement::DropEdgeTable { table } => {
                let (table, _) = self.shown_table("edge", table)?;
                self.write(Ddl::DropTable { table })
            }
            Statement::UndropTable { table: name } => {
                let not_dropped = || Error::NotDropped { what: "table", name: name.clone() };
                let table = self.schema.dropped_table_named(name).ok_or_else(not_dropped)?;
                self.check_table_name_is_free(name)?;
                self.write(Ddl::UndropTable { table })
            }
            Statement::RenameTable { table, to } => {
                let (table, _) = self.any_table(table)?;
                if self.schema.table_named(to).is_some_and(|(owner, _)| owner != table) {
                    return Err(Error::TableExists(to.clone()));
                }
                self.write(Ddl::RenameTable { table, name: to.clone() })
            }
            Statement::AddColumn { table: name, column } => {
                let (table, state) = self.any_table(name)?;
                match state.column_named(&column.name) {
                    Some(_) => Err(Error::ColumnExists { table: name.clone(), column: column.name.clone() }),
                    None => self.write(Ddl::AddColumn { table, column: column.clone(), birth: 0 }),
                }
            }
            Statement::DropColumn { table, column, cascade } => self.drop_column(table, column, *cascade),
            Statement::UndropColumn { table, column: name } => {
                let (table, state) = self.any_table(table)?;
                let not_dropped = || Error::NotDropped { what: "column", name: name.clone() };
                let column = state.dropped_column_named(name).ok_or_else(not_dropped)?;
                self.check_column_name_is_free(table, name, column)?;
                self.write(Ddl::UndropColumn { table, column })
            }
            Statement::RenameColumn { table, column, to } => {
                let (table, column) = self.shown_column(table, column)?;
                self.check_column_name_is_free(table, to, column)?;
                self.write(Ddl::RenameColumn { table, column, name: to.clone() })
            }
            Statement::AlterColumnType { table, column, column_type } => {
                let (table, column) = self.shown_column(table, column)?;
                self.write(Ddl::AlterColumnType { table, column, column_type: column_type.clone() })
            }
            Statement::AddPair { table: name, from: from_name, to: to_name } => {
                let (table, from, to) = self.pair(name, from_name, to_name)?;
                if self.schema.shows_pair(table, from, to) {
                    let (table, from, to) = (name.clone(), from_name.clone(), to_name.clone());
                    return Err(Error::PairExists { table, from, to });
                }
                self.write(Ddl::AddPair { table, from, to })
            }
            Statement::DropPair { table: name, from: from_name, to: to_name } => {
                let (table, from, to) = self.pair(name, from_name, to_name)?;
                let problem = if !self.schema.shows_pair(table, from, to) {
                    "it has no such pair"
                } else if self.schema.shown_pairs(table).len() == 1 {
                    "it is the last; drop the table instead"
                } else {
                    return self.write(Ddl::DropPair { table, from, to });
                };
                let (table, from, to) = (name.clone(), from_name.clone(), to_name.clone());
                Err(Error::NoSuchPair { table, from, to, problem })
            }
            Statement::CreateIndex { table, index, kind, columns } => self.create_index(table, index, *kind, columns),
            Statement::DropIndex { table: name, index } => {
                let (table, state) = self.any_table(name)?;
                let unknown = || Error::UnknownIndex { table: name.clone(), index: index.clone() };
                let (index, _) = state.index_named(index).ok_or_else(unknown)?;
                self.write(Ddl::DropIndex { table, index })
            }
            Statement::CommentOnTable { table, comment } => {
                let (table, _) = self.any_table(table)?;
                self.write(Ddl::CommentOnTable { table, comment: comment.clone() })
            }
            Statement::CommentOnColumn { table, column, comment } => {
                let (table, column) = self.shown_column(table, column)?;
                self.write(Ddl::CommentOnColumn { table, column, comment: comment.clone() })
            }
            _ => panic!("only called for schema statements: {statement:?}"),
        }
    }

    /// Of what is there it claims that it is, so that no earlier drop takes it away.
    fn add_if_not_exists(&mut self, statement: &Statement) -> Result<(), Error> {
        match statement {
            Statement::CreateNodeTable { table, .. } | Statement::CreateEdgeTable { table, .. } => {
                match self.schema.table_named(table) {
                    Some((table, _)) => self.write(Ddl::UndropTable { table }),
                    None => self.add(statement),
                }
            }
            Statement::AddColumn { table, column } => {
                let (id, state) = self.any_table(table)?;
                match state.column_named(&column.name) {
                    Some((column, _)) => self.write(Ddl::UndropColumn { table: id, column }),
                    None => self.add(statement),
                }
            }
            _ => Err(Error::MisplacedClause { clause: "IF NOT EXISTS", to: "CREATE TABLE and ADD COLUMN" }),
        }
    }

    fn add_if_exists(&mut self, statement: &Statement) -> Result<(), Error> {
        let is_there = match statement {
            Statement::DropNodeTable { table, .. } | Statement::DropEdgeTable { table } => {
                self.schema.table_named(table).is_some()
            }
            Statement::DropColumn { table, column, .. } => self.any_table(table)?.1.column_named(column).is_some(),
            _ => return Err(Error::MisplacedClause { clause: "IF EXISTS", to: "DROP TABLE and DROP COLUMN" }),
        };
        if is_there { self.add(statement) } else { Ok(()) }
    }

    fn create_table(&mut self, ddl: Ddl) -> Result<(), Error> {
        if let Ddl::CreateNodeTable { name, .. } | Ddl::CreateEdgeTable { name, .. } = &ddl {
            self.check_table_name_is_free(name)?;
        }
        self.write(ddl)
    }

    /// With cascade, what connects the table goes before it.
    fn drop_node_table(&mut self, name: &str, cascade: bool) -> Result<(), Error> {
        let (table, _) = self.shown_table("node", name)?;
        let connecting: Vec<_> = self.schema.connecting(table).collect();
        for (edges, pairs, of) in connecting {
            if !cascade {
                let by = format!("edge table `{}`", self.schema.shown_name(edges));
                return Err(Error::InUse { what: format!("table `{name}`"), by });
            }
            if pairs.len() == of {
                self.write(Ddl::DropTable { table: edges })?;
            } else {
                pairs.into_iter().try_for_each(|(from, to)| self.write(Ddl::DropPair { table: edges, from, to }))?;
            }
        }
        self.write(Ddl::DropTable { table })
    }

    /// With cascade, the indexes that cover the column go before it.
    fn drop_column(&mut self, name: &str, column_name: &str, cascade: bool) -> Result<(), Error> {
        let (table, state) = self.any_table(name)?;
        let unknown = || Error::UnknownColumn { table: name.to_owned(), column: column_name.to_owned() };
        let (column, _) = state.column_named(column_name).ok_or_else(unknown)?;
        let covering = state.indexes().filter(|(_, index)| index.columns().contains(&column));
        let covering: Vec<_> = covering.map(|(id, index)| (id, index.name().to_owned())).collect();
        for (index, by) in covering {
            if !cascade {
                let what = format!("column `{column_name}` of table `{name}`");
                return Err(Error::InUse { what, by: format!("index `{by}`") });
            }
            self.write(Ddl::DropIndex { table, index })?;
        }
        self.write(Ddl::DropColumn { table, column })
    }

    fn create_index(&mut self, name: &str, index: &str, kind: IndexKind, columns: &[String]) -> Result<(), Error> {
        let (table, state) = self.any_table(name)?;
        let mut covered = Vec::new();
        for column_name in columns {
            let unknown = || Error::UnknownColumn { table: name.to_owned(), column: column_name.clone() };
            let (column, column_state) = state.column_named(column_name).ok_or_else(unknown)?;
            let found = column_state.column_type();
            if kind == IndexKind::FullText && *found != Type::String {
                let (table, column, found) = (name.to_owned(), column_name.clone(), found.clone());
                return Err(Error::NotText { table, column, found });
            }
            if covered.contains(&column) {
                return Err(Error::DuplicateColumn { table: name.to_owned(), column: column_name.clone() });
            }
            covered.push(column);
        }
        let is_same = |other: &IndexState| other.kind() == kind && other.columns() == covered;
        let taken = |other: &IndexState| same_name(other.name(), index) || is_same(other);
        if let Some((_, other)) = state.indexes().find(|(_, other)| taken(other)) {
            return Err(Error::IndexExists { table: name.to_owned(), index: other.name().to_owned() });
        }
        self.write(Ddl::CreateIndex { table, name: index.to_owned(), kind, columns: covered })
    }

    fn check_table_name_is_free(&self, name: &str) -> Result<(), Error> {
        match self.schema.table_named(name) {
            Some(_) => Err(Error::TableExists(name.to_owned())),
            None => Ok(()),
        }
    }

    fn check_column_name_is_free(&self, table: TableId, name: &str, by: ColumnId) -> Result<(), Error> {
        let owner = self.schema.table(table).and_then(|state| state.column_named(name));
        match owner.filter(|(owner, _)| *owner != by) {
            Some(_) => {
                let table = self.schema.shown_name(table).to_owned();
                Err(Error::ColumnExists { table, column: name.to_owned() })
            }
            None => Ok(()),
        }
    }

    fn pair(&self, table: &str, from: &str, to: &str) -> Result<(TableId, TableId, TableId), Error> {
        Ok((self.shown_table("edge", table)?.0, self.shown_table("node", from)?.0, self.shown_table("node", to)?.0))
    }

    /// The table shown under that name, of either kind.
    fn any_table(&self, name: &str) -> Result<(TableId, &TableState), Error> {
        let unknown = || Error::UnknownTable { kind: "node or edge", name: name.to_owned() };
        self.schema.table_named(name).ok_or_else(unknown)
    }

    fn shown_table(&self, kind: &'static str, name: &str) -> Result<(TableId, &TableState), Error> {
        let unknown = || Error::UnknownTable { kind, name: name.to_owned() };
        self.schema.table_named(name).filter(|(_, table)| is_of_kind(table, kind)).ok_or_else(unknown)
    }

    fn shown_column(&self, table: &str, column: &str) -> Result<(TableId, ColumnId), Error> {
        let (id, state) = self.any_table(table)?;
        let unknown = || Error::UnknownColumn { table: table.to_owned(), column: column.to_owned() };
        Ok((id, state.column_named(column).ok_or_else(unknown)?.0))
    }

    /// Writes a schema operation, if it is sound. What it makes is new.
    fn write(&mut self, ddl: Ddl) -> Result<(), Error> {
        self.schema.check(&ddl)?;
        let ddl = self.schema.with_birth(ddl);
        self.write_as_it_is(ddl)
    }

    /// A rule that is given by identity needs what one by name does.
    fn check_rule_needs(&self, ddl: &Ddl) -> Result<(), Error> {
        match ddl {
            Ddl::SetRule { rule: Rule::Policy { policy, .. }, .. } if policy.needs_main() && !self.has_main => {
                Err(Error::NeedsMain { what: policy.name() })
            }
            _ => Ok(()),
        }
    }

    fn write_as_it_is(&mut self, ddl: Ddl) -> Result<(), Error> {
        self.schema.check(&ddl)?;
        let op = Op::Schema(ddl.clone());
        let index = u32::try_from(self.ops.len()).unwrap_or(u32::MAX);
        self.schema.to_mut().join(self.change.rank(index, &op), &self.change.seen, &ddl);
        self.ops.push(op);
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
            Rule::Unique { column, is_on } => {
                Rule::Unique { column: self.shown_column(name, column)?.1, is_on: *is_on }
            }
            Rule::AtLeast { column, bound } => {
                let (_, id) = self.shown_column(name, column)?;
                let found = state.column(id).map_or(&Type::Int64, ColumnState::column_type);
                if !found.is_summable() {
                    let (table, column, found) = (name.to_owned(), column.clone(), found.to_string());
                    return Err(Error::NotSummable { table, column, found });
                }
                Rule::AtLeast { column: id, bound: *bound }
            }
        };
        self.write(Ddl::SetRule { table, rule })
    }

    // ---- what changes rows ----

    fn increment(&mut self, table: &str, element: Element, column: &str, by: &Value) -> Result<(), Error> {
        let state = self.schema.table(element.table()).expect("the table was just looked up");
        let unknown = || Error::UnknownColumn { table: table.to_owned(), column: column.to_owned() };
        let (id, column_state) = state.resolve_column(column).ok_or_else(unknown)?;
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
            Element::Edge(other) if shares(other) => Some(&**other),
            _ => None,
        });
        let Some(existing) = made.or_else(|| self.state.in_the_way_of(edge, multiplicity, &self.gone)) else {
            return Ok(());
        };
        let describe = |edge: &Edge| self.state.describe(&Element::from(edge.clone()));
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
        let known = self.state.live_edges(&node).cloned().map(Element::from);
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

    /// The table that a client means who may not know of a rename.
    fn table(&self, kind: &'static str, name: &str) -> Result<(TableId, &TableState), Error> {
        let found = self.schema.resolve_table(name).filter(|(_, table)| is_of_kind(table, kind));
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
        let element = Element::from(edge.clone());
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
            let (column, column_state) = state.resolve_column(name).ok_or_else(unknown)?;
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

fn is_of_kind(table: &TableState, kind: &str) -> bool {
    match table.kind() {
        Kind::Node { .. } => kind == "node",
        Kind::Edge { .. } => kind == "edge",
    }
}

fn key_column(table: &TableState) -> &ColumnState {
    let Kind::Node { key } = table.kind() else { panic!("only node tables have a key") };
    table.column(*key).expect("a key is one of its table's columns")
}
