//! docs/model.md, where what was found stands between marks.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Two tests write to one file.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The document as it is, and as it should be.
pub(crate) struct Document {
    path: PathBuf,
    is: String,
    should_be: String,
    _alone: MutexGuard<'static, ()>,
}

impl Document {
    /// Opens it, for nobody else until it is closed.
    pub(crate) fn open() -> Self {
        let alone = ONE_AT_A_TIME.lock();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/model.md");
        let is = std::fs::read_to_string(&path).unwrap();
        let marks = is.matches("<!-- found: ").count();
        assert_eq!(marks, is.matches("<!-- end -->").count());
        Self {
            path,
            should_be: is.clone(),
            is,
            _alone: alone.unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Puts `text` between the two marks of `name`.
    pub(crate) fn replace(&mut self, name: &str, text: &str) {
        let (begin, end) = (format!("<!-- found: {name} -->\n"), "<!-- end -->");
        let (before, rest) = self.should_be.split_once(&begin).expect(&begin);
        let (_, after) = rest.split_once(end).expect(end);
        let mut whole = String::from(before);
        write!(whole, "{begin}{text}{end}{after}").unwrap();
        self.should_be = whole;
    }

    /// Fails if it is not as it should be; with UPDATE_MODEL it is from then on.
    pub(crate) fn close(self) {
        if std::env::var_os("UPDATE_MODEL").is_some() {
            std::fs::write(&self.path, &self.should_be).unwrap();
        }
        assert!(
            self.is == self.should_be,
            "docs/model.md is out of date: UPDATE_MODEL=1 writes what is found now"
        );
    }
}
