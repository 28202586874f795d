//! The name that was probably meant.

/// The candidate that takes the fewest edits, if they are few.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let most = (name.chars().count() / 3).max(1);
    let distances = candidates.into_iter().map(|other| (distance(&name, &other.to_lowercase()), other));
    distances.min().filter(|(edits, _)| *edits <= most).map(|(_, other)| other)
}

/// `; did you mean …?`, or nothing.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or(String::new(), |other| format!("did you mean `{other}`? "))
}

/// Characters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!([distance("", "abc"), distance("kitten", "sitting"), distance("same", "same")], [3, 3, 0]);
    }

    #[test]
    fn only_a_name_that_is_near_is_offered() {
        let names = ["handshake", "vector-clock-exchange"];
        assert_eq!(nearest("handshke", names), Some("handshake"));
        assert_eq!(nearest("Vector-clock-exchnge", names), Some("vector-clock-exchange"));
        assert_eq!(nearest("nonsense", names), None);
    }
}
