//! What is shown to people and programs, in shapes that serialise: one shape for the command
//! line's JSON, for `/status`, and for whatever shows the same elsewhere.
//!
//! A shape is made from what a lower module found, and holds nothing that has to be looked up
//! again. Its fields are the keys of the JSON, which are stable.

pub mod audit;
pub mod bundle;
pub mod changes;
pub mod database;
pub mod health;
pub mod matrix;
pub mod orders;
pub mod policy;
