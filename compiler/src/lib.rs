//! Policy to artefacts.
