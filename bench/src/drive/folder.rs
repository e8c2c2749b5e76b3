//! The folder of a run: its set-up, its rows, its histograms and its report.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::counts;
use crate::older;
use crate::plan::{Kind, Setting};
use crate::report::{self, OwnCurve, Report};
use crate::row::{Row, from_json, to_csv, to_json};
use crate::setup::Setup;

/// Where a run is kept. A folder that is complete is never written again.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes `<date>-<name>` below `runs`, with a number behind it when that is there already.
    ///
    /// # Errors
    ///
    /// A name that is no file name, a folder that cannot be made.
    pub fn create(runs: &Path, date: &str, name: &str) -> io::Result<Self> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(is_good) {
            return Err(io::Error::other(format!(
                "a name has letters, digits, - _ and . only, not {name:?}"
            )));
        }
        fs::create_dir_all(runs)?;
        for number in 1.. {
            let again = if number == 1 { String::new() } else { format!("-{number}") };
            let path = runs.join(format!("{date}-{name}{again}"));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self { path }),
            }
        }
        Err(io::Error::other("there are too many runs of this name"))
    }

    /// One that is there.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps others from running into this folder at the same time, for as long as the result lives.
    ///
    /// # Errors
    ///
    /// Somebody else does it already.
    pub fn lock(&self) -> io::Result<fs::File> {
        let folder = fs::File::open(&self.path)?;
        let taken = |_| io::Error::other(format!("another sweep runs into {}", self.path.display()));
        folder.try_lock().map_err(taken)?;
        Ok(folder)
    }

    /// Reads `setup.json`.
    ///
    /// # Errors
    ///
    /// It is not there or not readable.
    pub fn setup(&self) -> io::Result<Setup> {
        let path = self.path.join("setup.json");
        let text = fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes `setup.json`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save_setup(&self, setup: &Setup) -> io::Result<()> {
        self.write("setup.json", &(serde_json::to_string_pretty(setup)? + "\n"))
    }

    /// Reads `raw.json`, older rows in today's terms; none if there is no such file yet.
    ///
    /// # Errors
    ///
    /// It is not readable, or the set-up is not.
    pub fn rows(&self) -> io::Result<Vec<Row>> {
        match fs::read_to_string(self.path.join("raw.json")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => {
                let mut rows = from_json(&read?)?;
                older::renew(&mut rows, &self.setup()?);
                Ok(rows)
            }
        }
    }

    /// Writes `raw.json` and `raw.csv`.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn save_rows(&self, rows: &[Row]) -> io::Result<()> {
        self.write("raw.json", &to_json(rows)?)?;
        self.write("raw.csv", &to_csv(rows)?)
    }

    /// Keeps the proxy's histogram of a run.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save_hgrm(&self, key: &str, text: &str) -> io::Result<()> {
        fs::create_dir_all(self.path.join("hgrm"))?;
        self.write(&hgrm_file(key), text)
    }

    /// Writes the report and its plots.
    ///
    /// # Errors
    ///
    /// A plot that cannot be drawn, a file that cannot be written.
    pub fn save_report(&self, setup: &Setup, rows: &[Row]) -> io::Result<Report> {
        let report = self.render(setup, rows)?;
        self.write_report(&report)?;
        Ok(report)
    }

    /// The report as it is written today, with what the counts say of each other among its notes.
    ///
    /// # Errors
    ///
    /// A plot that cannot be drawn, a file that is no histogram.
    pub fn render(&self, setup: &Setup, rows: &[Row]) -> io::Result<Report> {
        let mut setup = setup.clone();
        setup.notes.extend(counts::note(rows));
        report::render(&setup, rows, &self.own_curves(&setup, rows)?)
    }

    /// Makes a folder for a report alone.
    ///
    /// # Errors
    ///
    /// It is there already, or cannot be made.
    pub fn new_beside(path: &Path) -> io::Result<Self> {
        fs::create_dir(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Self::open(path))
    }

    /// Writes a report and its plots.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn write_report(&self, report: &Report) -> io::Result<()> {
        fs::create_dir_all(self.path.join("plots"))?;
        for (file, svg) in &report.plots {
            self.write(&format!("plots/{file}"), svg)?;
        }
        self.write("report.md", &report.markdown)?;
        self.write("report.html", &report.html)
    }

    /// Whole or not at all, so that a run that is broken off leaves what was there.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let new = self.path.join(format!("{file}.new"));
        fs::write(&new, text)?;
        fs::rename(new, self.path.join(file))
    }

    /// The proxy's histograms of the largest set and the highest concurrency of each tool, the rounds merged.
    ///
    /// # Errors
    ///
    /// A file that is no histogram.
    pub fn own_curves(&self, setup: &Setup, rows: &[Row]) -> io::Result<Vec<OwnCurve>> {
        let plan = &setup.plan;
        let largest = plan.largest_set();
        let highest = plan.concurrency.iter().copied().max().unwrap_or(1);
        let mut curves = Vec::new();
        for subject in plan.subjects.iter().filter(|subject| subject.kind == Kind::Runtime) {
            for tool in plan.tools.iter().copied().chain([crate::plan::Tool::Oha]) {
                let open = plan.open.map_or(0, |open| open.connections);
                let concurrency = if tool.is_open() { open } else { highest };
                let setting = Setting { tool, configured: largest, alive: largest, concurrency };
                let is_ours = |row: &&Row| {
                    row.cell.subject == *subject && row.cell.setting == setting && !row.cell.is_twin
                };
                let keys = rows.iter().filter(is_ours).map(Row::key);
                let merged = self.merged(keys)?;
                curves.extend(merged.map(|histogram| OwnCurve::new(&subject.name, setting, &histogram)));
            }
        }
        Ok(curves)
    }

    fn merged(&self, keys: impl Iterator<Item = String>) -> io::Result<Option<hdrhistogram::Histogram<u64>>> {
        let mut merged: Option<hdrhistogram::Histogram<u64>> = None;
        for key in keys {
            let Ok(text) = fs::read_to_string(self.path.join(hgrm_file(&key))) else { continue };
            let histogram = crate::latency::parse_hgrm(&text)?;
            match &mut merged {
                None => merged = Some(histogram),
                Some(all) => all.add(&histogram).map_err(io::Error::other)?,
            }
        }
        Ok(merged.filter(|histogram| !histogram.is_empty()))
    }
}

fn hgrm_file(key: &str) -> String {
    format!("hgrm/{}.hgrm", key.replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_never_made_twice() {
        let runs = tempfile::tempdir().unwrap();
        let first = Folder::create(runs.path(), "2026-11-25", "a").unwrap();
        let second = Folder::create(runs.path(), "2026-11-25", "a").unwrap();
        assert!(first.path().ends_with("2026-11-25-a"));
        assert!(second.path().ends_with("2026-11-25-a-2"));
        assert!(Folder::create(runs.path(), "2026-11-25", "../a").is_err());
        let held = first.lock().unwrap();
        assert!(Folder::open(first.path()).lock().is_err());
        drop(held);
        assert!(Folder::open(first.path()).lock().is_ok());
    }
}
