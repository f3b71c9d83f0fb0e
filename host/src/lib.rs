//! Tidemill: feature transforms written once, run as the same WebAssembly bytes online and offline.
//!
//! The sentence is *request → validate → look up → transform → join → score → answer → log*; [`score`] is its middle.
//!
//! ```text
//! cli → http → score → { request, store, transform, join, model, log } → { block, schema, error }
//! ```
//!
//! | room | what it does | what it never does |
//! |---|---|---|
//! | [`config`], [`app`] | one TOML file → one struct; everything a request may reach, built once | |
//! | [`http`] | JSON ↔ our types, errors ↔ problem documents | decide anything; nobody else knows axum or a status code |
//! | [`access`] | tokens, roles, what each route needs; the audit log | see a request |
//! | [`score`] | the sentence, on one screen | know how a step does its work |
//! | [`request`] | raw JSON → columns, checked against a schema | build a tree of values |
//! | [`service`] | a service file → a plan with every name resolved | run it |
//! | [`store`], [`view`], [`ingest`] | the newest row of each entity | look into a row's bytes |
//! | [`transform`] | runs components | know HTTP or tokio; nobody else knows wasmtime |
//! | [`join`] | columns side by side | anything else: it is pure |
//! | [`model`] | vector → score | nobody else knows tract |
//! | [`load`] | how much is in flight, and whether more can be taken | know who asks or what for |
//! | [`log`] | what was seen and answered, to Parquet | make an answer wait |
//! | [`jobs`] | answers for later: kept, run when there is time, fetched or sent | know HTTP or how an answer is made |
//! | [`canary`], [`shadow`] | other versions for a share of the requests: in the answer's place, or after it for the log | let a shadow touch an answer |
//! | [`compare`] | two versions side by side, from the log | ask a server |
//! | [`admission`] | proves on generated rows that an answer depends on nothing but its row; says what a version changes | trust a transform's word |
//! | [`registry`], [`training_set`] | names, versions, digests, artifacts, aliases, lineage | change a version |
//! | [`labels`] | what truly happened, learnt later: every report kept, the last counts | know who asks |
//! | [`offline`] | the same rows from and to Parquet, CSV, NDJSON, Arrow | know HTTP or tokio |
//! | [`apply`] | transforms over the rows of a file | know where a transform comes from, or who asked |
//! | [`training`] | rows of training sets, and two of them compared | go another way than an answer does |
//! | [`replay`] | logged answers run again and compared | trust the log's word for a feature |
//! | [`skew`] | a sample of answers computed again, fresh and from history | make an answer wait |
//! | [`statistics`] | what columns hold: one pass, bounded, the same in whatever order | know where rows come from |
//! | [`drift`] | answers against the training set of their model, as the log is written | make an answer wait |
//! | [`block`], [`schema`], [`error`], [`digest`], [`clock`] | the words all rooms share, and the time | know any room |

pub mod access;
pub mod admission;
pub mod app;
pub mod apply;
pub mod block;
pub mod canary;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod config;
pub mod digest;
pub mod drift;
pub mod error;
pub mod http;
pub mod ingest;
pub mod jobs;
pub mod join;
pub mod labels;
pub mod load;
pub mod log;
pub mod metrics;
pub mod model;
pub mod offline;
pub mod registry;
pub mod replay;
pub mod request;
pub mod schema;
pub mod score;
pub mod service;
pub mod shadow;
pub mod skew;
pub mod span;
pub mod statistics;
pub mod store;
pub mod training;
pub mod training_set;
pub mod transform;
pub mod view;
