//! Texts with variables, `$remote_addr$request_uri`: taken apart here, put together where a request is known.

use std::fmt;

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// As written.
    text: String,
    parts: Vec<Part>,
}

/// A piece of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// What a request says.
    Variable(Variable),
}

/// nginx's variables that a request or session has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `$remote_addr`: the client's address; behind trusted proxies the one that they name.
    RemoteAddr,
    /// `$host`: lower case, without port.
    Host,
    /// `$request_uri`: as sent, with the query.
    RequestUri,
    /// `$uri`: the path, decoded and tidied.
    Uri,
    /// `$args`: the query, without `?`.
    Args,
    /// `$request_method`.
    RequestMethod,
    /// `$scheme`.
    Scheme,
    /// `$arg_NAME`: a parameter of the query.
    Arg(String),
    /// `$http_NAME`: a field, in lower case with dashes.
    Http(String),
    /// `$cookie_NAME`.
    Cookie(String),
}

impl Variable {
    /// Also a TCP session has it.
    pub fn is_of_sessions(&self) -> bool {
        matches!(self, Variable::RemoteAddr)
    }

    fn named(name: &str) -> Option<Variable> {
        Some(match name {
            "remote_addr" | "binary_remote_addr" => Variable::RemoteAddr,
            "host" => Variable::Host,
            "request_uri" => Variable::RequestUri,
            "uri" | "document_uri" => Variable::Uri,
            "args" | "query_string" => Variable::Args,
            "request_method" => Variable::RequestMethod,
            "scheme" => Variable::Scheme,
            _ => match name.split_once('_')? {
                ("arg", name) if !name.is_empty() => Variable::Arg(name.to_string()),
                ("http", name) if !name.is_empty() => Variable::Http(name.to_ascii_lowercase().replace('_', "-")),
                ("cookie", name) if !name.is_empty() => Variable::Cookie(name.to_string()),
                _ => return None,
            },
        })
    }
}

/// What nginx calls them, for messages.
const KNOWN: &str =
    "$remote_addr, $host, $request_uri, $uri, $args, $arg_NAME, $http_NAME, $cookie_NAME, $request_method and $scheme";

impl Template {
    /// Takes a text apart. `$name` and `${name}` are variables; a dollar sign cannot be had otherwise, as in nginx.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_string()));
            }
            let behind = &rest[at + 1..];
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, left) = match behind.strip_prefix('{') {
                Some(inner) => inner.split_once('}').ok_or("a `${` without its `}`")?,
                None => behind.split_at(behind.find(|c| !is_name(c)).unwrap_or(behind.len())),
            };
            if name.is_empty() {
                return Err("a `$` without a name behind it".to_string());
            }
            let variable = Variable::named(name);
            parts.push(Part::Variable(
                variable.ok_or_else(|| format!("unknown variable `${name}`; there are {KNOWN}"))?,
            ));
            rest = left;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_string()));
        }
        Ok(Template { text: text.to_string(), parts })
    }

    /// Its pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Its variables.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_apart_or_are_refused() {
        let variable = Part::Variable;
        let text = |text: &str| Part::Text(text.to_string());
        let good: [(&str, Vec<Part>); 6] = [
            ("", vec![]),
            ("$remote_addr", vec![variable(Variable::RemoteAddr)]),
            ("a$uri?b", vec![text("a"), variable(Variable::Uri), text("?b")]),
            ("${host}x", vec![variable(Variable::Host), text("x")]),
            ("$cookie_Sid", vec![variable(Variable::Cookie("Sid".into()))]),
            (
                "$http_X_Tenant$arg_id",
                vec![variable(Variable::Http("x-tenant".into())), variable(Variable::Arg("id".into()))],
            ),
        ];
        for (written, parts) in good {
            let template = Template::parse(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(template.parts(), parts, "{written}");
            assert_eq!(template.to_string(), written);
        }
        for (written, part) in
            [("$", "name"), ("a$ b", "name"), ("${host", "`}`"), ("$nope", "$nope"), ("$arg_", "$arg_")]
        {
            let error = Template::parse(written).expect_err(written);
            assert!(error.contains(part), "{written}: {error}");
        }
    }
}
