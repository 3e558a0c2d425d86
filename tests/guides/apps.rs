//! One application, several by name and by path, both families of addresses, a configuration in several files.

use super::backends::{Group, flask};
use super::guide;
use super::site::has_v6;
use super::support::{Message, tools};
use serde_json::Value;

/// What an application saw.
#[track_caller]
fn seen(answer: &Message) -> Value {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

#[test]
fn one_application_sees_who_asked_for_what() {
    let Some(app) = flask("one_application_sees_who_asked_for_what", "notes") else { return };
    for site in guide!("single_app.conf").backends(5000, &[&app.place]).run() {
        let saw = seen(&site.get("notes.example.com", "/seen/a%20b?c=d"));
        assert_eq!(saw["path"], "/seen/a b?c=d", "{}", site.name);
        assert_eq!(saw["host"], "notes.example.com", "{}", site.name);
        assert_eq!(saw["x-real-ip"], "127.0.0.1", "{}", site.name);
        assert_eq!(saw["x-forwarded-for"], "127.0.0.1", "{}", site.name);
        assert_eq!(saw["x-forwarded-proto"], "http", "{}", site.name);
        let mut client = site.client();
        client.send("GET /seen/ HTTP/1.1\r\nHost: notes.example.com\r\nX-Forwarded-For: 192.0.2.9\r\nX-Real-IP: 192.0.2.9\r\n\r\n");
        let saw = seen(&client.response());
        assert_eq!((&saw["x-forwarded-for"], &saw["x-real-ip"]), (&"192.0.2.9, 127.0.0.1".into(), &"127.0.0.1".into()));
        assert_eq!(site.get("notes.example.com", "/missing").status(), 404, "{}", site.name);
        // The only server is the default one.
        assert_eq!(site.get("other.example.com", "/").text(), "notes", "{}", site.name);
        assert_eq!(site.client().exchange("HEAD", "/").status(), 200, "{}", site.name);
    }
}

#[test]
fn each_name_has_its_application() {
    const TEST: &str = "each_name_has_its_application";
    let Some(wiki) = flask(TEST, "wiki") else { return };
    let Some(mail) = Group::start(TEST, &["mail"]) else { return };
    for site in guide!("apps_by_name.conf").backends(5000, &[&wiki.place, mail.places()[0]]).run() {
        for (host, name) in [
            ("wiki.example.com", "wiki"),
            ("mail.example.com", "mail"),
            ("www.mail.example.com", "mail"),
            ("MAIL.example.com:80", "mail"),
            // The first server of a port takes what nobody names.
            ("unknown.example.com", "wiki"),
        ] {
            assert_eq!(site.bodies(host, "/", 1), [name], "{}: {host}", site.name);
        }
        assert_eq!(seen(&site.get("wiki.example.com", "/seen/x"))["host"], "wiki.example.com", "{}", site.name);
    }
}

#[test]
fn each_path_has_its_application() {
    const TEST: &str = "each_path_has_its_application";
    let Some(wiki) = flask(TEST, "wiki") else { return };
    let Some(mail) = Group::start(TEST, &["mail"]) else { return };
    for site in guide!("apps_by_path.conf").backends(5000, &[&wiki.place, mail.places()[0]]).run() {
        assert_eq!(site.bodies("example.com", "/wiki/", 1), ["wiki"], "{}", site.name);
        assert_eq!(site.bodies("example.com", "/mail/", 1), ["mail"], "{}", site.name);
        assert_eq!(site.bodies("example.com", "/mail/index.html", 1), ["mail"], "{}", site.name);
        let saw = seen(&site.get("example.com", "/wiki/seen/deep/er?q=1"));
        assert_eq!((&saw["name"], &saw["path"]), (&"wiki".into(), &"/seen/deep/er?q=1".into()), "{}", site.name);
        assert_eq!(site.get("example.com", "/wiki/mail/").status(), 404, "{}", site.name);
        assert_eq!(site.get("example.com", "/").status(), 404, "{}", site.name);
        let lent = site.get("example.com", "/wiki");
        assert_eq!(lent.status(), 301, "{}", site.name);
        assert!(lent.field("location").is_some_and(|to| to.ends_with("/wiki/")), "{}: {:?}", site.name, lent.fields);
        // The application says `/seen/left`; that nothing strips the other way is the guide's to know.
        assert_eq!(site.get("example.com", "/wiki/leave").field("location"), Some("/seen/left"), "{}", site.name);
    }
}

#[test]
fn both_families_of_addresses_lead_to_all_servers() {
    const TEST: &str = "both_families_of_addresses_lead_to_all_servers";
    if !has_v6() {
        return tools::cannot_run(TEST, "there is no IPv6 on the loopback");
    }
    let Some(group) = Group::start(TEST, &["one", "two"]) else { return };
    let port = |i: usize| group.places()[i].port();
    let guide = guide!("both_families.conf")
        .with("192.0.2.20;", format!("127.0.0.1:{};", port(0)))
        .with("app.internal.example.com;", format!("localhost:{};", port(1)));
    for site in guide.run() {
        let mut bodies = site.bodies("example.com", "/", 6);
        for _ in 0..6 {
            let answer = site.client_v6().get_from("example.com", "/");
            assert_eq!(answer.status(), 200, "{}", site.name);
            bodies.push(answer.text());
        }
        for name in ["one", "two"] {
            assert!(bodies.iter().any(|body| body == name), "{}: {name} of {bodies:?}", site.name);
        }
    }
}

#[test]
fn a_configuration_in_several_files_is_one() {
    const TEST: &str = "a_configuration_in_several_files_is_one";
    let Some(app) = flask(TEST, "notes") else { return };
    let site_file = include_str!("conf/single_app.conf").replace(":5000", &format!(":{}", app.place.port()));
    let guide = guide!("with_includes.conf")
        .with("/run/nginx.pid", "{dir}/nginx.pid")
        .file("mime.types", "types { text/html html htm; text/css css; application/javascript js; image/png png; }")
        .file("conf.d/gzip.conf", "gzip on;\ngzip_proxied any;\ngzip_types text/css application/javascript;\n")
        .file("conf.d/readme.txt", "this is no configuration")
        .file("sites-available/notes", &site_file)
        .file("sites-available/off", "server { listen 80; server_name off.example.com; return 410; }")
        .link("sites-enabled/notes", "../sites-available/notes");
    for site in guide.run() {
        assert_eq!(site.bodies("notes.example.com", "/", 1), ["notes"], "{}", site.name);
        assert_eq!(site.get("off.example.com", "/").status(), 200, "{}: what is not enabled is not there", site.name);
        let mut client = site.client();
        client.send("GET /style.css HTTP/1.1\r\nHost: notes.example.com\r\nAccept-Encoding: gzip\r\n\r\n");
        let style = client.response();
        assert_eq!((style.status(), style.field("content-encoding")), (200, Some("gzip")), "{}", site.name);
        assert!(style.body.len() < 400, "{}: {} bytes", site.name, style.body.len());
        let plain = site.get("notes.example.com", "/style.css");
        assert_eq!((plain.field("content-encoding"), plain.body.len()), (None, 3800), "{}", site.name);
    }
}

/// A server without a port has nginx's.
#[test]
fn servers_without_a_port_have_80() {
    let output = guide!("both_families.conf").import();
    let text = super::site::told(&output);
    assert!(output.status.success(), "{text}");
    let toml: toml::Table = String::from_utf8_lossy(&output.stdout).parse().unwrap_or_else(|e| panic!("{e}: {text}"));
    let servers = toml["upstream"]["web"]["server"].as_array().cloned().unwrap_or_default();
    let address =
        |server: &toml::Value| server.as_str().or(server.get("address").and_then(|a| a.as_str())).map(str::to_owned);
    let addresses: Vec<_> = servers.iter().filter_map(address).collect();
    let expected = [["192.0.2.20:80", "app.internal.example.com:80"], ["192.0.2.20", "app.internal.example.com"]];
    assert!(expected.iter().any(|one| addresses == one), "{addresses:?}");
}
