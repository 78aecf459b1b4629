//! Under which of the licences that a crate offers it is shipped.

use anyhow::ensure;

/// What is taken where it is offered, the first that is: the first asks for one text for all crates, the
/// second for one more text each.
const PREFERRED: [&str; 2] = ["Apache-2.0", "MIT"];

/// The licences taken of an SPDX expression (`A OR B`, `A AND B`, cargo's old `A/B`), all of which hold.
///
/// # Errors
/// When it is another kind of expression.
pub(crate) fn choose(expression: &str) -> anyhow::Result<Vec<String>> {
    ensure!(
        !expression.contains(['(', ')']),
        "the licence expression {expression} has parentheses"
    );
    let offers = expression.split(" OR ").flat_map(|offer| offer.split('/')).map(str::trim);
    let offers: Vec<&str> = offers.collect();
    let preferred = PREFERRED.iter().find(|licence| offers.contains(licence));
    let taken = preferred.or_else(|| offers.first()).copied().unwrap_or_default();
    ensure!(!taken.is_empty(), "no licence");
    Ok(taken.split(" AND ").map(|licence| licence.trim().to_owned()).collect())
}

/// The expression as SPDX has it.
pub(crate) fn spdx(expression: &str) -> String {
    expression.replace('/', " OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_taken_of_several_and_all_of_what_holds_together() {
        for (expression, want) in [
            ("MIT", &["MIT"][..]),
            ("MIT OR Apache-2.0", &["Apache-2.0"]),
            ("MIT/Apache-2.0", &["Apache-2.0"]),
            ("Unlicense OR MIT", &["MIT"]),
            ("Apache-2.0 AND ISC", &["Apache-2.0", "ISC"]),
            ("Apache-2.0 WITH LLVM-exception OR Zlib", &["Apache-2.0 WITH LLVM-exception"]),
        ] {
            assert_eq!(choose(expression).unwrap(), want, "{expression}");
        }
        assert!(choose("(MIT OR Apache-2.0) AND Unicode-3.0").is_err());
        assert!(choose("").is_err());
        assert_eq!(spdx("MIT/Apache-2.0"), "MIT OR Apache-2.0");
    }
}
