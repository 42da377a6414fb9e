//! Every behaviour of the protocol around a gate, searched to the end with stateright: the gate as
//! it should be keeps the law, and the search finds by itself what is wrong with the kernel's plug
//! and with releasing on write. Then the controller on a plug, held against that gate. What is found
//! and how much it went through stands in docs/model.md; `UPDATE_MODEL=1` writes it there.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod backwards;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod document;
#[cfg(test)]
mod marks;
#[cfg(test)]
mod narrate;
#[cfg(test)]
mod refinement;
#[cfg(test)]
mod search;
#[cfg(test)]
mod settings;
