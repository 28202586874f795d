//! scratch
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_scenarios::swarm::{Profile, plan};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::store::StoreChoice;
use std::collections::BTreeMap;
fn main() {
    let n: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(300);
    let store: StoreChoice = std::env::args().nth(2).map_or(StoreChoice::Memory, |a| a.parse().unwrap());
    let t0 = std::time::Instant::now();
    let (mut steps, mut faults, mut losses, mut events, mut sim, mut msgs) =
        (vec![], vec![], vec![], vec![], 0u64, vec![]);
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    let mut gen_t = std::time::Duration::ZERO;
    let mut skipped = 0;
    let mut refused = BTreeMap::<String, u64>::new();
    for s in 0..n {
        let t = std::time::Instant::now();
        let p = plan(Profile::Default, Seed(s));
        gen_t += t.elapsed();
        steps.push(p.steps.len());
        let (st, o) = StoredCase::run(Seed(s), store, None, p);
        if let Some(f) = &st.failure {
            println!("seed {s}: {f:?}");
        }
        faults.push(o.events.iter().map(|e| kuzusync_sim::fault::Fault::in_event(&e.kind).len()).sum::<usize>());
        losses.push(o.replicas.first().map_or(0, |r| r.audit.len()));
        events.push(o.events.len());
        msgs.push(o.events.iter().filter(|e| matches!(e.kind, kuzusync_sim::history::EventKind::Sent { .. })).count());
        for e in &o.events {
            match &e.kind {
                kuzusync_sim::history::EventKind::Skipped { reason } => {
                    skipped += 1;
                    *refused.entry(reason.clone()).or_default() += 1
                }
                kuzusync_sim::history::EventKind::Refused { error } => {
                    *refused.entry(error.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()).or_default() += 1
                }
                _ => {}
            }
        }
        if std::env::args().nth(3).is_some() && s == std::env::args().nth(3).unwrap().parse::<u64>().unwrap() {
            for e in &o.events {
                match &e.kind {
                    kuzusync_sim::history::EventKind::Skipped { reason } => {
                        println!("{} {:?} skip {reason}", e.at_us / 1000, e.host)
                    }
                    kuzusync_sim::history::EventKind::Invoked { statements, .. } => {
                        println!("{} {:?} {statements:?}", e.at_us / 1000, e.host)
                    }
                    kuzusync_sim::history::EventKind::Crashed { .. }
                    | kuzusync_sim::history::EventKind::Settling
                    | kuzusync_sim::history::EventKind::WentOffline => {
                        println!("{} {:?} {:?}", e.at_us / 1000, e.host, e.kind)
                    }
                    _ => {}
                }
            }
        }
        sim += o.simulated_us;
        for r in kuzusync_sim::sometimes::reached(&o) {
            *reached.entry(r).or_default() += 1;
        }
    }
    let med = |v: &mut Vec<usize>| {
        v.sort();
        v[v.len() / 2]
    };
    println!(
        "{n} seeds in {:?} = {:.0}/s; plan gen {:?}; medians steps {} faults {} losses {} events {} msgs {}; sim s/seed {:.1}; skipped/seed {:.1}",
        t0.elapsed(),
        n as f64 / t0.elapsed().as_secs_f64(),
        gen_t,
        med(&mut steps),
        med(&mut faults),
        med(&mut losses),
        med(&mut events),
        med(&mut msgs),
        sim as f64 / 1e6 / n as f64,
        skipped as f64 / n as f64
    );
    for name in kuzusync_sim::sometimes::all() {
        println!("  {name}: {}", reached.get(name).copied().unwrap_or(0));
    }
    println!("{refused:#?}");
}
