//! What the buffer does.
