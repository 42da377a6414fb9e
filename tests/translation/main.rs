//! Each step from policy to rules keeps the meaning: checked exactly, on sets of all frames.

mod bpf;
mod flower;
mod interpreter;
mod lowering;
mod mutants;
mod nft;
mod proof;
mod script;
mod solver;
mod u32;
