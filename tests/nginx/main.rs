//! Differential tests: the same nginx.conf in Debian's nginx and in ringgate, the same bytes to both, the same answers from both.
//!
//! A theme is a configuration (`themes/NAME.conf`) and a list of requests (`themes/NAME.txt`, see [`corpus`] for its form). Each line
//! also says what is expected, so that the list is right by itself and not only as good as whatever both sides do. Where ringgate
//! means to differ, [`differences`] says so, line by line; a difference that is not listed fails, and so does a listed one that is
//! gone.

#[path = "../support/mod.rs"]
mod support;

mod answer;
mod corpus;
mod differences;
mod echo;
mod in_flight;
mod itself;
mod run;
mod tree;

/// A test for each theme, and what they have in common.
macro_rules! themes {
    ($($name:ident),* $(,)?) => {
        /// All themes: name, configuration, requests.
        pub const THEMES: &[(&str, &str, &str)] = &[$((
            stringify!($name),
            include_str!(concat!("themes/", stringify!($name), ".conf")),
            include_str!(concat!("themes/", stringify!($name), ".txt")),
        )),*];

        $(#[test]
        fn $name() {
            run::theme(stringify!($name));
        })*
    };
}

themes!(
    locations,
    pass,
    rewrite,
    conditions,
    map,
    returns,
    try_files,
    error_page,
    files,
    mime,
    ranges,
    conditional,
    names,
    headers,
    backend_headers,
    access,
    gzip,
    limits,
);
