//! HTTP, as nginx answers it.

use super::support::server::{Server, free_port, is_root, open_folder};
use super::support::{Place, tools, wait_until};
use super::{all_pass, check};
use ringgate::config::plan::CheckKind;

fn get(path: &str, host: Option<&str>, body: Option<&str>) -> CheckKind {
    CheckKind::Http {
        ssl: None,
        path: path.into(),
        host: host.map(str::to_owned),
        status: vec![200..=399],
        body: body.map(str::to_owned),
    }
}

#[test]
fn nginx_answers_and_sees_a_good_client() {
    const TEST: &str = "nginx_answers_and_sees_a_good_client";
    let Some(program) = tools::find(TEST, "nginx") else { return };
    let (folder, port) = (open_folder("ringgate-nginx-"), free_port());
    let dir = folder.path().to_str().expect("a plain name").to_owned();
    let user = if is_root() { "user root;" } else { "" };
    let config = format!(
        r#"{user}
daemon off; master_process off; pid {dir}/pid; error_log stderr info;
events {{}}
http {{
  log_format short '$status $request_method $uri $host $http_user_agent $http_connection $request_completion';
  access_log {dir}/access short;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  server {{
    listen 127.0.0.1:{port} default_server;
    listen unix:{dir}/socket;
    root {dir};
    location = /up {{ return 200 "all is ok\n"; }}
    location = /moved {{ return 302 /up; }}
    location = /down {{ return 503; }}
    location = /missing {{ return 404; }}
    location = /chunked {{ ssi on; default_type text/html; try_files /page.html =404; }}
  }}
  server {{ listen 127.0.0.1:{port}; server_name named.test; return 200 named; }}
}}
"#
    );
    std::fs::write(folder.path().join("conf"), config).expect("a file");
    let page = format!("{}<!--#echo var=\"uri\" --> at the end", "x".repeat(20_000));
    std::fs::write(folder.path().join("page.html"), page).expect("a file");
    let mut command = tools::bounded(&program, 300);
    command.args(["-c", &format!("{dir}/conf"), "-p", &dir, "-e", "stderr"]);
    let place = Place::parse(&format!("127.0.0.1:{port}"));
    let ready = move |_: &str| Some(place.clone());
    let server = Server::start(&mut command, ready, folder);
    let place = &server.place;

    all_pass(place, &get("/up", None, None), 5);
    all_pass(place, &get("/up", None, Some("is ok")), 5);
    all_pass(&Place::parse(&format!("unix:{dir}/socket")), &get("/up", None, Some("is ok")), 1);
    all_pass(place, &get("/moved", None, None), 1);
    all_pass(place, &get("/chunked", None, Some("/page.html at the end")), 1);
    all_pass(place, &get("/", Some("named.test"), Some("named")), 1);
    assert_eq!(check(place, &get("/down", None, None)), Err("status 503, expected 200-399".to_owned()));
    assert_eq!(check(place, &get("/missing", None, None)), Err("status 404, expected 200-399".to_owned()));
    let named = Err("the body lacks \"named\"".to_owned());
    assert_eq!(check(place, &get("/up", None, Some("named"))), named);

    let access = || std::fs::read_to_string(server.folder().join("access")).unwrap_or_default();
    wait_until("all are logged", || access().lines().count() == 17);
    let agent = concat!("ringgate-check/", env!("CARGO_PKG_VERSION"));
    for line in access().lines() {
        // Complete: none was given up (499) or cut off.
        assert!(line.ends_with(&format!("{agent} close OK")) && line.contains(" GET "), "{line}");
    }
    let log = server.log();
    assert!(!log.contains("[error]") && !log.contains("prematurely") && !log.contains("reset by peer"), "{log}");
}
