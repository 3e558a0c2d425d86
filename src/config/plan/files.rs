//! Files that are served, and how bodies are compressed.

use crate::config::template::Template;
use ahash::HashMap;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Files of a location.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// Where they are.
    pub root: Root,
    /// `index`: what is served for a directory, in turn.
    pub index: Vec<Template>,
    /// Directories without an index are listed.
    pub autoindex: Option<Autoindex>,
    /// Types by file name extension.
    pub types: Arc<Types>,
    /// Answers have an ETag.
    pub etag: bool,
    /// How If-Modified-Since is read.
    pub if_modified_since: IfModifiedSince,
    /// Ranges of one request; 0: none are served; `None`: unlimited.
    pub max_ranges: Option<u32>,
    /// What becomes of symbolic links.
    pub symlinks: Symlinks,
    /// Files are kept open.
    pub cache: Option<FileCache>,
    /// `gzip_static`, `brotli_static`, `zstd_static`: FILE.gz, FILE.br, FILE.zst beside FILE.
    pub precompressed: Precompressed,
    /// Files that are not there are logged as errors.
    pub log_not_found: bool,
}

/// `root` and `alias`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// None is configured: nothing is there.
    None,
    /// The request's path is added. Absolute.
    Root(Template),
    /// Takes the place of the location's prefix, or is the whole path in a location with a regular expression. Absolute.
    Alias(Template),
    /// The alias of the location around this one, and the prefix of that, whose place it takes. Absolute.
    Within(Template, String),
}

/// How directories are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoindex {
    /// Sizes in bytes.
    pub exact_size: bool,
    /// Times of this machine's zone, not UTC.
    pub localtime: bool,
    /// JSON, not HTML.
    pub json: bool,
}

/// Types by file name extension.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Types {
    /// In lower case, without dot.
    pub by_extension: HashMap<String, Arc<str>>,
    /// For all else; empty: none is said.
    pub default: Arc<str>,
}

impl fmt::Debug for Types {
    /// Always in the same order.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sorted: BTreeMap<_, _> = self.by_extension.iter().collect();
        f.debug_struct("Types").field("by_extension", &sorted).field("default", &self.default).finish()
    }
}

/// nginx's `if_modified_since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfModifiedSince {
    /// The field is ignored.
    Off,
    /// Only the very time of the file.
    Exact,
    /// The file's time or a later one.
    Before,
}

/// What becomes of symbolic links beneath a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symlinks {
    /// Those that stay beneath the root are followed; others are refused.
    Inside,
    /// All are followed.
    Follow,
    /// None is.
    Off,
}

/// nginx's `open_file_cache`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCache {
    /// Files, of one worker.
    pub max: u32,
    /// Those not asked for are closed after that.
    pub inactive: Duration,
    /// After that it is looked whether it is still the same.
    pub valid: Duration,
    /// So often must a file be asked for within `inactive` to stay open.
    pub min_uses: u32,
    /// Also that a file is not there is remembered.
    pub errors: bool,
}

/// Which compressed files beside files are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Precompressed {
    /// FILE.gz
    pub gzip: Static,
    /// FILE.br
    pub brotli: Static,
    /// FILE.zst
    pub zstd: Static,
}

/// nginx's `gzip_static`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Static {
    /// They are not looked for.
    #[default]
    Off,
    /// For clients that accept them.
    On,
    /// For all.
    Always,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            root: Root::None,
            index: Vec::new(),
            autoindex: None,
            types: Arc::default(),
            etag: true,
            if_modified_since: IfModifiedSince::Exact,
            max_ranges: None,
            symlinks: Symlinks::Inside,
            cache: None,
            precompressed: Precompressed::default(),
            log_not_found: true,
        }
    }
}

/// Which bodies are compressed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compression {
    /// `gzip`.
    pub gzip: Option<Coding>,
    /// `brotli`.
    pub brotli: Option<Coding>,
    /// `zstd`.
    pub zstd: Option<Coding>,
    /// Say `Vary: Accept-Encoding` (`gzip_vary`).
    pub vary: bool,
    /// For which answers to other proxies (requests with Via).
    pub proxied: Proxied,
    /// Only for HTTP/1.1 (`gzip_http_version 1.1`), else also for HTTP/1.0.
    pub http11_only: bool,
}

impl Compression {
    /// Nothing is compressed.
    pub fn is_off(&self) -> bool {
        self.gzip.is_none() && self.brotli.is_none() && self.zstd.is_none()
    }
}

/// How one coding is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coding {
    /// gzip 1 to 9, brotli 0 to 11, zstd 1 to 22.
    pub level: u8,
    /// Bytes; shorter bodies of known length are left alone.
    pub min_length: u64,
    /// Media types in lower case; `*` is any.
    pub types: Arc<Vec<String>>,
}

/// nginx's `gzip_proxied`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proxied {
    /// `any`
    pub any: bool,
    /// `expired`
    pub expired: bool,
    /// `no-cache`
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `private`
    pub private: bool,
    /// `no_last_modified`
    pub no_last_modified: bool,
    /// `no_etag`
    pub no_etag: bool,
    /// `auth`
    pub auth: bool,
}
