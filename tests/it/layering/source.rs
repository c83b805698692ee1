//! Just enough reading of Rust to tell code from comments and strings, and tests from the rest.

/// `text` without comments and without what is in string literals; lines stay where they are.
pub(super) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = skip(rest);
        if skipped > 0 {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    code
}

/// How many bytes at the start of `text` are a comment or a literal.
fn skip(text: &str) -> usize {
    let until = |end: &str| text.find(end).unwrap_or(text.len());
    if text.starts_with("//") {
        return until("\n");
    }
    if text.starts_with("/*") {
        return (until("*/") + 2).min(text.len());
    }
    if let Some(hashes) = raw_string(text) {
        let end = format!("\"{}", "#".repeat(hashes));
        let body = hashes + 2;
        return text[body..].find(&end).map_or(text.len(), |at| body + at + end.len());
    }
    match text.as_bytes() {
        [b'"', ..] => quoted(text, b'"'),
        // A lifetime has no closing quote within two characters; a character literal has.
        [b'\'', b'\\', ..] => quoted(text, b'\''),
        [b'\'', ..] if text.chars().nth(2) == Some('\'') => text.char_indices().nth(2).map_or(text.len(), |(at, _)| at + 1),
        _ => 0,
    }
}

/// The number of `#` of a raw string that starts here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// Length of a literal that starts with `quote` and in which `\` escapes.
fn quoted(text: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b if b == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `code` without its `#[cfg(test)] mod … { … }`.
pub(super) fn without_tests(code: &str) -> String {
    let Some(start) = code.find("#[cfg(test)]\nmod ") else { return code.to_owned() };
    let (before, tests) = code.split_at(start);
    let mut depth = 0;
    for (at, c) in tests.char_indices() {
        match c {
            ';' if depth == 0 => return format!("{before}{}", without_tests(&tests[at + 1..])),
            '{' => depth += 1,
            '}' if depth == 1 => return format!("{before}{}", without_tests(&tests[at + 1..])),
            '}' => depth -= 1,
            _ => {}
        }
    }
    before.to_owned()
}

/// The top-level modules that `code` names through `crate::`.
pub(super) fn crate_imports(code: &str) -> Vec<String> {
    let squeezed: String = code.split_whitespace().collect();
    squeezed
        .match_indices("crate::")
        .filter(|(at, _)| is_start_of_path(&squeezed[..*at]))
        .flat_map(|(at, path)| heads(&squeezed[at + path.len()..]))
        .collect()
}

/// Not the tail of `some_crate::` and not `$crate::`.
fn is_start_of_path(before: &str) -> bool {
    // White space is squeezed out, so `use` and `in` may stick to it.
    let keyword = ["use", "in", "dyn", "impl", "mut", "as", "for", "return"].iter().any(|word| before.ends_with(word));
    keyword || !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The first segments of what follows `crate::`, one or a group in braces.
fn heads(path: &str) -> Vec<String> {
    let ident = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![ident(path)] };
    let (mut found, mut depth, mut item) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(ident(&std::mem::take(&mut item))),
            c if depth == 0 => item.push(c),
            _ => {}
        }
    }
    found.push(ident(&item));
    found.retain(|name| !name.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let text =
            "let a = \"std::fs \\\" tokio\"; // tokio\n/* std::net */ let b = r#\"tokio \" x\"#; let c = '\"'; fn f<'a>(x: &'a str) {}";
        let code = code_only(text);
        assert!(!code.contains("tokio") && !code.contains("std::"), "{code}");
        assert!(code.contains("let b") && code.contains("fn f<'a>(x: &'a str) {}"), "{code}");
    }

    #[test]
    fn tests_are_cut_out_and_what_follows_stays() {
        let code = "use crate::types;\n#[cfg(test)]\nmod tests { fn f() { use crate::store; } }\nfn g() {}";
        assert_eq!(crate_imports(&without_tests(code)), ["types"]);
        assert!(without_tests(code).contains("fn g()"));
        assert!(without_tests("#[cfg(test)]\nmod tests;\nfn g() {}").contains("fn g()"));
    }

    #[test]
    fn imports_are_found_in_groups_and_in_paths() {
        let code = "use crate::{\n fs::{Fs, Open},\n store,\n types::Hash,\n};\nuse crate::trust::Verified;\nfn f(x: &crate::disk::Have) -> other_crate::Foo {}";
        assert_eq!(crate_imports(code), ["fs", "store", "types", "trust", "disk"]);
    }
}
