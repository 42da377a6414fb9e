//! What a misspelt word was probably meant to be.

use strsim::damerau_levenshtein;

/// The candidate nearest to `word`, if one is near enough to be a slip of the keyboard. Among
/// equally near ones the first wins, so the caller's order decides.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Longer words are no slips, and the distance takes time in the square of the length.
    if word.len() > 32 {
        return None;
    }
    let lower = word.to_lowercase();
    // Up to three letters one slip, up to six two: `upd` is `udp`, `tcp` is never `udp`.
    let allowed = word.chars().count().div_ceil(3).min(3);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let words = ["tcp", "udp", "dport", "sport", "untagged"];
        assert_eq!(closest("upd", words), Some("udp"));
        assert_eq!(closest("UDP", words), Some("udp"));
        assert_eq!(closest("dprt", words), Some("dport"));
        assert_eq!(closest("untaged", words), Some("untagged"));
        assert_eq!(closest("voice", words), None);
        assert_eq!(closest("x", words), None);
        assert_eq!(closest(&"u".repeat(1 << 20), words), None);
    }
}
