//! stub
mod own;
pub mod words;
pub use own::own;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
#[derive(Debug)]
pub struct Exec {
    pub words: Vec<OsString>,
    pub expands: bool,
}
#[derive(Debug)]
pub struct Start {
    pub commands: Vec<Exec>,
    pub may_give_up: bool,
}
#[derive(Debug)]
pub struct Unit {
    pub name: String,
    pub exec_start: Vec<Exec>,
    pub environment: BTreeMap<OsString, OsString>,
    pub working_directory: PathBuf,
    pub has_own_root: bool,
    pub may_give_up: bool,
}
impl Unit {
    pub fn check_options(&self) -> Option<Vec<OsString>> {
        None
    }
}
#[derive(Debug)]
pub enum Trouble {
    NotFound(String),
    NoSystemd(String),
    Masked(String),
}
impl Trouble {
    pub fn keeps_from_starting(&self) -> bool {
        matches!(self, Self::Masked(_))
    }
}
impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
pub fn exec_start(_: &Path, unit: &OsStr) -> Result<Start, Trouble> {
    Err(Trouble::NoSystemd(unit.to_string_lossy().into()))
}
pub fn load(_: &Path, unit: &OsStr) -> Result<Unit, Trouble> {
    Err(Trouble::NoSystemd(unit.to_string_lossy().into()))
}
