//! What one client has said of its epochs, and the answers that need no look at the kernel. The same
//! for a plug and for the module: a client need not know what it talks to.

use super::{Answer, Refusal, Request};

/// The newest epochs of each kind; `None` for a client that has said nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) ended: Option<u64>,
    pub(super) committed: Option<u64>,
    pub(super) aborted: Option<u64>,
}

impl Session {
    /// The answer to a request that is no news, or can't be granted; `None` for one that is to be
    /// carried out.
    pub(super) fn answer(&self, request: Request) -> Option<Answer> {
        match request {
            Request::End(epoch) => match self.ended {
                Some(newest) if epoch < newest => {
                    Some(Answer::Refused(Refusal::Backwards { epoch, newest }))
                }
                Some(newest) if epoch == newest => Some(Answer::Repeated(epoch)),
                _ => None,
            },
            Request::Committed(epoch) => {
                if self.committed.is_some_and(|newest| epoch <= newest) {
                    Some(Answer::Repeated(epoch))
                } else if self.aborted.is_some_and(|newest| epoch <= newest) {
                    Some(Answer::Refused(Refusal::Aborted(epoch)))
                } else if self.ended.is_none_or(|newest| epoch > newest) {
                    Some(Answer::Refused(Refusal::NotEnded(epoch)))
                } else {
                    None
                }
            }
            Request::Abort => None,
        }
    }
}
