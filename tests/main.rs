//! End to end: the real server on port 0, the real program, real flights. One test binary.

mod access;
mod admin;
mod apply;
mod audit;
mod author;
mod bad_guests;
mod bad_input;
mod cards;
mod command_line;
mod crash;
mod flights;
mod graph;
mod jobs;
mod models;
mod openapi;
mod overload;
mod registry;
mod rollout;
mod same;
mod scored_files;
mod streams;
mod support;
mod tls;
