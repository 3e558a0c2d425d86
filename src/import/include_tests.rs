use super::*;
use crate::import::report::Outcome;
use crate::import::tests::Made;

/// The names of the directives that were read, those in blocks too; what is wrong; what is not there.
fn read_all(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>, Vec<String>) {
    fn names(directives: &[Directive], found: &mut Vec<String>) {
        for directive in directives {
            found.push(directive.name.clone());
            names(directive.children(), found);
        }
    }
    let mut report = Report::default();
    let whole = read(Path::new(files[0].0), &Made::new(files), &mut report);
    let mut found = Vec::new();
    names(&whole.directives, &mut found);
    let missing = report.entries.iter().filter(|entry| entry.outcome == Outcome::Missing);
    let missing =
        missing.map(|entry| format!("{}: {}", entry.place.as_ref().expect("it has one"), entry.why)).collect();
    (found, whole.mistakes.iter().map(ToString::to_string).collect(), missing)
}

const NONE: Vec<String> = Vec::new();

#[test]
fn includes_stand_where_they_are_named() {
    let (found, mistakes, missing) = read_all(&[
        (
            "/n/nginx.conf",
            "events { }\nhttp {\n include mime.types;\n include conf.d/*.conf;\n include sites-enabled/*;\n gzip on;\n}",
        ),
        ("/n/mime.types", "types { text/html html; }"),
        ("/n/conf.d/b.conf", "tcp_nopush on;"),
        ("/n/conf.d/a.conf", "sendfile on; include more/x;"),
        ("/n/conf.d/c.txt", "nonsense"),
        ("/n/conf.d/.hidden.conf", "nonsense"),
        ("/n/more/x", "etag off;"),
        ("/n/sites-enabled/site", "server { listen 80; }"),
    ]);
    let expected =
        ["events", "http", "types", "text/html", "sendfile", "etag", "tcp_nopush", "server", "listen", "gzip"];
    assert_eq!((found, mistakes, missing), (expected.map(str::to_string).to_vec(), NONE, NONE));
}

/// In tables an include is one too, and `include` with two words is a row.
#[test]
fn tables_have_includes() {
    let (found, mistakes, _) = read_all(&[
        ("/n/nginx.conf", "events { } http { map $a $b { include rows; default 1; } }"),
        ("/n/rows", "/x 1;\n/y 2;"),
    ]);
    assert_eq!(found, ["events", "http", "map", "/x", "/y", "default"]);
    assert_eq!(mistakes, NONE);
}

#[test]
fn what_is_not_there_is_named() {
    let main =
        "events { }\nhttp {\n include a.conf;\n include /b/c.conf;\n include none/*.conf;\n include mime.types;\n}";
    let (_, mistakes, missing) = read_all(&[("/n/nginx.conf", main)]);
    assert_eq!(mistakes, NONE);
    assert_eq!(missing, ["/n/nginx.conf:3: /n/a.conf is not there", "/n/nginx.conf:4: /b/c.conf is not there"]);
    let (_, mistakes, _) = read_all(&[("/n/nginx.conf", "include;")]);
    assert_eq!(mistakes, ["/n/nginx.conf:1: error: invalid number of arguments in \"include\" directive"]);
}

#[test]
fn circles_end() {
    let (_, mistakes, _) = read_all(&[("/n/a", "events { }\ninclude b;"), ("/n/b", "\ninclude a;")]);
    assert_eq!(mistakes, ["/n/b:2: error: /n/a includes itself"]);
    let many: Vec<(String, String)> = (0..40).map(|i| (format!("/n/{i}"), format!("include {};", i + 1))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (_, mistakes, _) = read_all(&many);
    assert_eq!(mistakes, ["/n/16: error: includes are nested more than 16 deep".replace("/n/16:", "/n/16:1:")]);
}

/// nginx acts on what it reads: the first mistake of the files in their order is the one that it names.
#[test]
fn mistakes_come_in_nginx_order() {
    let (_, mistakes, _) = read_all(&[
        ("/n/nginx.conf", "events { }\nhttp {\n serer { }\n include a;\n listen 80;\n server {"),
        ("/n/a", "gzip on;\nfoo bar;\nserver {\n}}"),
    ]);
    let expected = [
        "/n/nginx.conf:3: error: unknown directive \"serer\"",
        "/n/a:2: error: unknown directive \"foo\"",
        "/n/a:4: error: unexpected \"}\"",
        "/n/nginx.conf:5: error: \"listen\" directive is not allowed here",
        "/n/nginx.conf:6: error: unexpected end of file, expecting \"}\"",
    ];
    assert_eq!(mistakes, expected);
}

#[test]
fn a_file_says_what_it_is_a_part_of() {
    for (text, context) in [
        ("events { } http { }", Context::Main),
        ("user x;", Context::Main),
        ("server { listen 80; location / { } }", Context::Http),
        ("upstream a { server b; }", Context::Http),
        ("map $a $b { }\nserver { listen 80; return 404; }", Context::Http),
        ("gzip on;", Context::Http),
        ("log_format a b;", Context::Http),
        ("server { listen 25; proxy_pass a:1; }", Context::Stream),
        ("upstream a { server b:1; } server { listen 25; ssl_preread on; proxy_pass a; }", Context::Stream),
        ("server { listen 80; }", Context::Http),
        ("", Context::Main),
        ("nonsense a;", Context::Main),
    ] {
        let mut report = Report::default();
        let whole = read(Path::new("/f"), &Made::new(&[("/f", text)]), &mut report);
        assert_eq!(whole.context, context, "{text}");
    }
}

/// Some tools copy symbolic links as texts.
#[test]
fn a_link_that_became_a_text_is_followed() {
    let (found, mistakes, _) = read_all(&[
        ("/n/nginx.conf", "events { } http { include sites-enabled/*; }"),
        ("/n/sites-enabled/site", "../sites-available/site"),
        ("/n/sites-available/site", "server { listen 80; }"),
    ]);
    assert_eq!((found, mistakes), (["events", "http", "server", "listen"].map(str::to_string).to_vec(), NONE));
    let (_, mistakes, _) = read_all(&[
        ("/n/nginx.conf", "events { } http { include sites-enabled/*; }"),
        ("/n/sites-enabled/site", "../sites-available/other"),
    ]);
    assert_eq!(mistakes, ["/n/sites-enabled/site:1: error: unexpected end of file, expecting \";\" or \"}\""]);
}

/// Comments may be of any time; values that would come out as others are refused.
#[test]
fn other_encodings_stay_in_comments() {
    struct Latin;
    impl Files for Latin {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Ok(b"# gr\xfc\xdfe\nuser www;\npid /run/\xfc;\n".to_vec())
        }
        fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
        fn exists(&self, _: &Path) -> bool {
            false
        }
    }
    let whole = read(Path::new("/f"), &Latin, &mut Report::default());
    assert_eq!(whole.directives.len(), 1);
    let said: Vec<String> = whole.mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["/f:3: error: this is not UTF-8 text; save the file as UTF-8"]);
}
