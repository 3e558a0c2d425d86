//! Where ringgate listens, where backends are, and which of them gets a request.

use super::support::{Backend, Client, Place, Ringgate, Setup, backend, tools};
use std::net::TcpListener;

fn named(name: &'static str) -> Backend {
    Backend::answer(move |request| backend::ok(&format!("{name} {}", request.target())))
}

#[test]
fn unix_sockets_on_both_sides() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let backend =
        Backend::answer_on(&Place::Unix(folder.path().join("app.sock")), |request| backend::ok(request.target()));
    let setup = Setup::new().upstream("backend", &[backend.place()], "");
    let direct = format!("http://{}", backend.place());
    let locations = [("/", "http://backend", ""), ("/direct", &direct[..], "")];
    let ringgate = setup.server("unix:{dir}/front.sock", "", &locations).start();
    let start = ringgate.status();
    let mut client = Client::connect(&Place::Unix(ringgate.folder().join("front.sock")));
    for _ in 0..3 {
        assert_eq!(client.get("/a").text(), "/a");
        assert_eq!(client.get("/direct").text(), "/direct");
    }
    assert_eq!(client.post("/", &[b'x'; 100_000]).text(), "/");
    drop(client);
    backend.close_all();
    ringgate.expect_clean(&start);
}

#[test]
fn ipv6_on_both_sides() {
    if TcpListener::bind("[::1]:0").is_err() {
        return tools::skip("ipv6_on_both_sides", "there is no IPv6 loopback");
    }
    let backend = Backend::answer_on(&Place::parse("[::1]:0"), |request| {
        backend::ok(&format!("{:?} {:?}", request.all("x-forwarded-for"), request.all("x-real-ip")))
    });
    let setup = Setup::new().upstream("backend", &[backend.place()], "");
    let ringgate = setup.server("[::1]:0", "", &[("/", "http://backend", "")]).start();
    assert!(ringgate.place().to_string().starts_with("[::1]:"), "{}", ringgate.place());
    assert_eq!(ringgate.client().get("/").text(), "[\"::1\"] [\"::1\"]");
}

/// A name with two addresses of one machine: the one that refuses must not cost an error.
#[test]
fn localhost_works_when_only_one_of_its_addresses_listens() {
    let backend = named("v4");
    let list = format!("\"localhost:{}\"", backend.place().port());
    let setup = Setup::new().upstream_list("backend", &list, "");
    let ringgate = setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start();
    for _ in 0..10 {
        assert_eq!(ringgate.client().get("/").text(), "v4 /");
        assert_eq!(ringgate.client().post("/", b"body").text(), "v4 /");
    }
    let direct = format!("http://localhost:{}", backend.place().port());
    let ringgate = Setup::new().server("127.0.0.1:0", "", &[("/", &direct, "")]).start();
    assert_eq!(ringgate.client().get("/").text(), "v4 /");
}

#[test]
fn the_longest_prefix_wins_and_the_path_is_passed_as_it_came() {
    let (root, api, deep) = (named("root"), named("api"), named("deep"));
    let setup = Setup::new().upstream("root", &[root.place()], "").upstream("api", &[api.place()], "");
    let setup = setup.upstream("deep", &[deep.place()], "");
    let locations = [("/", "http://root", ""), ("/api/", "http://api", ""), ("/api/deep/", "http://deep", "")];
    let ringgate = setup.server("127.0.0.1:0", "", &locations).start();
    let mut client = ringgate.client();
    for (target, expected) in [
        ("/", "root"),
        ("/api/", "api"),
        ("/api/x?y=/api/deep/", "api"),
        ("/api/deep/x", "deep"),
        ("/API/", "root"),
        // For matching a path is decoded and its dots and doubled slashes are resolved, as nginx does it.
        ("/%61pi/x", "api"),
        ("/api%2fx", "api"),
        ("//api//deep//x", "deep"),
        ("/x/../api/", "api"),
        ("/api/../x", "root"),
        ("/api/./deep/x", "deep"),
        ("/api/deep/../x", "api"),
    ] {
        assert_eq!(client.get(target).text(), format!("{expected} {target}"));
    }
    // As in nginx: who leaves out the slash at the end is told so.
    for (target, location) in [("/api", "/api/"), ("/api/deep?x", "/api/deep/?x")] {
        let answer = client.get(target);
        assert_eq!(answer.status(), 301, "{target}");
        assert!(answer.field("location").is_some_and(|url| url.ends_with(location)), "{target}");
    }
}

#[test]
fn names_choose_the_server_and_nobody_is_left_out() {
    let (first, second, third) = (named("first"), named("second"), named("third"));
    let place = free_place();
    let pass = |backend: &Backend| format!("http://{}", backend.place());
    let setup = Setup::new()
        .server(&place.to_string(), "server_name = [\"one.example\", \"uno.example\"]", &[("/", &pass(&first), "")])
        .server(&format!("{place} default_server"), "server_name = \"two.example\"", &[("/", &pass(&second), "")])
        .server(&place.to_string(), "server_name = \"three.example\"", &[("/only/", &pass(&third), "")]);
    let ringgate = setup.start();
    let mut client = ringgate.client();
    let mut ask = |host: &str, target: &str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response()
    };
    assert_eq!(ask("one.example", "/").text(), "first /");
    assert_eq!(ask("uno.example", "/").text(), "first /");
    assert_eq!(ask("ONE.Example:8080", "/").text(), "first /");
    assert_eq!(ask("one.example.", "/").text(), "first /");
    assert_eq!(ask("two.example", "/").text(), "second /");
    assert_eq!(ask("unknown.example", "/").text(), "second /");
    assert_eq!(ask("sub.one.example", "/").text(), "second /");
    assert_eq!(ask("127.0.0.1", "/").text(), "second /");
    assert_eq!(ask("three.example", "/only/x").text(), "third /only/x");
    let missing = ask("three.example", "/other");
    assert_eq!((missing.status(), missing.reason()), (404, Some("no_location")));
    assert_eq!(ask("two.example", "http://one.example/").text(), "first /", "absolute form wins over Host");
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "second /");
}

#[test]
fn each_listener_has_its_own_servers() {
    let (first, second) = (named("first"), named("second"));
    let pass = |backend: &Backend| format!("http://{}", backend.place());
    let places = [free_place(), free_place()];
    let setup = Setup::new().server(&places[0].to_string(), "", &[("/", &pass(&first), "")]).server(
        &places[1].to_string(),
        "",
        &[("/", &pass(&second), "")],
    );
    let ringgate: Ringgate = setup.start();
    assert_eq!(ringgate.places().len(), 2);
    assert_eq!(Client::connect(&places[0]).get("/").text(), "first /");
    assert_eq!(Client::connect(&places[1]).get("/").text(), "second /");
}

/// Two servers share one listener only if both name its port. The kernel gives it out, and it is free again at once.
fn free_place() -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    Place::Tcp(listener.local_addr().expect("it is bound"))
}
