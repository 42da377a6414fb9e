//! Finds the code blocks of a Markdown file and the headings that they stand under.

use std::path::Path;

/// A code block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Where it starts, as `file:line` of its first line.
    pub(crate) place: String,
    /// The nearest heading above it, without the `#` signs.
    pub(crate) heading: String,
    /// What stands behind the opening fence.
    pub(crate) info: String,
    /// Its lines.
    pub(crate) text: String,
}

/// The headings and the code blocks of a document.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Each heading, without the `#` signs, in order.
    pub(crate) headings: Vec<String>,
    /// Each code block, in order.
    pub(crate) blocks: Vec<Block>,
}

impl Document {
    /// Reads a document of the workspace.
    pub(crate) fn load(path: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::read(path, &text)
    }

    fn read(path: &str, text: &str) -> Self {
        let mut document = Self::default();
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            let fence = line.strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(info)) => {
                    open = Some(Block {
                        place: format!("{path}:{}", index + 2),
                        heading: document.headings.last().cloned().unwrap_or_default(),
                        info: info.trim().to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some("")) => document.blocks.extend(open.take()),
                (Some(block), _) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {
                    if let Some(heading) = line.strip_prefix('#') {
                        let heading = heading.trim_start_matches('#').trim();
                        document.headings.push(heading.to_owned());
                    }
                }
            }
        }
        assert!(open.is_none(), "{path}: a code block is never closed");
        document
    }
}

#[test]
fn blocks_are_found_with_their_headings() {
    let text = "# A\n```gate,reject=E0102\n# no heading\nx;\n```\n\n## B\n```\n```\n";
    let document = Document::read("a.md", text);
    assert_eq!(document.headings, ["A", "B"]);
    let [first, second] = document.blocks.as_slice() else {
        panic!("{document:?}");
    };
    assert_eq!(first.place, "a.md:3");
    assert_eq!(
        (first.heading.as_str(), first.info.as_str()),
        ("A", "gate,reject=E0102")
    );
    assert_eq!(first.text, "# no heading\nx;\n");
    assert_eq!((second.heading.as_str(), second.text.as_str()), ("B", ""));
}
