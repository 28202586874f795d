//! Identities: 128-bit numbers of one shape, each with one job, and what is named by them.
//!
//! In JSON they are 32 hexadecimal digits, on the wire 16 bytes. [`Digest`] is the first half of a SHA-256; every
//! content-derived identity is one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The first eight hexadecimal digits: enough for people, never for comparison.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string()[..8].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    // As one run of bytes: sixteen single ones take several times as long.
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return deserializer.deserialize_bytes(SixteenBytes).map($name);
                }
                let text = String::deserialize(deserializer)?;
                let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                match u128::from_str_radix(&text, 16) {
                    Ok(number) if digits => Ok($name(number.to_be_bytes())),
                    _ => Err(de::Error::custom(format!("`{text}` is not an identity of 32 hexadecimal digits"))),
                }
            }
        }
    };
}

struct SixteenBytes;

impl de::Visitor<'_> for SixteenBytes {
    type Value = [u8; 16];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sixteen bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

identity! {
    /// One incarnation of a replica: random, made anew when a replica is wiped or restored.
    ReplicaId
}
identity! {
    /// The graph that a set of replicas holds together; replicas of different databases refuse each other.
    DatabaseId
}
identity! {
    /// What is deduplicated: a client that submits one transaction twice gets one change.
    TxId
}
identity! {
    /// A table for its whole life, whatever it is called: see [`crate::schema`].
    TableId
}
identity! {
    /// A column for its whole life, whatever it is called: see [`crate::schema`].
    ColumnId
}
identity! {
    /// An index: what it covers, whatever it is called.
    IndexId
}
identity! {
    /// The first half of a SHA-256 over canonical bytes.
    Digest
}

/// Identity of a change: its author and its gapless number there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChangeId {
    /// The author.
    pub replica: ReplicaId,
    /// 1 for the author's first change.
    pub seq: u64,
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica.short(), self.seq)
    }
}

/// What a replica is to its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Numbers every change; there is one per database.
    Main,
    /// Works offline; its changes are acknowledged by the main's number.
    Edge,
    /// One of equals in a database without a main; its changes are acknowledged by any other that holds them.
    Peer,
}

impl Digest {
    /// The digest of `parts`, each preceded by its length so that no two lists of parts look alike.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let full: [u8; 32] = hasher.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Digest(half)
    }

    /// The digest of a value's canonical bytes.
    #[must_use]
    pub fn of_value<T: Serialize>(value: &T) -> Self {
        Digest::of(&[&canonical_bytes(value, Vec::new())])
    }
}

/// The canonical bytes of a vocabulary value, appended to `prefix`.
#[must_use]
pub fn canonical_bytes<T: Serialize>(value: &T, mut prefix: Vec<u8>) -> Vec<u8> {
    prefix.reserve(512);
    postcard::to_extend(value, prefix).expect("every vocabulary type has a canonical encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_by_their_lengths() {
        assert_ne!(Digest::of(&[b"ab", b"c"]), Digest::of(&[b"a", b"bc"]));
    }

    #[test]
    fn an_identity_survives_json_and_bad_text_is_refused() {
        let id = ReplicaId([7; 16]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<ReplicaId>(&json).unwrap(), id);
        for bad in ["\"\"", "\"07\"", "\"+7070707070707070707070707070707\"", "\"zz\"", "7"] {
            assert!(serde_json::from_str::<ReplicaId>(bad).is_err(), "{bad}");
        }
    }
}
