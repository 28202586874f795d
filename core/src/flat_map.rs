//! An ordered map of few entries: the properties that a change writes, the registers of a row.
//!
//! A B-tree makes room for eleven entries at once, and most of these maps hold one or two. Here entries lie side by side in
//! their order, in as much room as they need. An entry is found in logarithmic time and put into the middle in linear time, so
//! this is no map for many. Its serialised form is that of every other map.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map in the order of its keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlatMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for FlatMap<K, V> {
    fn default() -> Self {
        FlatMap { entries: Vec::new() }
    }
}

impl<K, V> FlatMap<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        FlatMap::default()
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its entries, by key.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Its keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.entries.iter().map(|(key, _)| key)
    }

    /// Its values, by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Its values, by key, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}

impl<K: Ord, V> FlatMap<K, V> {
    /// Where a key is, or belongs. Most often entries come in their order.
    fn place(&self, key: &K) -> Result<usize, usize> {
        match self.entries.last() {
            Some((last, _)) if last < key => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(other, _)| other.cmp(key)),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.entries[place].1)
    }

    /// The value of a key, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|place| &mut self.entries[place].1)
    }

    /// Whether it has an entry for a key.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// Gives a key a value, and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.entries[place].1, value)),
            Err(place) => {
                self.put(place, key, value);
                None
            }
        }
    }

    /// The value of a key, which becomes the default if it has none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let place = self.place(&key).unwrap_or_else(|place| {
            self.put(place, key, V::default());
            place
        });
        &mut self.entries[place].1
    }

    /// Takes an entry out, and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|place| self.entries.remove(place).1)
    }

    /// Of entries in any order, of which there may be many at once.
    fn of(mut entries: Vec<(K, V)>) -> Self {
        if !entries.is_sorted_by(|(one, _), (other, _)| one < other) {
            entries.reverse();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.dedup_by(|(later, _), (kept, _)| later == kept);
        }
        FlatMap { entries }
    }

    fn put(&mut self, place: usize, key: K, value: V) {
        grow(&mut self.entries);
        self.entries.insert(place, (key, value));
    }
}

/// Makes room for one more: for one alone where there is none yet, and half as much again where there is. A vector by itself
/// begins with room for four.
pub(crate) fn grow<T>(entries: &mut Vec<T>) {
    if entries.len() == entries.capacity() {
        entries.reserve_exact(1 + entries.len() / 2);
    }
}

/// The entries of a [`FlatMap`].
pub type Iter<'a, K, V> = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

impl<'a, K, V> IntoIterator for &'a FlatMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter().map(|(key, value)| (key, value))
    }
}

impl<K, V> IntoIterator for FlatMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Of several values for a key the last.
impl<K: Ord, V> FromIterator<(K, V)> for FlatMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        FlatMap::of(entries.into_iter().collect())
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for FlatMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Ord, V> Extend<(K, V)> for FlatMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(key, value)| drop(self.insert(key, value)));
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for FlatMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Serialize, V: Serialize> Serialize for FlatMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for FlatMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<K, V>(PhantomData<(K, V)>);

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
    type Value = FlatMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    /// However many entries are announced: room is made for those that are there.
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            grow(&mut entries);
            entries.push(entry);
        }
        Ok(FlatMap::of(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_map_that_a_b_tree_is(steps in prop::collection::vec((0_u8..3, 0_u8..12, any::<u16>()), 0..40)) {
            let (mut flat, mut tree) = (FlatMap::new(), BTreeMap::new());
            for (step, key, value) in steps {
                match step {
                    0 => prop_assert_eq!(flat.insert(key, value), tree.insert(key, value)),
                    1 => prop_assert_eq!(flat.remove(&key), tree.remove(&key)),
                    _ => *flat.or_default(key) ^= { *tree.entry(key).or_default() ^= value; value },
                }
                prop_assert_eq!(flat.get(&key), tree.get(&key));
                prop_assert_eq!(flat.contains_key(&key), tree.contains_key(&key));
            }
            prop_assert!(flat.iter().eq(&tree) && flat.keys().eq(tree.keys()) && flat.values().eq(tree.values()));
            prop_assert_eq!((flat.len(), flat.is_empty()), (tree.len(), tree.is_empty()));
            prop_assert_eq!(format!("{flat:?}"), format!("{tree:?}"));
            let bytes = postcard::to_stdvec(&tree).unwrap();
            prop_assert_eq!(&postcard::to_stdvec(&flat).unwrap(), &bytes);
            prop_assert_eq!(&postcard::from_bytes::<FlatMap<u8, u16>>(&bytes).unwrap(), &flat);
            let json = serde_json::to_string(&tree).unwrap();
            prop_assert_eq!(serde_json::to_string(&flat).unwrap(), json.clone());
            prop_assert_eq!(&serde_json::from_str::<FlatMap<u8, u16>>(&json).unwrap(), &flat);
            prop_assert!(flat.into_iter().eq(tree));
        }
    }

    #[test]
    fn of_several_values_the_last_counts_and_one_entry_takes_the_room_of_one() {
        let map = FlatMap::from([(2, 'a'), (1, 'b'), (2, 'c')]);
        assert_eq!(map, FlatMap::from([(1, 'b'), (2, 'c')]));
        assert_eq!(
            serde_json::from_str::<FlatMap<u8, u8>>(r#"{"2":1,"1":2,"2":3}"#).unwrap(),
            FlatMap::from([(1, 2), (2, 3)])
        );
        assert_eq!(FlatMap::from([(1, 'b')]).entries.capacity(), 1);
    }

    #[test]
    fn announced_entries_that_are_not_there_take_no_room() {
        assert!(postcard::from_bytes::<FlatMap<u8, u16>>(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1, 2]).is_err());
    }
}
