//! Tidings: a notification delivery gateway for shops.
//!
//! The modules in reading order. `intake` is the file to read first: it is where an intent enters.

pub mod admit;
pub mod api;
pub mod app;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod config;
pub mod decide;
pub mod domain;
pub mod event;
pub mod intake;
pub mod lifecycle;
pub mod planner;
pub mod proto;
pub mod provider;
pub mod queue;
pub mod relay;
pub mod render;
pub mod scheduler;
pub mod settle;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod worker;
