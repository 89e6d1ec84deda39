//! Reads files: below a root, without waiting for anybody, and up to a limit of bytes.

pub(crate) mod file;
pub mod glob;
pub mod root;
