//! Where a report goes: tables on standard output, or JSON; and files, all of them or none.

use std::path::{Path, PathBuf};

use crate::cli::{Artefact, Console, make_directory, write_all};
use crate::exit::Failure;
use crate::render::visible;
use crate::report::{Block, Page, csv, html, svg, text};

/// What to write, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Outputs {
    /// Print one JSON object instead of tables.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write each table and chart to a file of comma-separated values in this directory; or, if the
    /// name ends in `.csv`, the first table with numbers to this file.
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    csv: Option<PathBuf>,
    /// Write each chart to an SVG file in this directory.
    #[arg(long, value_name = "DIRECTORY", help_heading = "Output")]
    svg: Option<PathBuf>,
    /// Write the whole report to one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
}

/// A file to be.
struct File {
    path: PathBuf,
    content: String,
}

impl Outputs {
    /// Finds what can't be written before the work is done.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let directories = [&self.svg, &self.csv].into_iter().flatten();
        for path in directories.filter(|path| !is_csv(path)) {
            if path.exists() && !path.is_dir() {
                return Err(Failure::Usage {
                    message: format!("`{}` is no directory", path.display()),
                    help: Some(String::from(
                        "name a directory: there is a file for each chart",
                    )),
                });
            }
        }
        if let Some(path) = self.html.as_ref().filter(|path| path.is_dir()) {
            return Err(Failure::Usage {
                message: format!("`{}` is a directory", path.display()),
                help: Some(String::from("name a file, such as `report.html`")),
            });
        }
        Ok(())
    }

    /// Writes the files, then prints.
    pub(super) fn write(
        &self,
        json: impl FnOnce() -> String,
        page: impl FnOnce() -> Page,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let page = page();
        self.write_pages(json, &page, &page, console)
    }

    /// Writes the files, then prints, on a terminal another page than into files.
    pub(super) fn write_pages(
        &self,
        json: impl FnOnce() -> String,
        page: &Page,
        for_terminal: &Page,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let width = console.width();
        self.write_text(json, page, || text::page(for_terminal, width), console)
    }

    /// Writes the files, then prints, on a terminal a text of the caller's.
    pub(super) fn write_text(
        &self,
        json: impl FnOnce() -> String,
        page: &Page,
        text: impl FnOnce() -> String,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let files = self.files(page);
        for directory in self.directories() {
            make_directory(directory)?;
        }
        let artefacts: Vec<Artefact<'_>> = files
            .iter()
            .map(|file| Artefact {
                path: file.path.clone(),
                content: file.content.as_bytes(),
                executable: false,
            })
            .collect();
        write_all(&artefacts)?;
        if self.json {
            return console.raw(&json());
        }
        text()
            .lines()
            .try_for_each(|line| console.raw(&(visible(line) + "\n")))
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        let csv = self.csv.as_deref().filter(|path| !is_csv(path));
        csv.into_iter().chain(self.svg.as_deref())
    }

    fn files(&self, page: &Page) -> Vec<File> {
        let blocks = || page.sections.iter().flat_map(|section| &section.blocks);
        let mut files = Vec::new();
        match &self.csv {
            Some(path) if is_csv(path) => {
                let main = blocks().find_map(|block| match block {
                    Block::Table(table) if MAIN.contains(&table.id.as_str()) => Some(table),
                    _ => None,
                });
                files.extend(main.map(|table| File {
                    path: path.clone(),
                    content: csv::table(table),
                }));
            }
            Some(directory) => files.extend(blocks().filter_map(|block| {
                let (id, content) = match block {
                    Block::Table(table) => (&table.id, csv::table(table)),
                    Block::Chart(chart) => (&chart.id, csv::chart(chart)),
                    _ => return None,
                };
                Some(File {
                    path: directory.join(format!("{id}.csv")),
                    content,
                })
            })),
            None => {}
        }
        if let Some(directory) = &self.svg {
            files.extend(blocks().filter_map(|block| match block {
                Block::Chart(chart) => Some(File {
                    path: directory.join(format!("{}.svg", chart.id)),
                    content: svg::chart(chart),
                }),
                _ => None,
            }));
        }
        if let Some(path) = &self.html {
            files.push(File {
                path: path.clone(),
                content: html::page(page),
            });
        }
        files
    }
}

/// The tables that stand for a whole report.
const MAIN: [&str; 4] = ["comparison", "paper", "curve", "streams"];

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "csv")
}
