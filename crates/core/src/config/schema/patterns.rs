//! Patterns of texts, in the syntax of ECMA 262 that JSON Schema has.

/// Pattern for names: at least one visible character, and no control characters.
pub(in crate::config) const NAME: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
pub(in crate::config) const PROSE: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
pub(in crate::config) const PLAIN: &str = r"^[A-Za-z0-9._-]+$";
/// A pattern for names of outputs.
pub(in crate::config) const OUTPUT: &str = r"^[A-Za-z0-9._-]{1,64}$";
/// A pattern for names of splits, whose letters are those of any script.
pub(in crate::config) const SPLIT: &str = r"^[\p{L}\p{N}._-]+$";
/// Pattern for digits with underscores between them, which are an integer in YAML 1.1 and text in YAML 1.2.
pub(in crate::config) const GROUPED: &str = r"^[0-9][0-9_]*_[0-9_]*[0-9]$";
pub(in crate::config) const HUB_ID: &str =
    r"^(?!.*\.\.)[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?(/[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?)?$";
/// A pattern for a column, or a path into its values.
pub(in crate::config) const COLUMN: &str =
    r"^(?=.*\S)[^.\[\u0000-\u001f\u007f-\u009f]+(\.[^.\[\u0000-\u001f\u007f-\u009f]+|\[\s*[+-]?[0-9]+\s*\])*$";
/// A pattern for a function in a Python file of the workspace.
pub(in crate::config) const FUNCTION: &str =
    r"^(?!/|~|[A-Za-z]:)(?!.*://)(?!(.*/)?\.\./)[^\\\u0000-\u001f\u007f-\u009f]+\.py:[\p{L}_][\p{L}\p{N}_]*$";
/// A pattern for Hub ids and paths: no absolute paths and no URLs.
pub(in crate::config) const SOURCE: &str = r"^(?!/|~|[A-Za-z]:|\.\./)(?!.*://)[^\\\u0000-\u001f\u007f-\u009f]*[^\s\\\u0000-\u001f\u007f-\u009f][^\\\u0000-\u001f\u007f-\u009f]*$";
/// A pattern for a source, which may also be the address of something in a bucket.
pub(in crate::config) const PLACE: &str = r"^(s3|gs|az)://[A-Za-z0-9_-][A-Za-z0-9._-]*(/(?!\.{1,2}(/|$))[^/\\#%\u0000-\u001f\u007f-\u009f]+)*/*$|^(?!/|~|[A-Za-z]:|\.\./)(?!.*://)[^\\\u0000-\u001f\u007f-\u009f]*[^\s\\\u0000-\u001f\u007f-\u009f][^\\\u0000-\u001f\u007f-\u009f]*$";
/// A pattern for what a source without `format` must have to be a path: folders, wildcards, or an extension of rows.
pub(in crate::config) const PATH_LIKE: &str = r"^\./|/$|[*?\[]|/.*/|\.([Jj][Ss][Oo][Nn][Ll]?|[Nn][Dd][Jj][Ss][Oo][Nn]|[Pp][Aa][Rr][Qq][Uu][Ee][Tt]|[Aa][Rr][Rr][Oo][Ww]|[CcTt][Ss][Vv]|[Tt][Xx][Tt])(\.|$)";
pub(in crate::config) const PATH: &str =
    r"^(?!/|~|[A-Za-z]:)(?!.*://)(\./)*(?!\.{1,2}/*$)(?!\.{1,2}/)[^/\\]+(/(?!\.{1,2}(/|$))[^/\\]+)*/*$";
pub(in crate::config) const REVISION: &str = r"^(?![-/.])(?!.*[/.]$)(?!.*(\.\.|//|@\{))[^\s\\?#%*\[^~:]+$";
pub(in crate::config) const PERCENT: &str = r"^\s*[+-]?0*(100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+)\s*%+$";
