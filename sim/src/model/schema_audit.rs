//! Which schema operations lost to a concurrent one, and which names are owned by another.
//!
//! Each operation says things of a table and its parts. Of two that say different things of one, neither author knowing of
//! the other, the lesser is lost; the greatest that it lost to is named. Two sayings agree also if one type holds every
//! value of the other. Whether a pair of tables is there is not decided by who is greater: who adds wins.

use kuzusync_core::change::Op;
use kuzusync_core::conflict::Resolution;
use kuzusync_core::conflict::schema::{
    Attribute, Claim, SchemaClaim, SchemaConflict, SchemaLoss, SchemaRegister, Subject,
};
use kuzusync_core::ddl::{Column, Ddl, Rule, column_born, column_id, fold, index_id};
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::policy::Policy;

use super::tables::holds_more;
use super::{Model, Placed};

/// What an operation says, and of what.
type Saying<'a> = (Placed<'a>, SchemaRegister, Claim);

impl<'a> Model<'a> {
    /// Every loss of a schema claim, by register and rank.
    #[must_use]
    pub fn schema_audit(&self) -> Vec<SchemaLoss> {
        let sayings: Vec<Saying<'_>> = self.schema.iter().flat_map(|op| sayings(*op)).collect();
        let mut losses: Vec<SchemaLoss> = sayings.iter().filter_map(|loser| lost(loser, &sayings)).collect();
        losses.extend(self.contested(&sayings));
        losses.sort_by_key(|loss| (loss.register, loss.loser.rank));
        losses
    }

    /// The operation by which a table or column is gone: the last of those that made or dropped it.
    pub(super) fn dropped_by(&self, table: TableId, column: Option<ColumnId>) -> Option<Placed<'a>> {
        let subject = column.map_or(Subject::Table, Subject::Column);
        let register = SchemaRegister { table, subject, attribute: Attribute::Existence };
        let of_it = |op: &Placed<'a>| sayings(*op).into_iter().find(|(_, of, _)| *of == register);
        let (op, _, claim) = self.schema.iter().filter_map(of_it).next_back()?;
        (claim == Claim::Dropped).then_some(op)
    }

    /// Those of all that is shown of which another, named later, has the name.
    fn contested(&self, sayings: &[Saying<'_>]) -> Vec<SchemaLoss> {
        let mut names: Vec<(SchemaRegister, &Saying<'_>)> = Vec::new();
        for saying in sayings.iter().filter(|(_, register, _)| register.attribute == Attribute::Name) {
            let (_, register, _) = saying;
            if self.is_there(*register, sayings) {
                names.retain(|(other, _)| other != register);
                names.push((*register, saying));
            }
        }
        let scope = |register: &SchemaRegister| match register.subject {
            Subject::Table => None,
            Subject::Column(_) => Some((register.table, "column")),
            Subject::Index(_) | Subject::Pair(..) => Some((register.table, "index")),
        };
        let folded = |claim: &Claim| match claim {
            Claim::Name(name) => fold(name),
            _ => String::new(),
        };
        let mut losses = Vec::new();
        for (register, (loser, _, lost)) in &names {
            let rivals = names.iter().filter(|(other, (_, _, claim))| {
                other != register && scope(other) == scope(register) && folded(claim) == folded(lost)
            });
            let owner = rivals.max_by_key(|(_, (op, _, _))| op.standing(Policy::Auto));
            if let Some((owner, (winner, _, won))) = owner
                && winner.outranks(loser, Policy::Auto)
            {
                losses.push(SchemaLoss {
                    register: *register,
                    conflict: SchemaConflict::ContestedName,
                    resolution: by_what(loser, winner),
                    loser: SchemaClaim { rank: loser.rank(), claim: lost.clone() },
                    winner: SchemaClaim { rank: winner.rank(), claim: won.clone() },
                    taken_by: Some((owner.table, owner.subject)),
                });
            }
        }
        losses
    }

    /// Whether what a register is about has a name that others may want.
    fn is_there(&self, register: SchemaRegister, sayings: &[Saying<'_>]) -> bool {
        let existence = SchemaRegister { attribute: Attribute::Existence, ..register };
        let last = sayings.iter().rev().find(|(_, of, _)| *of == existence);
        let is_made = last.is_some_and(|(_, _, claim)| *claim == Claim::Made);
        match register.subject {
            Subject::Table => self.tables.definition(register.table).is_some(),
            // An index is gone with any of its columns.
            Subject::Index(index) => {
                let covers_what_is_there = |op: &Placed<'_>| match op.op {
                    Op::Schema(Ddl::CreateIndex { table, kind, columns, .. }) => {
                        let is_it = *table == register.table && index_id(*table, *kind, columns) == index;
                        is_it && !columns.iter().any(|column| self.tables.is_dropped(*table, Some(*column)))
                    }
                    _ => false,
                };
                is_made && self.tables.is_known(register.table) && self.schema.iter().any(covers_what_is_there)
            }
            _ => is_made && self.tables.is_known(register.table),
        }
    }
}

/// Whether a saying is lost, and to what.
fn lost((loser, register, lost): &Saying<'_>, all: &[Saying<'_>]) -> Option<SchemaLoss> {
    let beats = |(winner, of, won): &&Saying<'_>| {
        let is_greater = match register.subject {
            Subject::Pair(..) => *lost == Claim::Dropped,
            _ => winner.outranks(loser, Policy::Auto),
        };
        of == register && is_greater && winner.is_concurrent_with(loser) && !agree(lost, won)
    };
    let (winner, _, won) = all.iter().rfind(beats)?;
    let is_pair = matches!(register.subject, Subject::Pair(..));
    Some(SchemaLoss {
        register: *register,
        conflict: SchemaConflict::ConcurrentSchemaChange,
        resolution: if is_pair { Resolution::AddWins } else { by_what(loser, winner) },
        loser: SchemaClaim { rank: loser.rank(), claim: lost.clone() },
        winner: SchemaClaim { rank: winner.rank(), claim: won.clone() },
        taken_by: None,
    })
}

fn agree(one: &Claim, other: &Claim) -> bool {
    match (one, other) {
        (Claim::Type(one), Claim::Type(other)) => one == other || holds_more(one, other) || holds_more(other, one),
        _ => one == other,
    }
}

fn by_what(loser: &Placed<'_>, winner: &Placed<'_>) -> Resolution {
    let is_online = loser.change.link_epoch != winner.change.link_epoch;
    if is_online { Resolution::OnlineWins } else { Resolution::LastWriteWins }
}

/// What an operation says.
fn sayings(op: Placed<'_>) -> Vec<Saying<'_>> {
    use Attribute::{Comment, Default, Existence, Multiplicity, Name, Revive, Type, UpdateRevives};
    let Op::Schema(ddl) = op.op else { return Vec::new() };
    let table = ddl.table_id();
    let mut said: Vec<(Subject, Attribute, Claim)> = Vec::new();
    let column_said = |id: ColumnId, column: &Column| {
        let of = Subject::Column(id);
        let default = column.default.iter().map(|default| (of, Default, Claim::Default(default.clone())));
        let others = [
            (of, Existence, Claim::Made),
            (of, Name, Claim::Name(column.name.clone())),
            (of, Type, Claim::Type(column.column_type.clone())),
        ];
        others.into_iter().chain(default).collect::<Vec<_>>()
    };
    match ddl {
        Ddl::CreateNodeTable { name, columns, .. } | Ddl::CreateEdgeTable { name, columns, .. } => {
            said.push((Subject::Table, Existence, Claim::Made));
            said.push((Subject::Table, Name, Claim::Name(name.clone())));
            said.extend(columns.iter().flat_map(|column| column_said(column_id(table, &column.name), column)));
            if let Ddl::CreateEdgeTable { from, to, .. } = ddl {
                said.push((Subject::Pair(*from, *to), Existence, Claim::Made));
            }
        }
        Ddl::DropTable { .. } => said.push((Subject::Table, Existence, Claim::Dropped)),
        Ddl::UndropTable { .. } => said.push((Subject::Table, Existence, Claim::Made)),
        Ddl::RenameTable { name, .. } => said.push((Subject::Table, Name, Claim::Name(name.clone()))),
        Ddl::AddColumn { column, birth, .. } => said = column_said(column_born(table, &column.name, *birth), column),
        Ddl::DropColumn { column, .. } => said.push((Subject::Column(*column), Existence, Claim::Dropped)),
        Ddl::UndropColumn { column, .. } => said.push((Subject::Column(*column), Existence, Claim::Made)),
        Ddl::RenameColumn { column, name, .. } => {
            said.push((Subject::Column(*column), Name, Claim::Name(name.clone())));
        }
        Ddl::AlterColumnType { column, column_type, .. } => {
            said.push((Subject::Column(*column), Type, Claim::Type(column_type.clone())));
        }
        Ddl::AddPair { from, to, .. } => said.push((Subject::Pair(*from, *to), Existence, Claim::Made)),
        Ddl::DropPair { from, to, .. } => said.push((Subject::Pair(*from, *to), Existence, Claim::Dropped)),
        Ddl::CreateIndex { name, kind, columns, .. } => {
            let of = Subject::Index(index_id(table, *kind, columns));
            said = vec![(of, Existence, Claim::Made), (of, Name, Claim::Name(name.clone()))];
        }
        Ddl::DropIndex { index, .. } => said.push((Subject::Index(*index), Existence, Claim::Dropped)),
        Ddl::CommentOnTable { comment, .. } => said.push((Subject::Table, Comment, Claim::Comment(comment.clone()))),
        Ddl::CommentOnColumn { column, comment, .. } => {
            said.push((Subject::Column(*column), Comment, Claim::Comment(comment.clone())));
        }
        Ddl::SetRule { rule, .. } => said.push(match rule {
            Rule::Policy { column, policy } => {
                let of = column.map_or(Subject::Table, Subject::Column);
                (of, Attribute::Policy, Claim::Policy(*policy))
            }
            Rule::Unique { column, is_on } => (Subject::Column(*column), Attribute::Unique, Claim::Flag(*is_on)),
            Rule::AtLeast { column, bound } => (Subject::Column(*column), Attribute::AtLeast, Claim::Bound(*bound)),
            Rule::UpdateRevives(is_on) => (Subject::Table, UpdateRevives, Claim::Flag(*is_on)),
            Rule::Revive(is_on) => (Subject::Table, Revive, Claim::Flag(*is_on)),
            Rule::Multiplicity(limit) => (Subject::Table, Multiplicity, Claim::Multiplicity(*limit)),
        }),
    }
    let register = |subject, attribute| SchemaRegister { table, subject, attribute };
    said.into_iter().map(|(subject, attribute, claim)| (op, register(subject, attribute), claim)).collect()
}
