//! Plans: what the outside does to a cluster, as plain data that can be printed, stored, replayed and shrunk.
//!
//! A step names replicas, tables and rows by number, modulo what there is when it is carried out. So a plan keeps its
//! meaning when steps are taken out of it, and every step of a generated plan is legal. A step that can do nothing (a
//! crashed replica, no row to delete) is passed over and noted in the history.

use kuzusync_core::statement::Statement;
use serde::{Deserialize, Serialize};

use crate::options::Options;

/// One thing the outside does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Time passes.
    Wait {
        /// How much, simulated.
        ms: u64,
    },
    /// A client submits exactly these statements as one transaction.
    Submit {
        /// Where.
        replica: u32,
        /// What.
        statements: Vec<Statement>,
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
    /// The client of the last transaction that wrote rows hands it to another replica as well.
    SubmitAgainElsewhere {
        /// Where; if that is where it was submitted, the next one.
        replica: u32,
    },
    /// A host dies: at once, or in the middle of carrying out what its replica next wants done.
    Crash {
        /// Which host.
        replica: u32,
        /// How many more outputs it carries out before it dies.
        after_outputs: u32,
    },
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
        bytes: Vec<u8>,
    },
    /// Everything is healed and given time until nothing is under way; then links misbehave again.
    Settle,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`] when it was written.
    pub version: u32,
    /// Every knob.
    #[serde(default)]
    pub options: Options,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// A plan file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not JSON, or not a plan.
    #[error("it is no plan: {0}")]
    Malformed(String),
    /// Written by a newer program.
    #[error("its format is version {found}, this build reads {PLAN_VERSION}; use a newer kuzusync")]
    Newer {
        /// The file's version.
        found: u64,
    },
    /// A value out of range.
    #[error("{field} is {found}, but must be {range}")]
    OutOfRange {
        /// Which.
        field: &'static str,
        /// As it stands in the file.
        found: u64,
        /// What it may be.
        range: &'static str,
    },
}

impl Plan {
    /// A plan of these steps.
    #[must_use]
    pub fn new(options: Options, steps: Vec<Step>) -> Self {
        Plan { version: PLAN_VERSION, options, steps }
    }

    /// Reads a plan from JSON. The version is looked at first, so a newer file is called newer and not malformed.
    ///
    /// # Errors
    /// [`PlanError`], naming what is wrong.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let malformed = |error: serde_json::Error| PlanError::Malformed(error.to_string());
        let value: serde_json::Value = serde_json::from_str(text).map_err(malformed)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(found) if found > u64::from(PLAN_VERSION) => return Err(PlanError::Newer { found }),
            Some(1..) => {}
            _ => return Err(PlanError::Malformed("it has no `version`".into())),
        }
        // Parsed again from the text, so that errors tell line and column.
        let plan: Plan = serde_json::from_str(text).map_err(malformed)?;
        plan.check()?;
        Ok(plan)
    }

    /// Refuses options that no cluster can have.
    ///
    /// # Errors
    /// [`PlanError::OutOfRange`].
    pub fn check(&self) -> Result<(), PlanError> {
        let Options { replicas, links, settle_ms_max, .. } = &self.options;
        let in_range = |field, found: u64, holds: bool, range| {
            if holds { Ok(()) } else { Err(PlanError::OutOfRange { field, found, range }) }
        };
        let (replicas, reorder) = (u64::from(*replicas), u64::from(links.reorder_permille));
        let corrupt = u64::from(links.corrupt_permille);
        let (loss, repeat) = (u64::from(links.loss_permille), u64::from(links.repeat_permille));
        in_range(
            "options.replicas",
            replicas,
            (1..=u64::from(Options::REPLICAS_MAX)).contains(&replicas),
            "from 1 to 64",
        )?;
        in_range("options.links.loss_permille", loss, loss <= 1_000, "at most 1000")?;
        in_range("options.links.repeat_permille", repeat, repeat <= 1_000, "at most 1000")?;
        in_range("options.links.reorder_permille", reorder, reorder <= 1_000, "at most 1000")?;
        in_range("options.links.corrupt_permille", corrupt, corrupt <= 1_000, "at most 1000")?;
        let latency = links.latency_ms_max;
        in_range("options.links.latency_ms_max", latency, latency >= links.latency_ms_min, "at least latency_ms_min")?;
        in_range("options.links.latency_ms_max", latency, latency <= 3_600_000, "at most 3600000, an hour")?;
        let jitter = links.jitter_ms_max;
        in_range("options.links.jitter_ms_max", jitter, jitter <= 3_600_000, "at most 3600000, an hour")?;
        in_range(
            "options.settle_ms_max",
            *settle_ms_max,
            (1..=86_400_000).contains(settle_ms_max),
            "from 1 ms to a day",
        )?;
        let waits: u64 = self.steps.iter().fold(0, |sum: u64, step| match step {
            Step::Wait { ms } => sum.saturating_add(*ms),
            _ => sum,
        });
        in_range("the sum of all waits in ms", waits, waits <= 31_536_000_000, "at most a year")?;
        let jumps = self.steps.iter().filter_map(|step| match step {
            Step::JumpClock { ms, .. } => Some(ms.unsigned_abs()),
            _ => None,
        });
        let jump = jumps.chain(self.options.skew_ms.iter().map(|ms| ms.unsigned_abs())).max().unwrap_or(0);
        in_range("a clock's offset in ms", jump, jump <= 31_536_000_000, "at most a year")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_json() {
        let steps = vec![
            Step::Wait { ms: 5 },
            Step::CreateNode { replica: 1, table: 0, key: 3, value: 7 },
            Step::IncrementNode { replica: 1, row: 0, column: 1, by: -2 },
            Step::SetRule { replica: 1, table: 0, rule: 3 },
            Step::Crash { replica: 2, after_outputs: 4 },
            Step::PartitionOneWay { group: 5 },
            Step::PartitionRing,
            Step::Inject { replica: 1, from: 0, bytes: vec![0x4B, 0x01, 0xFF] },
            Step::Settle,
        ];
        let plan = Plan::new(Options::default(), steps);
        let json = serde_json::to_string_pretty(&plan).unwrap();
        assert!(json.contains(r#""bytes": "4b01ff""#), "{json}");
        assert_eq!(Plan::from_json(&json), Ok(plan));
    }

    #[test]
    fn bad_files_are_refused_with_what_is_wrong() {
        assert!(matches!(Plan::from_json("{"), Err(PlanError::Malformed(_))));
        assert!(matches!(Plan::from_json("{}"), Err(PlanError::Malformed(_))));
        let newer = r#"{"version": 2, "something": "new"}"#;
        assert_eq!(Plan::from_json(newer), Err(PlanError::Newer { found: 2 }));
        let typo = r#"{"version": 1, "options": {"replica": 3}, "steps": []}"#;
        assert!(Plan::from_json(typo).unwrap_err().to_string().contains("replica"));
        for bytes in ["4", "4b0", "4g", "zz", "4b 01", "é"] {
            let step = format!(r#"{{"inject": {{"replica": 0, "from": 1, "bytes": "{bytes}"}}}}"#);
            let refused = Plan::from_json(&format!(r#"{{"version": 1, "steps": [{step}]}}"#)).unwrap_err();
            assert!(refused.to_string().contains("pairs of hexadecimal digits"), "{bytes}: {refused}");
        }
        for options in [r#"{"replicas": 0}"#, r#"{"replicas": 65}"#, r#"{"links": {"loss_permille": 1001}}"#] {
            let text = format!(r#"{{"version": 1, "options": {options}, "steps": []}}"#);
            assert!(matches!(Plan::from_json(&text), Err(PlanError::OutOfRange { .. })), "{options}");
        }
    }
}
