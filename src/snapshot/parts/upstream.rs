//! Seam, with the workspace key.

pub(in crate::snapshot) mod workspace_key;
