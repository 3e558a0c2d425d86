//! Media types by file name extension.

use crate::config::plan::Types;

/// The type of the file that `path` asks for; "": none is said.
pub fn media_type<'a>(types: &'a Types, path: &str) -> &'a str {
    let known = extension(path).and_then(|extension| match extension.bytes().any(|b| b.is_ascii_uppercase()) {
        true => types.by_extension.get(&extension.to_ascii_lowercase()),
        false => types.by_extension.get(extension),
    });
    known.unwrap_or(&types.default)
}

/// What follows the last dot of the last name, unless the name begins with that dot.
fn extension(path: &str) -> Option<&str> {
    let name = &path[path.rfind('/').map_or(0, |at| at + 1)..];
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty()).then_some(extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found() {
        let known = [("css", "text/css"), ("html", "text/html"), ("gz", "application/gzip")];
        let by_extension = known.map(|(extension, name)| (extension.to_owned(), name.into())).into_iter().collect();
        let types = Types { by_extension, default: "text/plain".into() };
        let rows = [
            ("/a.css", "text/css"),
            ("/a.CSS", "text/css"),
            ("/b.css/a.html", "text/html"),
            ("/a.html.gz", "application/gzip"),
            ("/a.css/", "text/plain"),
            ("/b.css/a", "text/plain"),
            ("/a.", "text/plain"),
            ("/a.css.", "text/plain"),
            ("/.css", "text/plain"),
            ("/b/.css", "text/plain"),
            ("/..css", "text/css"),
            ("/css", "text/plain"),
            ("/\u{e9}.css", "text/css"),
            ("", "text/plain"),
        ];
        for (path, wanted) in rows {
            assert_eq!(media_type(&types, path), wanted, "{path}");
        }
        assert_eq!(media_type(&Types::default(), "/a.css"), "");
    }
}
