use super::*;

/// Everything that can be read, and the mistake at the end if there is one: words in brackets, then what ended them.
fn read(text: &str) -> (Vec<String>, Option<String>) {
    let mut lexer = Lexer::new("f".into(), text);
    let mut words = Words::default();
    let mut found = Vec::new();
    loop {
        match lexer.read(&mut words) {
            Ok(Token::End) => return (found, None),
            Ok(token) => {
                let end = match token {
                    Token::Statement => ";",
                    Token::Open => "{",
                    _ => "}",
                };
                found.push(format!("{}{end}", words.words.join("|")));
            }
            Err(mistake) => return (found, Some(mistake.to_string())),
        }
    }
}

#[test]
fn words_and_what_ends_them() {
    let rows: [(&str, &[&str]); 26] = [
        ("", &[]),
        ("  \n\t\r\n", &[]),
        ("a;", &["a;"]),
        ("a b  c\n;", &["a|b|c;"]),
        ("a{b;}", &["a{", "b;", "}"]),
        ("a b{}", &["a|b{", "}"]),
        ("a 'b c' \"d;{}\" ;", &["a|b c|d;{};"]),
        ("a ''; b \"\";", &["a|;", "b|;"]),
        (r"a 'b\'c' 'd\\' e\;f;", &[r"a|b'c|d\|e\;f;"]),
        (r#"a "x\"y" 'p"q' "p'q";"#, &[r#"a|x"y|p"q|p'q;"#]),
        (r"a \.php$ \d+\ x;", &[r"a|\.php$|\d+\ x;"]),
        ("a 'x\\ty\\nz\\rw';", &["a|x\ty\nz\rw;"]),
        (r"a x\ty;", &["a|x\ty;"]),
        ("a ${b}c d${e};", &["a|${b}c|d${e};"]),
        ("a $b{", &["a|$b{"]),
        ("a b$c;", &["a|b$c;"]),
        ("a '$b{c}';", &["a|$b{c};"]),
        ("a b}c;", &["a|b}c;"]),
        ("a b#c;", &["a|b#c;"]),
        ("a # b ; }\n c;", &["a|c;"]),
        ("# only this", &[]),
        ("a 'b'; #c\nd;", &["a|b;", "d;"]),
        ("if ($a = \"b\") {", &["if|($a|=|b|){"]),
        ("if ($a = 'b' ) {", &["if|($a|=|b|){"]),
        ("a 'b'{", &["a|b{"]),
        ("a ü 'é';", &["a|ü|é;"]),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text), (expected.iter().map(ToString::to_string).collect(), None), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_named_at_its_line() {
    let end = "unexpected end of file, expecting \";\" or \"}\"";
    for (text, line, message) in [
        (";", 1, "unexpected \";\""),
        ("\n\n{", 3, "unexpected \"{\""),
        ("a\n}", 2, "unexpected \"}\""),
        ("a", 1, end),
        ("a b\n\n", 3, end),
        ("a 'b", 1, end),
        ("a 'b'", 1, end),
        ("a \"b\n\nc", 3, end),
        ("a 'b'c;", 1, "unexpected \"c\""),
        ("\na \"b\"'c';", 2, "unexpected \"'\""),
        ("a 'b'#c\n;", 1, "unexpected \"#\""),
        ("a 'b'}", 1, "unexpected \"}\""),
        ("a 'b'ü;", 1, "unexpected \"\\xc3\""),
        ("a b\\", 1, end),
        ("a ${b", 1, end),
    ] {
        assert_eq!(read(text).1, Some(format!("f:{line}: error: {message}")), "{text}");
    }
}

#[test]
fn a_word_has_an_end() {
    let most = limits::NGINX_WORD_MAX;
    let long = |length: usize| "x".repeat(length);
    assert_eq!(read(&format!("a {};", long(most - 1))).1, None);
    for (text, message) in [
        (format!("\na {};", long(most)), "f:2: error: too long parameter \"xxxxxxxxxx...\" started"),
        (
            format!("\na '{}\n';", "y ".repeat(most)),
            "f:2: error: too long parameter, probably missing terminating \"'\" character",
        ),
        (
            format!("a \"{}", long(2 * most)),
            "f:1: error: too long parameter, probably missing terminating \"\"\" character",
        ),
    ] {
        assert_eq!(read(&text).1.as_deref(), Some(message));
    }
}

#[test]
fn comments_are_kept_with_their_lines() {
    let mut lexer = Lexer::new("f".into(), "# one\n\n#two  \na # three\nb; # four\n# five\nc;");
    let mut words = Words::default();
    assert_eq!(lexer.read(&mut words), Ok(Token::Statement));
    let comments: Vec<(u32, &str)> = words.comments.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(comments, [(1, " one"), (3, "two"), (4, " three")]);
    assert_eq!((words.line, lexer.line()), (4, 5));
    assert_eq!(lexer.trailing().as_deref(), Some(" four"));
    assert_eq!(lexer.read(&mut words), Ok(Token::Statement));
    assert_eq!(words.comments, [(6, " five".to_string())]);
    assert_eq!(lexer.trailing(), None);
}

/// Whatever stands in a file, reading it ends, and no byte makes it panic.
#[test]
fn any_bytes_are_read_to_an_end() {
    let pieces = ["a", " ", "\n", ";", "{", "}", "'", "\"", "\\", "$", "${", "#", "(", ")", "ü", "\0", "if", "server"];
    // A small generator of our own, so that a failure can be repeated.
    let mut state: u32 = 12345;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize
    };
    for _ in 0..3000 {
        let text: String = (0..next() % 40).map(|_| pieces[next() % pieces.len()]).collect();
        let lines = text.matches('\n').count() as u32 + 1;
        let parsed = crate::import::parser::parse(&"f".into(), &text);
        if let Some(mistake) = parsed.mistake {
            assert!((1..=lines).contains(&mistake.place.line), "{text:?}: {mistake}");
        }
    }
}
