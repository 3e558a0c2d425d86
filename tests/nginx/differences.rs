//! Where ringgate means to answer otherwise than nginx, and why.

/// A difference that was found.
pub struct Found {
    pub request: &'static str,
    /// `status`, `body`, or a field in lower case.
    pub what: String,
    pub nginx: String,
    pub ringgate: String,
}

/// A difference that is meant.
struct Meant {
    /// Where it must be found.
    theme: &'static str,
    /// The requests as their lines have them; `ANY`: all, and in all themes.
    requests: &'static [&'static str],
    /// As in [`Found`]; `ANY`: all of the answer, for it is another one.
    what: &'static str,
    /// What ringgate answers instead; `ANY`: whatever it is.
    ringgate: &'static str,
    why: &'static str,
}

const ANY: &str = "*";

/// Bytes beyond ASCII must be encoded in a target (RFC 3986 2).
const NOT_ASCII: &[&str] = &[r"GET /keep/\xc3\xa9", r"GET /slash/\xc3\xa9"];
const COFFEE: &[&str] = &[r"GET /caf\xc3\xa9.txt"];
/// A port is digits, and a host has neither `@` nor `\` (RFC 9110 7.2).
const BAD_HOSTS: &[&str] = &[
    "GET / | Host: exact.test:abc",
    "GET / | Host: user@exact.test",
    r"GET / | Host: exact.test\\",
    "GET / | Host: exact.test:99999",
];

const MEANT: &[Meant] = &[
    meant("locations", NO_HOST_APP, "location", "http://example.test/app/", NO_HOST),
    meant("files", NO_HOST_SUB, "location", "http://example.test/sub/", NO_HOST),
    meant("returns", NO_HOST_301, "location", "http://example.test/to", NO_HOST),
    meant("rewrite", NO_HOST_REDIRECT, "location", "http://example.test/to/x", NO_HOST),
    meant(
        "files",
        BY_NAME,
        "location",
        "http://other.test/byname/sub/",
        "redirects name the host that the client asked for",
    ),
    meant(
        "locations",
        &["OPTIONS *"],
        ANY,
        ANY,
        "a question about the server as a whole is none about a path (RFC 9110 9.3.7)",
    ),
    meant("conditional", TWO_TAGS, ANY, ANY, "the lines of a field are one list; nginx 1.22 refuses two"),
    meant("conditional", &["GET /text | If-None-Match: *"], ANY, ANY, "a text of the configuration has no version"),
    meant(
        "conditions",
        &["GET /header?in=1"],
        "x-where",
        "outside",
        "within `if` there are rewrite statements only (the importer says so)",
    ),
    meant(
        "error_page",
        &["POST /as-own-proxy | Content-Length: 3 << abc"],
        ANY,
        ANY,
        "an error page is asked for as GET, without a body",
    ),
    meant("error_page", LOGIN, "www-authenticate", "", "the field of an answer that was thrown away goes with it"),
    meant("headers", UNSATISFIED, "x-always", "always-one", "nginx says it twice with 416"),
    meant("headers", UNSATISFIED, "x-server", "", "without `always` there is none with 416"),
    meant("headers", PROXIED_EXPIRES, "expires", ANY, "counted from now, not from the backend's Date, which goes on"),
    meant("gzip", OLD_VERSION, ANY, ANY, "files are not compressed for HTTP/1.0: their length would be lost"),
    meant("gzip", OWN_TEXTS, ANY, ANY, "texts of the configuration and built-in pages are too short to be worth it"),
    meant("gzip", VARY_ORDER, "vary", "Cookie & Accept-Encoding", "the order of fields of one name's list"),
    meant("gzip", STATIC, "accept-ranges", "bytes", "ranges of a file that lies there compressed are served"),
    meant("pass", SPACES, ANY, ANY, "a blank would end the target: it is encoded"),
    meant(
        "pass",
        PROXY_METHOD,
        ANY,
        ANY,
        "proxy_method, proxy_pass_request_body and _headers are not supported (the importer says so)",
    ),
    meant("pass", &["TRACE /keep/x"], ANY, ANY, "TRACE is a method like others"),
    meant("returns", NO_TEXT, "content-type", "", "an answer without a body has no type of it"),
    meant("returns", &["GET /304"], "content-length", "", "304 has no content, and says no length of it"),
    meant(
        "returns",
        &["GET /headers | A: 1 | A: 2"],
        "content-length",
        "9",
        "all lines of a field are one list, as nginx has it since 1.23",
    ),
    meant("returns", &["GET /captured/a%20b?c"], "location", "http://example.test/c/a%20b", "a URL has no blanks"),
    meant("files", &[ANY], "allow", ANY, "a 405 must say which methods are allowed (RFC 9110 15.5.6)"),
    meant("pass", NOT_ASCII, "status", "400", "bytes beyond ASCII must be encoded (RFC 3986 2)"),
    meant("pass", NOT_ASCII, "body", "(own page)", "the same"),
    meant("pass", NOT_ASCII, "content-type", "", "the same"),
    meant("pass", NOT_ASCII, "content-length", "", "the same"),
    meant("locations", &[r"GET /caf\xc3\xa9/x"], "status", "400", "the same"),
    meant("locations", &[r"GET /caf\xc3\xa9/x"], "body", "(own page)", "the same"),
    meant("locations", &[r"GET /caf\xc3\xa9/x"], "content-type", "", "the same"),
    meant("locations", &[r"GET /caf\xc3\xa9/x"], "content-length", "", "the same"),
    meant("files", COFFEE, "status", "400", "the same"),
    meant("files", COFFEE, "body", "(own page)", "the same"),
    meant("files", COFFEE, "content-type", "", "the same"),
    meant("files", COFFEE, "content-length", "", "the same"),
    meant("files", COFFEE, "etag", "", "the same"),
    meant("files", COFFEE, "last-modified", "", "the same"),
    meant("files", COFFEE, "accept-ranges", "", "the same"),
    meant("names", BAD_HOSTS, "status", "400", "a Host that could be read in two ways is refused"),
    meant("names", BAD_HOSTS, "body", "(own page)", "the same"),
    meant("names", BAD_HOSTS, "content-type", "", "the same"),
    meant("names", BAD_HOSTS, "content-length", "", "the same"),
    meant("pass", &["GET /keep/x HTTP/1.2"], "status", "505", "there is no HTTP/1.2"),
    meant("pass", &["GET /keep/x HTTP/1.2"], "body", "(own page)", "the same"),
    meant("pass", &["GET /keep/x HTTP/1.2"], "content-type", "", "the same"),
    meant("pass", &["GET /keep/x HTTP/1.2"], "content-length", "", "the same"),
    meant(
        "pass",
        &["CONNECT example.test:443"],
        "status",
        "405",
        "the target is right for CONNECT, which is not done here",
    ),
    meant("try_files", OUTSIDE, "status", "404", "nothing outside the root can be read, by no spelling"),
    meant("try_files", OUTSIDE, "body", "(own page)", "the same"),
    meant("try_files", OUTSIDE, "content-type", "", "the same"),
    meant("try_files", OUTSIDE, "content-length", "", "the same"),
    meant("try_files", OUTSIDE, "etag", "", "the same"),
    meant("try_files", OUTSIDE, "last-modified", "", "the same"),
    meant("try_files", OUTSIDE, "accept-ranges", "", "the same"),
    meant(
        "returns",
        &["GET /headers | A: 1 | A: 2"],
        "body",
        "1, 2|||||",
        "all lines of a field are one list, as nginx has it since 1.23",
    ),
    meant("conditional", NO_DATES, ANY, ANY, "a field with a date of no form of HTTP's is not there (RFC 9110 13.1.3)"),
    meant("gzip", GZIP_TOO, ANY, ANY, "x-gzip is gzip, and * is every coding (RFC 9110 8.4.1.3, 12.5.3)"),
    meant("gzip", RANGES, ANY, ANY, "who asks for a part gets a part"),
    meant("gzip", NO_TRANSFORM, ANY, ANY, "no-transform forbids it (RFC 9110 7.7)"),
];

/// Dates of no form that HTTP has: a wrong day, no zone, something behind.
const NO_DATES: &[&str] = &[
    "GET /a.txt | If-Modified-Since: Tue, 15 Jan 2024 12:00:00 GMT",
    "GET /a.txt | If-Modified-Since: Mon, 15 Jan 2024 12:00:00",
    "GET /a.txt | If-Modified-Since: Mon, 15 Jan 2024 12:00:00 GMT; length=26",
];
const GZIP_TOO: &[&str] = &["GET /long.txt | Accept-Encoding: x-gzip", "GET /long.txt | Accept-Encoding: *"];
const RANGES: &[&str] = &[
    "GET /long.txt | Accept-Encoding: gzip | Range: bytes=0-99",
    r#"GET /k1.css | Accept-Encoding: gzip | Range: bytes=0-9 | If-Range: "65a51e40-400""#,
    "GET /static-gz/pre.css | Accept-Encoding: gzip | Range: bytes=0-3",
];
const NO_TRANSFORM: &[&str] = &[
    "GET /proxied/x | Accept-Encoding: gzip | X-Give-Body: 100*long text  | X-Give-Field: Cache-Control: no-transform",
];

/// A redirect for a client that names no host: nginx names the address that was connected to.
const NO_HOST: &str = "a client without Host is told the server's name";
const NO_HOST_APP: &[&str] = &["GET /app HTTP/1.0 | Host: -"];
const NO_HOST_SUB: &[&str] = &["GET /sub HTTP/1.0 | Host: -"];
const NO_HOST_301: &[&str] = &["GET /301 HTTP/1.0 | Host: -"];
const NO_HOST_REDIRECT: &[&str] = &["GET /redirect/x HTTP/1.0 | Host: -"];
const BY_NAME: &[&str] = &["GET /byname/sub | Host: other.test"];
const TWO_TAGS: &[&str] = &[r#"GET /a.txt | If-None-Match: "x" | If-None-Match: "65a51e40-1a""#];
const LOGIN: &[&str] = &[r#"GET /intercept-401/x | X-Give: 401 | X-Give-Field: WWW-Authenticate: Basic realm="x""#];
const UNSATISFIED: &[&str] = &["GET /a.txt | Range: bytes=99-"];
const PROXIED_EXPIRES: &[&str] = &[
    "GET /e-proxied",
    "GET /e-proxied | X-Give-Field: Cache-Control: no-store | X-Give-Field: Expires: Thu, 01 Jan 1970 00:00:01 GMT",
];
const OLD_VERSION: &[&str] = &["GET /any-version/long.txt HTTP/1.0 | Accept-Encoding: gzip"];
const OWN_TEXTS: &[&str] = &[
    "GET /text | Accept-Encoding: gzip",
    "GET /error | Accept-Encoding: gzip",
    "GET /forbidden | Accept-Encoding: gzip",
    "GET /missing | Accept-Encoding: gzip",
];
const VARY_ORDER: &[&str] =
    &["GET /proxied-vary/x | Accept-Encoding: gzip | X-Give-Body: 100*long text  | X-Give-Field: Vary: Cookie"];
const STATIC: &[&str] =
    &["GET /static-gz/pre.css | Accept-Encoding: gzip", "HEAD /static-gz/pre.css | Accept-Encoding: gzip"];
const SPACES: &[&str] = &["GET /capture/a%20b", "GET /uri/x%20y"];
const PROXY_METHOD: &[&str] = &[
    "GET /method/x",
    "POST /method/x | Content-Length: 1 << a",
    "POST /no-body/x | Content-Length: 3 << abc",
    "GET /no-fields/x | T-Client: no",
];
const NO_TEXT: &[&str] = &["GET /200", "GET /200-empty", "GET /304"];

/// nginx puts the port it listens on into its redirects. Here they have that of Host, which is the one that clients connect to: behind
/// a mapped port (containers, NAT) nginx's leads nowhere. With the port left out both must be the same.
fn is_about_the_port(found: &Found) -> bool {
    let bare = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        format!("{scheme}://{}{path}", host.split(':').next().unwrap_or_default())
    };
    found.what == "location" && found.nginx.contains(":PORT/") && bare(&found.nginx) == bare(&found.ringgate)
}

/// A path that a client's argument leads out of the root.
const OUTSIDE: &[&str] = &["GET /query/?f=../secret.txt"];

const fn meant(
    theme: &'static str,
    requests: &'static [&'static str],
    what: &'static str,
    ringgate: &'static str,
    why: &'static str,
) -> Meant {
    Meant { theme, requests, what, ringgate, why }
}

impl Meant {
    fn is(&self, theme: &str, request: &str, found: &Found) -> bool {
        (request == ANY || self.theme == theme && request == found.request)
            && (self.what == ANY || self.what == found.what)
            && (self.ringgate == ANY || self.ringgate == found.ringgate)
    }
}

/// What is wrong with the differences of a theme: those that nobody meant, and those that are meant but not there.
pub fn unexplained(theme: &str, found: &[Found]) -> Vec<String> {
    let mut wrong = Vec::new();
    for found in found {
        let is_meant = |meant: &Meant| meant.requests.iter().any(|request| meant.is(theme, request, found));
        if !is_about_the_port(found) && !MEANT.iter().any(is_meant) {
            let Found { request, what, nginx, ringgate } = found;
            wrong.push(format!("{request}\n  {what} differs\n  nginx    {nginx}\n  ringgate {ringgate}"));
        }
    }
    for meant in MEANT.iter().filter(|meant| meant.theme == theme) {
        for request in meant.requests {
            if !found.iter().any(|found| meant.is(theme, request, found)) {
                let Meant { what, ringgate, why, .. } = meant;
                wrong.push(format!("{request}\n  {what} should be {ringgate} and is not any more; it was said: {why}"));
            }
        }
    }
    wrong
}
