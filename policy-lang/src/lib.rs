//! The policy language: text, its meaning, and the packet sets it denotes.
