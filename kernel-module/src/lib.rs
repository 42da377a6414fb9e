//! The gate as a qdisc core.
