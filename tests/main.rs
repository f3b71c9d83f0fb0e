//! End to end: the real server on port 0, the real program, real flights. One test binary.

mod admin;
mod bad_guests;
mod bad_input;
mod cards;
mod command_line;
mod crash;
mod flights;
mod models;
mod overload;
mod registry;
mod same;
mod support;
