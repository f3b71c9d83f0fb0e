//! What an author reads who wrote something that is no transform: the message, and where it points.
//!
//! `TRYBUILD=overwrite cargo test -p tidemill-sdk --test ui` writes the messages anew; read the diff.

#[test]
fn messages() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
