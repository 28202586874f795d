//! Distributed Sync Engine §2: conflicts, found and resolved.

use kuzusync_core::value::Value;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create_user, create_user_table, set_email};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "concurrent-update",
        story: "While the link between them is cut, a and b give one user different emails, b one second later.",
        cases: &[Case::D2_1],
        seed: Seed(21),
        options: Options { replicas: 3, has_main: false, ..Options::default() },
        body: |cluster| Box::pin(concurrent_update(cluster)),
    }]
}

async fn concurrent_update(cluster: &mut Cluster) {
    let (a, b) = (0, 1);
    let base = cluster.submit(a, vec![create_user_table(), create_user("user_123", "Alice")]).await;
    cluster.settle().await;
    cluster.partition(1 << a);
    let first = cluster.submit(a, vec![set_email("user_123", "alice@a.com")]).await;
    cluster.wait(1_000).await;
    let second = cluster.submit(b, vec![set_email("user_123", "alice@b.com")]).await;
    let replicas = cluster.settle().await;

    let done = base.is_ok() && first.is_ok() && second.is_ok() && !replicas.is_empty();
    let losses: Vec<_> = replicas.iter().map(|replica| replica.audit.as_slice()).collect();
    let conflicts: Vec<_> = losses.iter().flat_map(|audit| audit.iter().map(|loss| loss.conflict.name())).collect();
    let each_once = done && losses.iter().all(|audit| audit.len() == 1);
    let is_update = each_once && conflicts.iter().all(|conflict| *conflict == "concurrent_update");
    cluster.check("reported as concurrent_update", is_update, conflicts.join(", "));
    let rules: Vec<_> = losses.iter().flat_map(|audit| audit.iter().map(|loss| loss.resolution.name())).collect();
    let is_last = each_once && rules.iter().all(|rule| *rule == "last_write_wins");
    cluster.check("resolved last_write_wins", is_last, rules.join(", "));
    let email = |view: &kuzusync_core::view::View| view.node("User", &Value::from("user_123"))?.get("email").cloned();
    let emails: Vec<_> = replicas.iter().map(|replica| email(&replica.view).unwrap_or(Value::Null)).collect();
    let is_b = done && emails.iter().all(|email| *email == Value::from("alice@b.com"));
    let found: Vec<_> = emails.iter().map(ToString::to_string).collect();
    cluster.check("the value is alice@b.com everywhere", is_b, found.join(", "));
}
