//! Python inside templates: chat templates are written for Jinja2, and print, compare and call values as Python does.
//!
//! minijinja knows most of it; what differs stands here, one subject a file. Behaviour is that of CPython 3.11 to 3.14 and
//! jinja2 3.1.6, as transformers 5.23 sets it up.

pub(crate) mod filters;
pub(crate) mod json;
pub(crate) mod methods;
pub(crate) mod strftime;
pub(crate) mod text;
pub(crate) mod value;
