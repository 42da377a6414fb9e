// SPDX-License-Identifier: GPL-2.0

//! The gate as a qdisc core.
