//! How an error is shown.

use super::*;

#[test]
fn an_error_shows_its_line() {
    let text = site(GROUP, SERVER, "\tproxy_pass = \"http://bakcend\" # über");
    assert_eq!(
        load(&text).unwrap_err().to_string(),
        "f:6:15: error: there is no group or host `bakcend`; did you mean `backend`?\n\
         \x20 |\n\
         6 |     proxy_pass = \"http://bakcend\" # über\n\
         \x20 |                  ^^^^^^^^^^^^^^^^"
    );
    let columns = errors("server_name = [\"ü\", true]");
    assert_eq!(columns, ["f:1:1: error: `server_name` belongs in [[server]]"]);
    let columns = errors("[[server]]\nserver_name = [\"üü\", true]");
    assert!(columns[0].starts_with("f:2:22: "), "columns are characters: {columns:?}");
}

#[test]
fn a_second_place_is_shown_and_terminals_are_safe() {
    let text = site(GROUP, "listen = [\"80\",\n \"*:80\"]", LOCATION);
    let shown = load(&text).unwrap_err().to_string();
    assert!(shown.contains("---- the same address"), "{shown}");
    let shown = load("[[server]]\n\"evil\\u001b[31m\" = 1\n").unwrap_err().to_string();
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
