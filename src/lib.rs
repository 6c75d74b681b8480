//! Tidings: a notification delivery gateway for shops.
//!
//! The modules stand in reading order; [`intake`] is the file to read first. The layers are explained in `ARCHITECTURE.md` and kept
//! by `tests/tidy.rs`.

// The product does not panic on what comes from outside and prints only where a person asked for it; tests may do both.
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

// The flows: an intent enters, is decided, queued, handed over; what waits comes back.
pub mod intake;
pub mod planner;
pub mod relay;
pub mod worker;

pub mod heartbeat;
pub mod pacer;
pub mod scheduler;
pub mod sweeper;

// The stages that the flows are made of.
pub mod admit;
pub mod decide;
pub mod gate;
pub mod render;
pub mod settle;

// The words and rules, and the names of what is measured and told.
pub mod domain;
pub mod event;
pub mod failpoint;
pub mod proto;

// The seams and what stands behind them.
pub mod catalog;
pub mod provider;
pub mod queue;
pub mod store;

// The doors.
pub mod api;
pub mod cli;
pub mod client;
pub mod web;

// The process.
pub mod app;
pub mod config;
pub mod lifecycle;
pub mod telemetry;
