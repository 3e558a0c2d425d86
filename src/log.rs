//! placeholder
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level { Error, Warn, Info }
#[derive(Clone)]
pub struct LogSender;
impl LogSender { pub fn send(&self, _level: Level, _text: String) {} }
