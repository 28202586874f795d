//! After an error nothing is believed until a rebuild.

use super::*;

#[test]
fn a_store_in_doubt_does_nothing_until_it_is_rebuilt() {
    let mut both = Both::new();
    both.apply(users());
    let bad = nodes("User", [(1.into(), RowChange::Create(Row::new()))]);
    let good = nodes("User", [(7.into(), RowChange::Create(Row::new()))]);
    both.kuzu.apply(&bad).unwrap_err();
    for _ in 0..2 {
        assert!(both.kuzu.apply(&good).unwrap_err().message.contains("in doubt"));
        assert!(both.kuzu.apply(&ViewDelta::default()).unwrap_err().message.contains("in doubt"));
        assert!(both.kuzu.read().unwrap_err().message.contains("in doubt"));
    }
    both.kuzu.rebuild(both.memory.view()).unwrap();
    both.check();
    both.apply(good);
}

#[test]
fn a_rebuild_forgets_everything() {
    let mut both = Both::new();
    both.apply(users());
    both.kuzu.rebuild(&View::default()).unwrap();
    assert_eq!(both.kuzu.read().unwrap(), View::default());
    both.kuzu.rebuild(both.memory.view()).unwrap();
    both.check();
}

#[test]
fn a_view_that_cannot_be_rebuilt_leaves_the_store_in_doubt() {
    let mut both = Both::new();
    both.apply(users());
    let mut bad = both.memory.view().clone();
    bad.nodes.entry("User".to_owned()).or_default().insert("not a number".into(), Row::new());
    both.kuzu.rebuild(&bad).unwrap_err();
    assert!(both.kuzu.read().unwrap_err().message.contains("in doubt"));
    both.kuzu.rebuild(both.memory.view()).unwrap();
    both.check();
}

#[test]
fn an_empty_delta_is_carried_out() {
    let mut both = Both::new();
    both.apply(ViewDelta::default());
    both.apply(users());
    both.apply(ViewDelta::default());
}

#[test]
fn twenty_stores_are_open_at_once() {
    let stores: Vec<_> = (0..20)
        .map(|_| {
            let mut both = Both::new();
            both.apply(users());
            both
        })
        .collect();
    for mut both in stores {
        both.check();
    }
}
