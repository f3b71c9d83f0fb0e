//! End to end: the real server on port 0, the real program, real flights. One test binary.

mod access;
mod admin;
mod admission;
mod apply;
mod audit;
mod author;
mod bad_guests;
mod bad_input;
mod cards;
#[cfg(target_os = "linux")]
mod clock;
mod command_line;
mod compare;
mod crash;
mod drift;
mod faults;
mod flights;
mod fuzz;
mod graph;
mod jobs;
mod labelled_sets;
mod labels;
mod models;
mod openapi;
mod overload;
mod proof;
mod registry;
mod rollout;
mod same;
mod scored_files;
mod strangers;
mod streams;
mod support;
mod tls;
mod trained;
