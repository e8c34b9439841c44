//! Structured log lines, which reach the spore's log with the task's id on them. Writing one never fails;
//! lines over the budget are counted and dropped by the host.
//!
//! ```
//! # fn main() {
//! venom_sdk::log::info!("read {} lines", 3);
//! venom_sdk::log::warn!(path = "/work/a.txt", size = 12; "skipped");
//! # }
//! ```

use std::fmt;

use crate::host;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever debugs the skill.
    Debug,
    /// For whoever runs it.
    Info,
    /// Odd, but the work goes on.
    Warn,
    /// Lost work.
    Error,
}

/// Writes one line with extra key/value pairs. The macros of this module are shorter.
pub fn write(level: Level, message: fmt::Arguments<'_>, fields: &[(&str, &dyn fmt::Display)]) {
    let fields = fields
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.to_string()))
        .collect();
    host::log(level, &message.to_string(), fields);
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident; $($key:ident = $value:expr),+; $($message:tt)+) => {
        $crate::log::write(
            $crate::log::Level::$level,
            ::std::format_args!($($message)+),
            &[$((::std::stringify!($key), &$value as &dyn ::std::fmt::Display)),+],
        )
    };
    ($level:ident; $($message:tt)+) => {
        $crate::log::write($crate::log::Level::$level, ::std::format_args!($($message)+), &[])
    };
}

macro_rules! level_macros {
    ($d:tt $($name:ident $exported:ident $level:ident),*) => {
        $(
            #[doc(hidden)]
            #[macro_export]
            macro_rules! $exported {
                ($d($d all:tt)+) => { $crate::__log!($level; $d($d all)+) };
            }
            #[doc = concat!("Writes a line of level [`Level::", stringify!($level), "`]: `", stringify!($name), "!(key = value; \"text {}\", more)`.")]
            #[doc(inline)]
            pub use $exported as $name;
        )*
    };
}

level_macros!($ trace __log_trace Trace, debug __log_debug Debug, info __log_info Info, warn __log_warn Warn, error __log_error Error);
