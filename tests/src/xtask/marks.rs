//! Parts of documents that a task writes: what stands between `<!-- measured: NAME -->` and `<!-- end -->`.

use std::fs;
use std::path::Path;

use anyhow::Context;

const END: &str = "<!-- end -->";

/// Puts the text between the marks.
pub(crate) fn put(path: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let begin = format!("<!-- measured: {name} -->\n");
    let document = fs::read_to_string(path)?;
    let shown = path.display();
    let (before, rest) = document
        .split_once(&begin)
        .with_context(|| format!("no mark of `{name}` in {shown}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("no end of `{name}` in {shown}"))?;
    fs::write(path, format!("{before}{begin}{text}\n{END}{after}"))?;
    Ok(())
}
