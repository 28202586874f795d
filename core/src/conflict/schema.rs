//! Which schema claims lost to a concurrent one: the audit of schema changes (DDL Synchronisation, case B7).
//!
//! A claim is what one schema operation says of one thing: that it is there, what it is called, of which type it is.
//! It is a recorded loss exactly when some concurrent claim of something else about the same thing outranks it; the
//! record names the greatest such. Two exceptions: types that widen into each other are united, so neither is lost; and
//! the drop of a FROM-TO pair loses to every addition its author had not seen, whatever their ranks.
//!
//! A name that two things claim is a loss as well, of the one that is shown as `name~shortid`, for as long as both
//! claim it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Resolution;
use crate::change::Change;
use crate::clock::Rank;
use crate::ddl::{Column, Ddl, Multiplicity, Rule, column_born, column_id, index_id};
use crate::id::{ColumnId, IndexId, TableId};
use crate::policy::Policy;
use crate::schema::{NameClaim, Schema};
use crate::value::{Type, Value};

/// The table, or the part of it, that a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The table itself.
    Table,
    /// A column of it.
    Column(ColumnId),
    /// An index of it.
    Index(IndexId),
    /// A FROM-TO pair of it.
    Pair(TableId, TableId),
}

/// What a claim says of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// Whether it is there.
    Existence,
    /// What it is called.
    Name,
    /// Of which type its values are.
    Type,
    /// What a row shows that was never given a value.
    Default,
    /// What it is for.
    Comment,
    /// Who wins in it.
    Policy,
    /// Whether any write to a deleted row brings it back.
    UpdateRevives,
    /// Whether an edge keeps its ends alive.
    Revive,
    /// How many edges a node may have.
    Multiplicity,
    /// Whether no two rows may show one value in it.
    Unique,
    /// The number that no row may fall below in it.
    AtLeast,
}

/// What schema operations compete for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SchemaRegister {
    /// The table.
    pub table: TableId,
    /// What of it.
    pub subject: Subject,
    /// Which of its attributes.
    pub attribute: Attribute,
}

/// What a schema operation leaves in a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// It is there.
    Made,
    /// It is not.
    Dropped,
    /// It is called so.
    Name(String),
    /// It is of this type.
    Type(Type),
    /// It shows this where nothing was written.
    Default(Value),
    /// It is for this; empty for no comment.
    Comment(String),
    /// It is decided so.
    Policy(Policy),
    /// It is so or not.
    Flag(bool),
    /// It has so many.
    Multiplicity(Multiplicity),
    /// It may not go below this; `None` for no bound.
    Bound(Option<i64>),
}

/// One of the two claims of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaClaim {
    /// When, by whom, which operation.
    pub rank: Rank,
    /// What it claimed.
    pub claim: Claim,
}

/// How two claims collided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaConflict {
    /// Two say different things of one.
    ConcurrentSchemaChange,
    /// Two things claim one name.
    ContestedName,
}

impl SchemaConflict {
    /// The type's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SchemaConflict::ConcurrentSchemaChange => "concurrent_schema_change",
            SchemaConflict::ContestedName => "contested_name",
        }
    }
}

/// A claim that lost, and to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaLoss {
    /// What both are about; of a contested name, what the loser is about.
    pub register: SchemaRegister,
    /// How they collided.
    pub conflict: SchemaConflict,
    /// The rule that decided.
    pub resolution: Resolution,
    /// The claim that lost.
    pub loser: SchemaClaim,
    /// The greatest that it lost to.
    pub winner: SchemaClaim,
    /// Who has the contested name.
    pub taken_by: Option<(TableId, Subject)>,
}

/// A claim with the change that tells what its author had seen.
#[derive(Clone, Debug)]
struct Entered {
    change: Arc<Change>,
    made: SchemaClaim,
}

/// Every claim and every concurrent loss among them.
#[derive(Clone, Debug, Default)]
pub(super) struct SchemaAudit {
    claims: BTreeMap<SchemaRegister, Vec<Entered>>,
    losses: BTreeMap<(SchemaRegister, Rank), SchemaLoss>,
}

impl SchemaAudit {
    /// Enters a schema operation; returns the losses it added or altered.
    pub(super) fn record(&mut self, change: &Arc<Change>, rank: Rank, ddl: &Ddl) -> Vec<SchemaLoss> {
        let mut found = Vec::new();
        for (subject, attribute, claim) in claims(ddl) {
            let register = SchemaRegister { table: ddl.table_id(), subject, attribute };
            let new = Entered { change: Arc::clone(change), made: SchemaClaim { rank, claim } };
            let known = self.claims.entry(register).or_default();
            for old in known.iter().filter(|old| old.change.is_concurrent_with(change)) {
                let Some(loss) = judge(register, &old.made, &new.made) else { continue };
                let place = (register, loss.loser.rank);
                if self.losses.get(&place).is_none_or(|known| loss.winner.rank > known.winner.rank) {
                    found.push(loss.clone());
                    self.losses.insert(place, loss);
                }
            }
            known.push(new);
        }
        found
    }

    /// Every loss, in the order of registers, with those of the names that others own.
    pub(super) fn losses(&self, schema: &Schema) -> Vec<SchemaLoss> {
        let mut losses = self.losses.clone();
        for (loser, winner) in schema.contested_names() {
            let of = |claim: &NameClaim| SchemaClaim { rank: claim.rank, claim: Claim::Name(claim.name.clone()) };
            let register = SchemaRegister { table: loser.table, subject: loser.subject, attribute: Attribute::Name };
            let loss = SchemaLoss {
                register,
                conflict: SchemaConflict::ContestedName,
                resolution: Resolution::of(Policy::Auto, &loser.rank, &winner.rank),
                loser: of(&loser),
                winner: of(&winner),
                taken_by: Some((winner.table, winner.subject)),
            };
            losses.insert((register, loser.rank), loss);
        }
        losses.into_values().collect()
    }

    /// The change that dropped something which is not there, with the rank of the drop.
    pub(super) fn standing_drop(&self, table: TableId, subject: Subject) -> Option<(&Arc<Change>, Rank)> {
        let register = SchemaRegister { table, subject, attribute: Attribute::Existence };
        let greatest = self.claims.get(&register)?.iter().max_by_key(|entered| entered.made.rank)?;
        (greatest.made.claim == Claim::Dropped).then_some((&greatest.change, greatest.made.rank))
    }
}

/// Which of two concurrent claims is lost, if one is.
fn judge(register: SchemaRegister, one: &SchemaClaim, other: &SchemaClaim) -> Option<SchemaLoss> {
    let (mut loser, mut winner) = if one.rank < other.rank { (one, other) } else { (other, one) };
    let mut resolution = Resolution::of(Policy::Auto, &loser.rank, &winner.rank);
    match (&loser.claim, &winner.claim) {
        (lost, kept) if lost == kept => return None,
        (Claim::Type(lost), Claim::Type(kept)) if lost.widening().contains(kept) || kept.widening().contains(lost) => {
            return None;
        }
        _ => {}
    }
    if matches!(register.subject, Subject::Pair(..)) {
        resolution = Resolution::AddWins;
        if winner.claim == Claim::Dropped {
            (loser, winner) = (winner, loser);
        }
    }
    let (loser, winner) = (loser.clone(), winner.clone());
    let conflict = SchemaConflict::ConcurrentSchemaChange;
    Some(SchemaLoss { register, conflict, resolution, loser, winner, taken_by: None })
}

/// What an operation claims.
fn claims(ddl: &Ddl) -> Vec<(Subject, Attribute, Claim)> {
    let table = ddl.table_id();
    let existence = |subject, claim| vec![(subject, Attribute::Existence, claim)];
    let made = |subject, name: &String| {
        vec![(subject, Attribute::Existence, Claim::Made), (subject, Attribute::Name, Claim::Name(name.clone()))]
    };
    match ddl {
        Ddl::CreateNodeTable { name, columns, .. } => {
            let mut claims = made(Subject::Table, name);
            claims.extend(columns.iter().flat_map(|column| column_claims(column_id(table, &column.name), column)));
            claims
        }
        Ddl::CreateEdgeTable { name, columns, from, to, .. } => {
            let mut claims = made(Subject::Table, name);
            claims.extend(columns.iter().flat_map(|column| column_claims(column_id(table, &column.name), column)));
            claims.extend(existence(Subject::Pair(*from, *to), Claim::Made));
            claims
        }
        Ddl::SetRule { rule, .. } => vec![match rule {
            Rule::Policy { column: None, policy } => (Subject::Table, Attribute::Policy, Claim::Policy(*policy)),
            Rule::Policy { column: Some(column), policy } => {
                (Subject::Column(*column), Attribute::Policy, Claim::Policy(*policy))
            }
            Rule::Unique { column, is_on } => (Subject::Column(*column), Attribute::Unique, Claim::Flag(*is_on)),
            Rule::AtLeast { column, bound } => (Subject::Column(*column), Attribute::AtLeast, Claim::Bound(*bound)),
            Rule::UpdateRevives(is_on) => (Subject::Table, Attribute::UpdateRevives, Claim::Flag(*is_on)),
            Rule::Revive(is_on) => (Subject::Table, Attribute::Revive, Claim::Flag(*is_on)),
            Rule::Multiplicity(multiplicity) => {
                (Subject::Table, Attribute::Multiplicity, Claim::Multiplicity(*multiplicity))
            }
        }],
        Ddl::DropTable { .. } => existence(Subject::Table, Claim::Dropped),
        Ddl::UndropTable { .. } => existence(Subject::Table, Claim::Made),
        Ddl::RenameTable { name, .. } => vec![(Subject::Table, Attribute::Name, Claim::Name(name.clone()))],
        Ddl::AddColumn { column, birth, .. } => column_claims(column_born(table, &column.name, *birth), column),
        Ddl::DropColumn { column, .. } => existence(Subject::Column(*column), Claim::Dropped),
        Ddl::UndropColumn { column, .. } => existence(Subject::Column(*column), Claim::Made),
        Ddl::RenameColumn { column, name, .. } => {
            vec![(Subject::Column(*column), Attribute::Name, Claim::Name(name.clone()))]
        }
        Ddl::AlterColumnType { column, column_type, .. } => {
            vec![(Subject::Column(*column), Attribute::Type, Claim::Type(column_type.clone()))]
        }
        Ddl::AddPair { from, to, .. } => existence(Subject::Pair(*from, *to), Claim::Made),
        Ddl::DropPair { from, to, .. } => existence(Subject::Pair(*from, *to), Claim::Dropped),
        Ddl::CreateIndex { name, kind, columns, .. } => made(Subject::Index(index_id(table, *kind, columns)), name),
        Ddl::DropIndex { index, .. } => existence(Subject::Index(*index), Claim::Dropped),
        Ddl::CommentOnTable { comment, .. } => {
            vec![(Subject::Table, Attribute::Comment, Claim::Comment(comment.clone()))]
        }
        Ddl::CommentOnColumn { column, comment, .. } => {
            vec![(Subject::Column(*column), Attribute::Comment, Claim::Comment(comment.clone()))]
        }
    }
}

fn column_claims(id: ColumnId, column: &Column) -> Vec<(Subject, Attribute, Claim)> {
    let subject = Subject::Column(id);
    let mut claims = vec![
        (subject, Attribute::Existence, Claim::Made),
        (subject, Attribute::Name, Claim::Name(column.name.clone())),
        (subject, Attribute::Type, Claim::Type(column.column_type.clone())),
    ];
    claims.extend(column.default.clone().map(|default| (subject, Attribute::Default, Claim::Default(default))));
    claims
}
