//! The rules of the house (`src/lib.rs` is its map): which room may use which, where `unsafe` may stand, how long things may be.
//! The source is read as rustfmt leaves it, so that simple means suffice; tests within it are left out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room, and what it may use besides itself: a room, or a part of one. `cli` may use everything.
const MAY_USE: [(&str, &[&str]); 17] = [
    (
        "control",
        &["worker", "site", "tls", "route", "handlers::access", "stats", "log", "config", "proto", "balance", "limits"],
    ),
    ("worker", &["site", "tls", "session", "upstream", "ring", "proto", "balance", "config", "stats", "log", "limits"]),
    (
        "session",
        &[
            "handlers", "limit", "route", "tls", "upstream", "ring", "proto", "balance", "config", "stats", "log",
            "limits",
        ],
    ),
    ("handlers", &["config::plan", "proto", "ring", "limits"]),
    ("route", &["config", "proto", "balance", "limits"]),
    ("limit", &["config::plan", "config::template", "limits"]),
    ("upstream", &["site", "limit", "tls", "ring", "balance", "config", "proto", "stats", "log", "limits"]),
    // What runs names the files that it writes to.
    ("site", &["limit", "tls", "balance", "config", "log"]),
    ("tls", &["ring", "proto", "config", "limits"]),
    ("ring", &["limits"]),
    ("proto", &["limits"]),
    ("balance", &["config::plan", "proto::reason", "stats", "limits"]),
    ("import", &["limits"]),
    ("config", &["proto::reason", "limits"]),
    ("stats", &["config", "proto", "limits"]),
    ("log", &["limits"]),
    ("limits", &[]),
];

/// Lines of a file without its tests, and of a function.
const FILE_MAX: usize = 500;
const FUNCTION_MAX: usize = 90;

/// A file of `src/`, without its tests.
struct Source {
    path: PathBuf,
    /// As in `crate::a::b`: `["a", "b"]`; empty for the root.
    module: Vec<String>,
    /// With numbers from 1. Comments and the contents of strings are blanked.
    lines: Vec<(usize, String)>,
    /// The first line as it is.
    head: String,
}

impl Source {
    fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every file that is not a test.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    rust_files(&root(), &mut paths);
    paths.sort();
    let mut sources = Vec::new();
    let mut of_tests = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let relative = path.strip_prefix(root()).unwrap().with_extension("");
        let mut module: Vec<String> = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let blanked = blank(&text);
        let lines: Vec<(usize, String)> =
            blanked.lines().map(str::to_owned).enumerate().map(|(i, l)| (i + 1, l)).collect();
        let (lines, modules) = without_tests(lines);
        of_tests.extend(modules.into_iter().map(|name| [&module[..], &[name]].concat()));
        let head = text.lines().next().unwrap_or_default().to_owned();
        sources.push(Source { path, module, lines, head });
    }
    // `#[cfg(test)] mod x;`, wherever `#[path]` finds it, and all below.
    sources.retain(|source| {
        let name = source.path.file_stem().unwrap().to_str().unwrap();
        let test = name == "tests" || name.ends_with("_tests");
        !test && !(1..=source.module.len()).any(|depth| of_tests.contains(&source.module[..depth]))
    });
    assert!(sources.len() > 50, "only {} files found", sources.len());
    sources
}

/// The text with comments and strings' contents replaced by spaces; line ends stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    let keep_lines = |out: &mut String, piece: &[char]| {
        out.extend(piece.iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
    };
    while i < chars.len() {
        let rest = &chars[i..];
        let len = match rest {
            ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => rest.windows(2).position(|w| w == ['*', '/']).map_or(rest.len(), |at| at + 2),
            ['r', '"' | '#', ..] if !ends_in_word(&out) => raw_string(rest),
            ['"', ..] => string(rest),
            ['\'', '\\', ..] => 4 + rest[3..].iter().position(|&c| c == '\'').unwrap_or(0),
            ['\'', _, '\'', ..] => 3,
            _ => 0,
        };
        match len {
            0 => {
                out.push(chars[i]);
                i += 1;
            }
            len => {
                keep_lines(&mut out, &rest[..len]);
                i += len;
            }
        }
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// How long the string literal at the beginning is.
fn string(rest: &[char]) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != '"' {
        i += if rest[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(rest.len())
}

/// The same for `r"..."` and `r#"..."#`; 0 for a raw identifier.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[2 + hashes..];
    2 + hashes + body.windows(end.len()).position(|w| w == end).map_or(body.len(), |at| at + end.len())
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Drops each item under `#[cfg(test)]`; also returns the names of modules that are other files.
fn without_tests(lines: Vec<(usize, String)>) -> (Vec<(usize, String)>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut lines = lines.into_iter();
    while let Some((number, line)) = lines.next() {
        if !line.trim_start().starts_with("#[cfg(test)]") && !line.trim_start().starts_with("#[cfg(all(test") {
            kept.push((number, line));
            continue;
        }
        let depth = indent(&line);
        for (_, line) in lines.by_ref() {
            let item = line.trim();
            if indent(&line) > depth || item.is_empty() || item.starts_with("#[") {
                continue;
            }
            let name = item.trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix("mod ");
            modules.extend(name.and_then(|name| name.strip_suffix(';')).map(str::to_owned));
            if item.ends_with(';') || item.starts_with('}') || item.ends_with('}') || item.ends_with(',') {
                break;
            }
        }
    }
    (kept, modules)
}

/// Every path into the crate that the file names: `a::b::c` for `crate::a::b::c`, or as `super::` leads there.
fn paths(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let text: String = source.lines.iter().flat_map(|(_, line)| [line, "\n"]).collect();
    let line_at = |at: usize| source.lines[text[..at].matches('\n').count()].0;
    for (at, _) in text.match_indices("crate::") {
        if !ends_in_word(&text[..at]) && !text[..at].ends_with('$') {
            found.extend(expand(&text[at + 7..]).into_iter().map(|path| (line_at(at), path)));
        }
    }
    for (at, _) in text.match_indices("super::") {
        if text[..at].ends_with("super::") || ends_in_word(&text[..at]) {
            continue;
        }
        let rest = text[at..].trim_start_matches("super::");
        let levels = (text[at..].len() - rest.len()) / 7;
        if let Some(depth) = source.module.len().checked_sub(levels) {
            let base = source.module[..depth].join("::");
            let join = |path: String| if base.is_empty() { path } else { format!("{base}::{path}") };
            found.extend(expand(rest).into_iter().map(|path| (line_at(at), join(path))));
        }
    }
    found
}

/// The paths that begin here: one, or all of a group in braces.
fn expand(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
        return vec![text[..end].trim_end_matches(':').to_owned()];
    };
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = group[start..at].trim();
                paths.extend((!item.is_empty()).then(|| expand(item)).into_iter().flatten());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    paths
}

#[track_caller]
fn expect_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn rooms_use_only_what_they_may() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for source in sources() {
        let room = source.room();
        if matches!(room, "lib" | "cli") {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: the room `{room}` has no rule here", source.at(1)));
            continue;
        };
        for (line, path) in paths(&source) {
            count += 1;
            let within = |part: &str| path == part || path.starts_with(&format!("{part}::"));
            if !within(room) && !allowed.iter().any(|part| within(part)) {
                wrong.push(format!("{}: {room} uses {path}", source.at(line)));
            }
        }
    }
    assert!(count > 200, "only {count} paths found");
    expect_none("a room uses what it must not know (design: The house)", wrong);
}

/// The lines that hold one of these words, where `applies`.
fn lines_with(words: &[&str], applies: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| applies(source)) {
        for (number, line) in &source.lines {
            let has = |word: &&&str| {
                let whole = |at: usize| {
                    let after = line[at + word.len()..].chars().next();
                    let ends = |c: char| !c.is_alphanumeric() && c != '_';
                    !ends_in_word(&line[..at]) && (!ends_in_word(word) || after.is_none_or(ends))
                };
                line.match_indices(**word).any(|(at, _)| whole(at) || word.starts_with('.'))
            };
            found.extend(words.iter().find(has).map(|word| format!("{}: {word}", source.at(*number))));
        }
    }
    found
}

#[test]
fn unsafe_stands_only_in_the_ring() {
    expect_none("`unsafe` outside of src/ring/", lines_with(&["unsafe"], |source| source.room() != "ring"));
    assert!(!lines_with(&["unsafe"], |source| source.room() == "ring").is_empty(), "the search finds nothing at all");
}

#[test]
fn pure_rooms_see_no_clock_and_no_descriptor() {
    let pure = [
        "Instant",
        "SystemTime",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "UnixListener",
        "UnixDatagram",
    ];
    let descriptors =
        ["AsRawFd", "RawFd", "OwnedFd", "BorrowedFd", "AsFd", "std::os::fd", "libc", "socket2", "io_uring"];
    let words = [&pure[..], &descriptors].concat();
    let of = |rooms: &'static [&str]| move |source: &Source| rooms.contains(&source.room());
    expect_none(
        "time, sockets and descriptors are arguments of others",
        lines_with(&words, of(&["proto", "balance", "config", "limit", "import"])),
    );
    expect_none(
        "files are not for protocols and balancing",
        lines_with(&["std::fs", "File"], of(&["proto", "balance", "limit"])),
    );
}

#[test]
fn nothing_is_unwrapped_without_a_reason() {
    expect_none(
        "`.unwrap()` outside of tests: handle it, or `expect` with the reason",
        lines_with(&[".unwrap()"], |_| true),
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent =
        sources().iter().filter(|source| !source.head.starts_with("//! ")).map(|source| source.at(1)).collect();
    expect_none("no `//!` at the head", silent);
}

#[test]
fn files_are_not_too_long() {
    let too_long =
        |source: &Source| (source.lines.len() > FILE_MAX).then(|| format!("{}: {}", source.at(1), source.lines.len()));
    expect_none("files of more lines than allowed", sources().iter().filter_map(too_long).collect());
}

#[test]
fn functions_are_not_too_long() {
    let mut too_long = Vec::new();
    let mut count = 0;
    for source in sources() {
        for (i, (number, line)) in source.lines.iter().enumerate() {
            let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "fn").collect();
            let is_function = words.len() < line.split_whitespace().count()
                && words.iter().all(|w| {
                    w.starts_with("pub") || w.starts_with("in") || matches!(*w, "const" | "async" | "unsafe" | "extern")
                });
            if !is_function {
                continue;
            }
            count += 1;
            let (open, close) = (indent(line), format!("{}}}", " ".repeat(indent(line))));
            let body = &source.lines[i..];
            // A declaration, or all on one line.
            let signature = body.iter().position(|(_, line)| line.trim_end().ends_with(['{', ';', '}'])).unwrap_or(0);
            if !body[signature].1.trim_end().ends_with('{') {
                continue;
            }
            let end = body.iter().skip(1).position(|(_, line)| line.trim_end() == close && indent(line) == open);
            let length = end.map_or(body.len(), |end| body[end + 1].0 - number + 1);
            if length > FUNCTION_MAX {
                too_long.push(format!("{}: {length}: {}", source.at(*number), line.trim()));
            }
        }
    }
    assert!(count > 400, "only {count} functions found");
    expect_none("functions of more lines than allowed", too_long);
}

/// Each file of `configs/` is an example that loads, or a part of one.
#[test]
fn every_file_of_configs_loads() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut loaded = BTreeSet::new();
    let mut all = Vec::new();
    let mut directories = vec![configs.clone()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => all.push(path),
            }
        }
    }
    for path in &all {
        if path.parent() == Some(&configs) || path.ends_with("ringgate.toml") {
            let example = ringgate::config::load(path).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(example.warnings.is_empty(), "{}", example.warnings.join("\n"));
            loaded.extend(example.files.iter().map(|file| file.canonicalize().unwrap()));
        }
    }
    let left = all.iter().filter(|path| !loaded.contains(&path.canonicalize().unwrap()));
    expect_none("files that nothing loads", left.map(|path| path.display().to_string()).collect());
}

/// The means themselves: a reader that sees nothing finds nothing.
#[test]
fn the_reader_sees_what_it_should() {
    let blanked = blank("a // b\n\"c\\\"d\" e r#\"f\"# 'g' '\\'' 'h: /* i\n */ j");
    assert_eq!(blanked.split_whitespace().collect::<Vec<_>>(), ["a", "e", "'h:", "j"]);
    assert_eq!(blanked.lines().count(), 3);
    assert_eq!(expand("{a::b, c::{d, e}, f}; g"), ["a::b", "c", "f"]);
    assert_eq!(expand("a::{b, c}"), ["a"]);
    let numbered = |text: &str| text.lines().map(str::to_owned).enumerate().collect::<Vec<_>>();
    let (kept, modules) =
        without_tests(numbered("a\n#[cfg(test)]\n#[path = \"x\"]\nmod b;\nc\n#[cfg(test)]\nmod d {\n    e\n}\nf"));
    assert_eq!(kept.iter().map(|(_, line)| &line[..]).collect::<Vec<_>>(), ["a", "c", "f"]);
    assert_eq!(modules, ["b"]);
    let lines = numbered("use super::x::y;\nuse super::super::z;\nuse crate::{a, b::c};");
    let source = Source { path: "x.rs".into(), module: vec!["r".into(), "s".into()], lines, head: String::new() };
    let found: Vec<String> = paths(&source).into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, ["a", "b::c", "r::x::y", "z"]);
}
