//! Text in columns: widths as a terminal shows them, wrapping, and numbers in words.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a terminal needs for it.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text with spaces after it, as wide as `columns` at least.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// The text, or as much of it as fits `columns` with an ellipsis.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (head, _) = split(text, columns.saturating_sub(1));
    format!("{}…", head.trim_end())
}

/// The text in lines of at most `columns`, broken at spaces; only a word that is longer than a line is broken itself.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        let mut rest = word;
        while width(rest) > columns {
            let (head, tail) = split(rest, columns);
            lines.push(head.to_owned());
            rest = tail;
        }
        line.push_str(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A heading and what belongs to it: the heading in the first `indent` columns of the first line, the wrapped text beside.
#[must_use]
pub fn labelled(label: &str, text: &str, indent: usize, columns: usize) -> String {
    let mut page = String::new();
    for (number, line) in wrap(text, columns.saturating_sub(indent)).iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        page.push_str(format!("{}{line}", pad(label, indent)).trim_end());
        page.push('\n');
    }
    page
}

/// A line across the page with a title in it.
#[must_use]
pub fn rule(title: &str, columns: usize) -> String {
    let start = if title.is_empty() { String::new() } else { format!("── {title} ") };
    let line = "─".repeat(columns.saturating_sub(width(&start)));
    format!("{start}{line}")
}

/// The longest beginning that fits, and the rest; at least one character goes to the beginning.
fn split(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, letter) in text.char_indices() {
        used += letter.width().unwrap_or(0);
        if used > columns && at > 0 {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// A number with its noun: `1 case`, `2 cases`, `2 batches`.
#[must_use]
pub fn plural(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with("ch") => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// Simulated time in milliseconds, to a tenth.
#[must_use]
pub fn ms(at_us: u64) -> String {
    format!("{}.{}", at_us / 1_000, at_us % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_as_a_terminal_shows_it() {
        assert_eq!(width("Kùzu → 漢"), 9);
        assert_eq!(pad("漢", 4), "漢  ");
        assert_eq!(fit("Kùzu store", 6), "Kùzu…");
        assert_eq!(fit("漢字", 3), "漢…");
    }

    #[test]
    fn wrapping_breaks_at_spaces_and_long_words_only_when_it_must() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a abcdefgh", 3), ["a", "abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
    }

    #[test]
    fn nouns_are_plural_as_people_write_them() {
        assert_eq!([plural(1, "batch"), plural(2, "batch"), plural(0, "case")], ["1 batch", "2 batches", "0 cases"]);
    }

    #[test]
    fn time_is_cut_to_tenths_of_a_millisecond() {
        assert_eq!((ms(0), ms(1_999), ms(12_340_050)), ("0.0".into(), "1.9".into(), "12340.0".into()));
    }
}
