//! What an author of transforms needs beside an editor: a project to start from, and a component at the end.
//!
//! This room drives Cargo and never runs a transform.

mod build;
mod cargo;
mod component;
mod environment;
mod new;
mod target;

pub use build::{BuildOptions, Built, build};
pub use new::new_project;
