//! A small sweep of generated plans in every test run; the gate makes large ones.

use kuzusync_scenarios::stored::StoredCase;
use kuzusync_scenarios::swarm::{Profile, plan};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::store::StoreChoice;

#[test]
fn generated_plans_converge_under_every_profile() {
    for profile in Profile::ALL {
        for seed in (0..100).map(Seed) {
            let (stored, _) = StoredCase::run(seed, StoreChoice::Memory, None, plan(profile, seed));
            assert_eq!(stored.failure, None, "profile {profile}, seed {}", seed.0);
        }
    }
}
