//! Plans: what the outside does to a cluster, as plain data that can be printed, stored, replayed and shrunk.
//!
//! A step names replicas, tables and rows by number, modulo what there is when it is carried out. So a plan keeps its
//! meaning when steps are taken out of it, and every step of a generated plan is legal. A step that can do nothing (a
//! crashed replica, no row to delete) is passed over and noted in the history.

use kuzusync_core::statement::Statement;
use kuzusync_core::store::refusing::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::disk::DiskFault;
use crate::engine::StoreFault;
use crate::options::{Options, PAUSE_MS_MAX, YEAR_MS, clock_offset, in_range};
use crate::reading::{self, BadFile, OutOfRange};

/// One thing the outside does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Time passes.
    Wait {
        /// How much, simulated.
        #[schemars(range(max = YEAR_MS))]
        ms: u64,
    },
    /// A client submits exactly these statements as one transaction.
    Submit {
        /// Where.
        replica: u32,
        /// What.
        statements: Vec<Statement>,
        /// Who votes on it besides; nobody if it is an ordinary change, which merges.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        participants: Vec<u32>,
    },
    /// A client creates a table of the sample schema.
    CreateTable {
        /// Where.
        replica: u32,
        /// Which of the sample tables.
        table: u32,
    },
    /// A client creates a node.
    CreateNode {
        /// Where.
        replica: u32,
        /// In which node table.
        table: u32,
        /// Which of a few keys.
        key: u32,
        /// What its properties are made of.
        value: u32,
    },
    /// A client updates one property of a node.
    UpdateNode {
        /// Where.
        replica: u32,
        /// Which node.
        row: u32,
        /// Which column.
        column: u32,
        /// What the value is made of.
        value: u32,
    },
    /// A client updates one property of a node and wants to be refused if somebody else wrote to the node meanwhile.
    UpdateNodeStrictly {
        /// Where.
        replica: u32,
        /// Which node.
        row: u32,
        /// Which column.
        column: u32,
        /// What the value is made of.
        value: u32,
    },
    /// A client submits an update of one property of a node that it made a while ago.
    UpdateNodeEarlier {
        /// Where.
        replica: u32,
        /// Which node.
        row: u32,
        /// Which column.
        column: u32,
        /// What the value is made of.
        value: u32,
        /// How long ago, by the host's clock.
        ago_ms: u32,
        /// The nanoseconds within that millisecond.
        submilli_ns: u32,
    },
    /// A client adds to a number of a node.
    IncrementNode {
        /// Where.
        replica: u32,
        /// Which node.
        row: u32,
        /// Which of its numbers.
        column: u32,
        /// How much.
        by: i64,
    },
    /// A client deletes a node.
    DeleteNode {
        /// Where.
        replica: u32,
        /// Which node.
        row: u32,
    },
    /// A client creates an edge.
    CreateEdge {
        /// Where.
        replica: u32,
        /// In which edge table.
        table: u32,
        /// From which node.
        from: u32,
        /// To which node.
        to: u32,
        /// What its properties are made of.
        value: u32,
    },
    /// A client updates one property of an edge.
    UpdateEdge {
        /// Where.
        replica: u32,
        /// Which edge.
        row: u32,
        /// Which column.
        column: u32,
        /// What the value is made of.
        value: u32,
    },
    /// A client adds to a number of an edge.
    IncrementEdge {
        /// Where.
        replica: u32,
        /// Which edge.
        row: u32,
        /// Which of its numbers.
        column: u32,
        /// How much.
        by: i64,
    },
    /// A client deletes an edge.
    DeleteEdge {
        /// Where.
        replica: u32,
        /// Which edge.
        row: u32,
    },
    /// A client sets a merge rule of a table.
    SetRule {
        /// Where.
        replica: u32,
        /// Which table.
        table: u32,
        /// Which of the rules it can have.
        rule: u32,
    },
    /// A client changes the schema.
    ChangeSchema {
        /// Where.
        replica: u32,
        /// Which table.
        table: u32,
        /// Which column, or which of the types or pairs.
        column: u32,
        /// What happens to it, and with which name or type.
        change: u32,
    },
    /// A client has several replicas do something together or not at all. It does not wait for the decision.
    Transact {
        /// Who coordinates.
        replica: u32,
        /// Who takes part besides: bit n stands for host n.
        participants: u64,
        /// What it does: update a node, connect two, add to a number, create a node, take from one what another gets.
        what: u32,
        /// Which node.
        row: u32,
        /// Which column, or which other node.
        column: u32,
        /// What the value is made of.
        value: u32,
    },
    /// A client gives a column a constraint, or takes it away.
    Constrain {
        /// Where.
        replica: u32,
        /// Which table.
        table: u32,
        /// Which column.
        column: u32,
        /// Which constraint.
        constraint: u32,
    },
    /// The client of the last transaction that wrote rows hands it to another replica as well.
    SubmitAgainElsewhere {
        /// Where; if that is where it was submitted, the next one.
        replica: u32,
    },
    /// The client of the last transaction that wrote rows submits it once more, where it did before.
    SubmitAgain,
    /// A host dies: at once, or in the middle of carrying out what its replica next wants done.
    Crash {
        /// Which host.
        replica: u32,
        /// How many more outputs it carries out before it dies; if it is down, after it starts again.
        after_outputs: u32,
        /// How many bytes stay on its disk of what it had written and not synced; the record they end in is torn.
        #[serde(default)]
        kept_bytes: u64,
    },
    /// A host stands still. What reaches it waits, and its clients lose patience.
    Pause {
        /// Which host.
        replica: u32,
    },
    /// A host that stands still goes on.
    Resume {
        /// Which host.
        replica: u32,
    },
    /// A host dies, loses its disk, and comes back as a new replica with an empty one. Not the main: a wiped main is
    /// another main.
    Wipe {
        /// Which host.
        replica: u32,
    },
    /// A host dies and starts from a copy of another's disk, so that two hosts have one identity. When the cluster is to
    /// come to rest both are wiped. Only edges of a main: without one nobody notices.
    Clone {
        /// Which host.
        replica: u32,
        /// Whose disk is copied; if it is the same, the next one's.
        other: u32,
    },
    /// A host's disk fails.
    FailDisk {
        /// Which host.
        replica: u32,
        /// How.
        fault: DiskFault,
        /// How many more records it writes before, or how often it can still be read.
        after: u32,
    },
    /// A host's disk gets slow.
    SlowDisk {
        /// Which host.
        replica: u32,
        /// What a sync takes from now on.
        #[schemars(range(max = PAUSE_MS_MAX))]
        sync_ms: u64,
    },
    /// A host's disk is as good as new, with all that it holds.
    MendDisk {
        /// Which host.
        replica: u32,
    },
    /// The graph stores of a host fail within a delta.
    FailStore {
        /// Which host.
        replica: u32,
        /// How.
        fault: StoreFault,
        /// How many more statements they carry out before.
        after_statements: u32,
    },
    /// From now on the databases of a host refuse a part of the schema, also after a restart. Healing does not change
    /// that: a cluster comes to rest with it.
    RefuseSchema {
        /// Which host.
        replica: u32,
        /// What they refuse, besides what they refuse already.
        refusal: Refusal,
    },
    /// The databases of a host refuse nothing any more, and are filled anew.
    AcceptSchema {
        /// Which host.
        replica: u32,
    },
    /// The link between two hosts holds back what is sent, either way, and lets it all go at once.
    Clog {
        /// One of them.
        replica: u32,
        /// The other; if it is the same, the next one.
        other: u32,
        /// For how long.
        #[schemars(range(max = PAUSE_MS_MAX))]
        ms: u64,
    },
    /// A host stops and starts again with the newest version of the protocol, on the disk it has.
    Upgrade {
        /// Which of those that have an older one.
        replica: u32,
    },
    /// The main forgets what nobody needs any more.
    Compact,
    /// A crashed host starts again from its disk.
    Restart {
        /// Which host.
        replica: u32,
    },
    /// A host loses its network and knows it.
    GoOffline {
        /// Which host.
        replica: u32,
    },
    /// An offline host has its network back and knows it.
    GoOnline {
        /// Which host.
        replica: u32,
    },
    /// Nothing passes between the hosts whose bit is set and the others, and nobody is told. Of this step and the next
    /// three only the last one counts.
    Partition {
        /// Bit n stands for host n.
        group: u64,
    },
    /// Nothing passes from the hosts whose bit is set to the others, and nobody is told. What the others send arrives.
    PartitionOneWay {
        /// Bit n stands for host n.
        group: u64,
    },
    /// Nothing passes to or from one host, and nobody is told.
    Isolate {
        /// Which host.
        replica: u32,
    },
    /// Nothing passes but between neighbours in the ring of all hosts, and nobody is told. With a main that leaves it
    /// the first and the last edge.
    PartitionRing,
    /// Nothing passes between two hosts, and nobody is told.
    CutLink {
        /// One of them.
        replica: u32,
        /// The other; if it is the same, the next one.
        other: u32,
        /// How many more messages arrive before.
        after_messages: u64,
    },
    /// Every partition and cut ends.
    Heal,
    /// A host's wall clock is set.
    JumpClock {
        /// Which host.
        replica: u32,
        /// By how much, forwards or backwards.
        #[schemars(range(min = -YEAR_MS.cast_signed(), max = YEAR_MS))]
        ms: i64,
    },
    /// Somebody makes a replica believe that a peer sent it these bytes.
    Inject {
        /// Where.
        replica: u32,
        /// As if from which host; if it is the same, the next one.
        from: u32,
        /// What, as hexadecimal digits.
        #[serde(with = "hexadecimal")]
        #[schemars(with = "String", regex(pattern = r"^([0-9a-fA-F]{2})*$"))]
        bytes: Vec<u8>,
    },
    /// Everything is healed and given time until nothing is under way; then links misbehave again.
    Settle,
    /// A majority is healed and given time until nothing is under way among it. The rest stays as broken as it is, cut off
    /// from the majority until the next partition or healing, and nobody is told.
    SettleMajority {
        /// Who stays out: bit n stands for host n. Of those the first that leave a majority; never the main, without
        /// which edges cannot agree on anything.
        out: u64,
    },
}

/// Bytes as text, two digits each.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.filter(|_| rest.is_empty()).ok_or_else(|| de::Error::custom("bytes are pairs of hexadecimal digits"))
    }
}

/// The version of the plan format.
pub const PLAN_VERSION: u32 = 1;

/// A run without its seed: the options and the steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of the format: by what rules to read it.
    #[schemars(range(min = 1, max = PLAN_VERSION))]
    pub version: u32,
    /// Every knob.
    #[serde(default)]
    pub options: Options,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// A plan of these steps.
    #[must_use]
    pub fn new(options: Options, steps: Vec<Step>) -> Self {
        Plan { version: PLAN_VERSION, options, steps }
    }

    /// Reads a plan from JSON.
    ///
    /// # Errors
    /// What is wrong and where; a newer format is called newer.
    pub fn from_json(text: &str) -> Result<Self, BadFile> {
        let plan: Plan = reading::read(text, &[("version", PLAN_VERSION)])?;
        plan.check().map_err(|error| error.in_file(text, ""))?;
        Ok(plan)
    }

    /// Refuses what no cluster can have and no run could end with.
    ///
    /// # Errors
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        self.options.check()?;
        let mut waited_ms = 0_u64;
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Wait { ms } => {
                    waited_ms = waited_ms.saturating_add(*ms);
                    let range = "a wait with which all waits together are at most a year, 31536000000 ms";
                    in_range(format!("steps[{number}].wait.ms"), *ms, waited_ms <= YEAR_MS, range)?;
                }
                Step::SlowDisk { sync_ms: ms, .. } | Step::Clog { ms, .. } => {
                    let field = if matches!(step, Step::Clog { .. }) { "clog.ms" } else { "slow_disk.sync_ms" };
                    let range = "at most 3600000, an hour";
                    in_range(format!("steps[{number}].{field}"), *ms, *ms <= PAUSE_MS_MAX, range)?;
                }
                Step::JumpClock { ms, .. } => clock_offset(format!("steps[{number}].jump_clock.ms"), *ms)?,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Problem;
    use kuzusync_core::value::Type;

    #[test]
    fn a_plan_survives_json() {
        let steps = vec![
            Step::Wait { ms: 5 },
            Step::CreateNode { replica: 1, table: 0, key: 3, value: 7 },
            Step::IncrementNode { replica: 1, row: 0, column: 1, by: -2 },
            Step::SetRule { replica: 1, table: 0, rule: 3 },
            Step::Crash { replica: 2, after_outputs: 4, kept_bytes: 9 },
            Step::FailDisk { replica: 1, fault: DiskFault::Full, after: 2 },
            Step::FailStore { replica: 1, fault: StoreFault::Abandonment, after_statements: 2 },
            Step::RefuseSchema { replica: 1, refusal: Refusal::Type(Type::Int64) },
            Step::AcceptSchema { replica: 1 },
            Step::SubmitAgain,
            Step::PartitionOneWay { group: 5 },
            Step::PartitionRing,
            Step::SettleMajority { out: 4 },
            Step::Upgrade { replica: 1 },
            Step::Inject { replica: 1, from: 0, bytes: vec![0x4B, 0x01, 0xFF] },
            Step::Settle,
        ];
        let plan = Plan::new(Options::default(), steps);
        let json = serde_json::to_string_pretty(&plan).unwrap();
        assert!(json.contains(r#""bytes": "4b01ff""#), "{json}");
        assert_eq!(Plan::from_json(&json), Ok(plan));
    }

    fn refused(text: &str) -> BadFile {
        Plan::from_json(text).unwrap_err()
    }

    #[test]
    fn bad_files_are_refused_with_what_is_wrong_and_where() {
        assert_eq!(refused("{").to_string(), "line 1, column 1: EOF while parsing an object");
        assert!(refused("[]").to_string().contains("it has no `version`"));
        assert!(refused(r#"{"version": 0}"#).to_string().contains("line 1, column 13, `version`: it has no `version`"));
        let newer = refused("{\n\"version\": 2, \"something\": \"new\"}");
        assert_eq!(newer.problem, Problem::Newer { found: 2, known: PLAN_VERSION });
        assert_eq!((newer.place.line, newer.place.column), (2, 12));
        let typo = refused(r#"{"version": 1, "options": {"replica": 3}, "steps": []}"#).to_string();
        assert!(
            typo.starts_with(
                "line 1, column 36, `options.replica`: unknown field `replica`, expected one of `replicas`"
            )
        );
        let typo = refused("{\"version\": 1, \"steps\": [\n\"heal\",\n{\"wait\": {\"ms\": 1, \"s\": 2}}]}").to_string();
        assert_eq!(typo, "line 3, column 22, `steps[1].wait.s`: unknown field `s`, expected `ms`");
        let kind = refused(r#"{"version": 1, "steps": [{"wait": {"ms": "1"}}]}"#).to_string();
        assert_eq!(kind, r#"line 1, column 44, `steps[0].wait.ms`: invalid type: string "1", expected u64"#);
    }

    #[test]
    fn values_out_of_range_are_refused_where_they_stand() {
        for (options, field) in [
            (r#"{"replicas": 0}"#, "options.replicas"),
            (r#"{"replicas": 65}"#, "options.replicas"),
            (r#"{"links": {"loss_permille": 1001}}"#, "options.links.loss_permille"),
            (r#"{"links": {"latency_ms_min": 9, "latency_ms_max": 8}}"#, "options.links.latency_ms_max"),
            (r#"{"skew_ms": [0, -31536000001]}"#, "options.skew_ms[1]"),
            (r#"{"drift_ppm": [100001]}"#, "options.drift_ppm[0]"),
            (r#"{"settle_ms_max": 0}"#, "options.settle_ms_max"),
            (r#"{"turns_max": 0}"#, "options.turns_max"),
        ] {
            let refused = refused(&format!("{{\"version\": 1,\n\"options\": {options}, \"steps\": []}}"));
            assert!(matches!(refused.problem, Problem::OutOfRange { .. }), "{options}: {refused}");
            assert_eq!((refused.place.line, refused.place.field.as_str()), (2, field), "{refused}");
        }
        for bytes in ["4", "4b0", "4g", "zz", "4b 01", "é"] {
            let step = format!(r#"{{"inject": {{"replica": 0, "from": 1, "bytes": "{bytes}"}}}}"#);
            let refused = refused(&format!(r#"{{"version": 1, "steps": [{step}]}}"#));
            assert!(refused.to_string().contains("pairs of hexadecimal digits"), "{bytes}: {refused}");
        }
        let steps = r#"[{"wait": {"ms": 31535999999}}, {"wait": {"ms": 1}}, {"wait": {"ms": 1}}]"#;
        let long = refused(&format!(r#"{{"version": 1, "steps": {steps}}}"#));
        assert_eq!(long.place.field, "steps[2].wait.ms");
        let clog = r#"[{"clog": {"replica": 0, "other": 1, "ms": 3600001}}]"#;
        let long = refused(&format!(r#"{{"version": 1, "steps": {clog}}}"#));
        assert_eq!(long.place.field, "steps[0].clog.ms");
        let jump = r#"[{"jump_clock": {"replica": 0, "ms": -9223372036854775808}}]"#;
        let far = refused(&format!(r#"{{"version": 1, "steps": {jump}}}"#)).to_string();
        assert!(
            far.contains("`steps[0].jump_clock.ms`: it is -9223372036854775808, but must be within a year"),
            "{far}"
        );
    }
}
