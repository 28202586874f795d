//! The documented cases as `conformance` and `gate` judge them: by their scenarios, by measuring, by reading.

use kuzusync_scenarios::case::Case;
use kuzusync_sim::store::StoreChoice;

use super::progress::Meter;
use crate::conformance::{self, Conformance};
use crate::worker::Crew;
use crate::{inspection, measure};

/// The stores on which a case has to hold.
const STORES: [StoreChoice; 2] = [StoreChoice::Memory, StoreChoice::Kuzu];

/// How these cases stand.
pub fn judge(asked: &[Case], crew: &Crew, meter: &Meter) -> Conformance {
    // One case is about all others.
    let cases = if asked.contains(&Case::H2) { Case::ALL } else { asked };
    let mut conformance =
        conformance::judge(cases, &STORES, |trials| conformance::in_workers(crew, trials, |what| meter.tell(what)));
    measure::judge(&mut conformance, &STORES);
    meter.tell("reading what is written");
    inspection::judge(&mut conformance, &STORES, crew.launcher.program());
    conformance.cases.retain(|case| asked.contains(&case.case));
    conformance.cases.sort_by_key(|case| asked.iter().position(|other| *other == case.case));
    conformance
}
