//! What an author of transforms needs beside an editor: a project to start from, and a component at the end
//! that says where it came from.
//!
//! This room drives Cargo, asks git, and never runs a transform.

mod build;
mod cargo;
mod component;
mod environment;
mod git;
mod new;
mod provenance;
mod target;

pub use build::{BuildOptions, Built, build};
pub use new::new_project;
