//! Where exchanges are written down.

use crate::config::template::{Template, Wants};
use std::sync::Arc;

/// One access log of a location.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Index into `Plan::access_logs`.
    pub file: usize,
    /// What a line looks like.
    pub format: Arc<LogFormat>,
    /// Written only if the text is neither empty nor "0".
    pub condition: Option<Template>,
}

impl AccessLog {
    /// What must be noted for its lines.
    pub fn wants(&self) -> Wants {
        let condition = self.condition.as_ref().map_or(Wants::NOTHING, Template::wants);
        Wants::LINE.and(self.format.template.wants()).and(condition)
    }
}

/// nginx's `log_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    /// As named.
    pub name: String,
    /// The line without its end.
    pub template: Template,
    /// How values are escaped.
    pub escape: Escape,
}

/// nginx's `escape=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `"`, `\` and bytes below 32 or above 126 as `\xXX`; "-" for what is empty.
    #[default]
    Default,
    /// As JSON has it.
    Json,
    /// As it is, but for line ends: a value must not begin a line of its own.
    None,
}

/// How much a line of the error log matters, the most first (nginx's crit, alert and emerg are errors here, notice is information).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// `error`
    Error,
    /// `warn`
    Warn,
    /// `info`
    #[default]
    Info,
}
