//! A list of names, as long as there is room for it: in full where that fits, and shortened where very many wait.
//!
//! Pure. Of a night in which ten thousand jobs fail each is to be named within a minute, in as many messages as a chat takes
//! in one. Full names are best, for they are found by searching. Where they do not fit, what neighbours in the alphabet
//! have in common is written once (`etl_orders_{daily, hourly}`), and where that does not fit either, each loses its middle.

/// How many messages more full names may take than short ones: with a dozen for ten thousand short names a storm stays
/// within the twenty of a chat's minute, and two are left for what is more urgent. How many were named before, nobody knows
/// here; so what is too much must not depend on it.
const MORE_MESSAGES: usize = 6;
/// Longest name.
const NAME_MAX: usize = 60;
/// What is left of a name where there are too many: so much that ten thousand are named in a dozen messages.
const NAME_SHORT: usize = 10;
/// Between two names.
const COMMA: &str = ", ";

/// The names in a message with `room` for names, in which and after which `all` alerts are to be named. `width` says how many
/// characters one takes.
pub(super) fn listed(names: &[&str], all: usize, room: usize, width: impl Fn(char) -> usize + Copy) -> String {
    let wide = |text: &str| text.chars().map(width).sum::<usize>();
    let least = folded(names, NAME_SHORT);
    let base = wide(&least);
    let is_affordable = |text: &String| {
        // So much more would all of them take.
        let more = wide(text).saturating_sub(base).saturating_mul(all);
        more <= room.saturating_mul(MORE_MESSAGES).saturating_mul(names.len())
    };
    let full = names.iter().map(|name| short(name, NAME_MAX)).collect::<Vec<_>>().join(COMMA);
    let kinds = [full, folded(names, NAME_MAX)];
    kinds.into_iter().find(is_affordable).unwrap_or(least)
}

/// The names in the order of the alphabet, what neighbours share written once where that is shorter, and each cut to `max`.
fn folded(names: &[&str], max: usize) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    let (mut parts, mut left) = (Vec::new(), names.as_slice());
    while let Some(first) = left.first() {
        let prefix = left.get(1).map_or("", |second| common(first, second));
        let count = if prefix.is_empty() { 1 } else { left.iter().take_while(|it| it.starts_with(prefix)).count() };
        let (group, rest) = left.split_at(count);
        let cut = |from: usize| group.iter().map(|name| short(&name[from..], max)).collect::<Vec<_>>().join(COMMA);
        let (alone, together) = (cut(0), format!("{}{{{}}}", short(prefix, NAME_MAX), cut(prefix.len())));
        parts.push(if together.chars().count() < alone.chars().count() { together } else { alone });
        left = rest;
    }
    parts.join(COMMA)
}

/// What two names begin with alike, up to the end of a word; nothing where that is too little to be worth it.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    const WORTH_IT: usize = 4;
    let same = one.char_indices().zip(other.chars()).take_while(|((_, c), d)| c == d);
    let is_end = |c: char| !c.is_alphanumeric();
    let end = same.filter(|((_, c), _)| is_end(*c)).map(|((at, c), _)| at + c.len_utf8()).last().unwrap_or(0);
    if end >= WORTH_IT { &one[..end] } else { "" }
}

/// A name of at most `max` characters: what is longer loses its middle, for names differ at their ends.
fn short(name: &str, max: usize) -> String {
    let count = name.chars().count();
    if count <= max {
        return name.to_string();
    }
    let (head, tail) = ((max - 1) / 2, (max - 1).div_ceil(2));
    let begin: String = name.chars().take(head).collect();
    let end: String = name.chars().skip(count - tail).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_full_as_there_is_room() {
        let names = ["etl_orders_daily", "load", "etl_orders_hourly"];
        assert_eq!(listed(&names, 3, 1000, |_| 1), "etl_orders_daily, load, etl_orders_hourly");
        assert_eq!(listed(&names, 18, 8, |_| 1), "etl_orders_{daily, hourly}, load");
        assert_eq!(listed(&["settlement_of_accounts_0017"], 100, 10, |_| 1), "sett…_0017");
    }

    #[test]
    fn names_share_whole_words_and_those_without_anything_in_common_are_whole() {
        assert_eq!(folded(&["zebra", "b_load", "a_load"], NAME_MAX), "a_load, b_load, zebra");
        assert_eq!(folded(&["a_job_1", "a_job_2", "a_job_"], NAME_MAX), "a_job_{, 1, 2}");
        // A long prefix that two share is no gain where both are cut.
        let long = format!("{}_", "x".repeat(50));
        let two = [format!("{long}1"), format!("{long}2")];
        assert_eq!(folded(&[&two[0], &two[1]], NAME_SHORT), "xxxx…xxx_1, xxxx…xxx_2");
        assert_eq!(common("etl_orders_daily", "etl_orders_days"), "etl_orders_");
        assert_eq!(common("a_b", "a_c"), "");
        assert_eq!(common("订单_日", "订单_月"), "订单_");
    }

    #[test]
    fn every_name_of_a_flood_has_its_place_in_the_messages_of_a_minute() {
        for (count, length) in [(10_000, 16), (10_000, 32), (10_000, 60), (2_000, 32), (500, 60)] {
            let name = |number: usize| format!("{:x}_{number:0length$}", number * 2_654_435_761 % 65_521);
            let names: Vec<String> = (0..count).map(name).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (mut left, mut messages) = (names.as_slice(), 0);
            while !left.is_empty() {
                let fits = |many: usize| listed(&left[..many], left.len(), 10_000, |_| 1).chars().count() <= 10_000;
                let (mut many, mut too_many) = (1, left.len().min(1_000) + 1);
                while too_many - many > 1 {
                    let between = many + (too_many - many) / 2;
                    if fits(between) { many = between } else { too_many = between }
                }
                (left, messages) = (&left[many..], messages + 1);
            }
            assert!(messages <= 19, "{count} names of {length}: {messages}");
        }
    }
}
