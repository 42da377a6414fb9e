//! Sets told in classes, changes of policies and answers about conditions, for random policies:
//! what is said is what the sets are, read again from the text that is printed.

#![cfg(test)]

mod classes;
mod lints;
mod simplify;
mod why;
