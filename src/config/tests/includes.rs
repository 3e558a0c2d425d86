//! Files that include others.

use super::*;

/// Files in a directory of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Files(directory)
    }

    fn load(&self) -> Result<Loaded, Errors> {
        load_file(&self.0.path().join("main.toml"))
    }

    fn errors(&self) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        let errors = self.load().unwrap_err();
        errors.iter().map(|error| error.lines().next().unwrap().replace(&directory, "")).collect()
    }
}

const ONE_SERVER: &str = "[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n";

#[test]
fn included_files_are_part_of_the_whole() {
    let files = Files::new(&[
        (
            "main.toml",
            &format!("include = [\"a.d/*.toml\", \"none/*.toml\", \"b.toml\"]\nerror_log = \"log\"\n{ONE_SERVER}"),
        ),
        ("a.d/2.toml", "[[server]]\nserver_name = \"two\"\nlocation.\"/\".proxy_pass = \"http://group\"\n"),
        (
            "a.d/1.toml",
            "include = \"deep/x.toml\"\n[[server]]\nserver_name = \"one\"\nlocation.\"/\".proxy_pass = \"http://group\"\n",
        ),
        ("a.d/deep/x.toml", "send_timeout = 5\n[upstream.group]\nserver = \"127.0.0.1:9\"\n"),
        ("a.d/.hidden.toml", "nonsense"),
        ("a.d/sub.toml/x", ""),
        ("b.toml", "[[server]]\nserver_name = \"three\"\nlocation.\"/\".proxy_pass = \"http://group\"\n"),
    ]);
    let loaded = files.load().unwrap();
    let names: Vec<_> = loaded.plan.servers.iter().flat_map(|server| &server.names).collect();
    assert_eq!(names, ["one", "two", "three"], "the main file's own server is the first");
    assert!(loaded.plan.servers[0].names.is_empty());
    assert_eq!(loaded.plan.servers[0].locations[0].send_timeout, Duration::from_secs(5));
    assert_eq!(loaded.plan.error_log, Some(files.0.path().join("log")));
    assert_eq!(loaded.files.len(), 5);
}

#[test]
fn errors_in_included_files_name_them() {
    let main = format!("include = \"*.d/*.toml\"\n{ONE_SERVER}");
    let files = Files::new(&[
        ("main.toml", &main),
        ("x.d/a.toml", "workers = 2\n[upstream.g]\nserver = \"127.0.0.1:99999\"\n"),
        ("x.d/b.toml", "send_timeout = 5\n[upstream.g]\nserver = \"127.0.0.1:1\"\n"),
        ("x.d/c.toml", "send_timeout = 6\n"),
    ]);
    assert_eq!(
        files.errors(),
        [
            "x.d/a.toml:1:11: error: `workers` concerns the whole process; it belongs in the main file",
            "x.d/a.toml:3:10: error: port 99999 is out of range; ports go from 1 to 65535",
            "x.d/b.toml:2:11: error: there are two groups named `g`",
            "x.d/c.toml:1:16: error: `send_timeout` is already set for all servers",
        ]
    );
    assert!(files.load().unwrap_err().to_string().contains("x.d/a.toml:2:11"), "the other group's place is shown");

    let files = Files::new(&[("main.toml", &main), ("x.d/a.toml", "listen 80;"), ("x.d/b.toml", "a = b")]);
    assert_eq!(
        files.errors(),
        [
            "x.d/a.toml:1:1: error: this is nginx's syntax, but the file is TOML; write listen = 80",
            "x.d/b.toml:1:5: error: quotes are missing; write a = \"b\"",
        ]
    );
}

#[test]
fn includes_that_lead_nowhere() {
    for (include, expected) in [
        ("\"none.toml\"", "main.toml:1:11: error: `none.toml`: there is no such file"),
        ("[\"x.d\"]", "main.toml:1:12: error: `x.d` is a directory; write \"x.d/*.toml\""),
        ("\"\"", "main.toml:1:11: error: write a path or a pattern, such as \"conf.d/*.toml\""),
        ("\"a***b\"", "main.toml:1:11: error: \"a***b\" is not a pattern: "),
        ("\"*.toml\"", "main.toml:1:11: error: `main.toml` is this file itself; an include cannot go in circles"),
        (
            "\"x.d/round.toml\"",
            "x.d/round.toml:1:12: error: `x.d/../main.toml` is a file that includes this one; an include cannot go in circles",
        ),
        (
            "[\"x.d/good.toml\", \"x.d/g*.toml\"]",
            "main.toml:1:29: error: `x.d/good.toml` is included twice; leave one of them out",
        ),
        ("\"x.d/latin\"", "main.toml:1:11: error: `x.d/latin`: line 2 is not UTF-8 text; save the file as UTF-8"),
    ] {
        let files = Files::new(&[
            ("main.toml", &format!("include = {include}\n{ONE_SERVER}")),
            ("x.d/round.toml", "include = [\"../main.toml\"]"),
            ("x.d/good.toml", ""),
        ]);
        std::fs::write(files.0.path().join("x.d/latin"), b"# fine\n# \xfc\n").unwrap();
        let errors = files.errors();
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{include}: {errors:?}");
    }
}

#[test]
fn the_number_of_files_is_bounded() {
    let files = Files::new(&[("main.toml", "include = \"d/*\"")]);
    std::fs::create_dir(files.0.path().join("d")).unwrap();
    for number in 0..limits::INCLUDES_MAX + 5 {
        std::fs::write(files.0.path().join(format!("d/{number}")), "").unwrap();
    }
    assert_eq!(files.errors(), ["main.toml:1:11: error: more than 1000 included files"]);

    // So is the length of a chain.
    let chain = |length: usize| {
        let next = |number: usize| format!("include = \"{}\"", number + 1);
        let files = Files::new(&[("main.toml", &next(0)), (&length.to_string(), ONE_SERVER)]);
        for number in 1..length {
            std::fs::write(files.0.path().join(number.to_string()), next(number)).unwrap();
        }
        files
    };
    let most = limits::INCLUDE_DEPTH_MAX;
    assert_eq!(chain(most).load().unwrap().files.len(), most + 1);
    assert_eq!(chain(most + 1).errors(), ["16:1:11: error: includes are nested more than 16 deep"]);
}

#[test]
fn a_directory_with_the_name_of_a_pattern_is_no_pattern() {
    let files = Files::new(&[
        ("[ab]/main.toml", "include = \"c.d/*\"\n"),
        ("[ab]/c.d/one.toml", ONE_SERVER),
        ("a/c.d/wrong.toml", "wrong"),
    ]);
    let loaded = load_file(&files.0.path().join("[ab]/main.toml")).unwrap();
    assert_eq!(loaded.plan.servers.len(), 1);
}
