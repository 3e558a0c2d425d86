//! Files by `root` and by `alias`.

use super::guide;

#[test]
fn a_root_is_before_the_whole_path() {
    let guide = guide!("files_by_root.conf")
        .with("/var/www/site;", "{dir}/site;")
        .file("site/index.html", "the site")
        .file("site/about.html", "about")
        .file("site/old/index.htm", "old")
        .file("site/css/a.css", "a{}")
        .file("secret", "not of the site");
    for site in guide.run() {
        for (target, status, body) in [
            ("/", 200, "the site"),
            ("/index.html", 200, "the site"),
            ("/about.html", 200, "about"),
            ("/old/", 200, "old"),
            ("/css/a.css", 200, "a{}"),
            ("/css/a.css?v=2", 200, "a{}"),
        ] {
            let answer = site.get("example.com", target);
            assert_eq!((answer.status(), answer.text().as_str()), (status, body), "{}: {target}", site.name);
        }
        for (target, status) in
            [("/css/", 403), ("/nothing", 404), ("/../secret", 400), ("/%2e%2e/secret", 400), ("/old", 301)]
        {
            assert_eq!(site.get("example.com", target).status(), status, "{}: {target}", site.name);
        }
        let css = site.get("example.com", "/css/a.css");
        assert_eq!(css.field("content-type"), Some("text/css"), "{}", site.name);
        let tag = css.field("etag").expect("a tag").to_owned();
        let mut client = site.client();
        client.send(format!("GET /css/a.css HTTP/1.1\r\nHost: example.com\r\nIf-None-Match: {tag}\r\n\r\n"));
        assert_eq!(client.response().status(), 304, "{}", site.name);
    }
}

#[test]
fn an_alias_is_instead_of_the_prefix() {
    let guide = guide!("files_by_alias.conf")
        .with("/var/www/site/", "{dir}/site/")
        .file("site/styles/a.css", "a{}")
        .file("site/styles/deep/b.css", "b{}")
        .file("site/secret", "not of the styles");
    for site in guide.run() {
        for (target, body) in [("/css/a.css", "a{}"), ("/css/deep/b.css", "b{}"), ("/css/deep/../a.css", "a{}")] {
            let answer = site.get("example.com", target);
            assert_eq!((answer.status(), answer.text().as_str()), (200, body), "{}: {target}", site.name);
        }
        for (target, status) in [
            ("/css/", 403),
            ("/css/none.css", 404),
            ("/css/../secret", 404),
            ("/css../secret", 404),
            ("/styles/a.css", 404),
            ("/css/deep", 301),
        ] {
            assert_eq!(site.get("example.com", target).status(), status, "{}: {target}", site.name);
        }
    }
}
