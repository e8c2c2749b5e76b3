//! The sample files, held in the program, as something that `ServeDir` can serve.

use std::future::{Ready, ready};
use std::io::{self, Cursor};
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::fs::{Backend, File, Metadata};

/// One sample file.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Its path below the server's root, without a leading slash.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

macro_rules! sample {
    ($folder:literal, $name:literal, $about:literal) => {
        Sample {
            name: $name,
            about: $about,
            bytes: include_bytes!(concat!("../files/", $folder, "/", $name)),
        }
    };
}

/// The files of the default server.
pub const DEFAULT_FILES: &[Sample] = &[
    sample!("default", "index.html", "what this is, and where to go"),
    sample!("default", "about.txt", "the same in a few lines of text"),
    sample!("default", "logo.svg", "five rings"),
];

/// The pictures.
pub const IMAGES: &[Sample] = &[
    sample!("images", "julia.png", "the Julia set of z\u{b2} \u{2212} 0.7269 + 0.1889i"),
    sample!("images", "rings.png", "twelve rings, each linked with the next"),
    sample!("images", "tiles.png", "quarter circles on tiles, turned at random"),
    sample!("images", "valley.jpg", "ridges behind ridges under a low sun"),
];

/// Small versions of [`IMAGES`], for the list.
pub(crate) const THUMBNAILS: &[Sample] = &[
    sample!("images", "thumbnails/julia.jpg", ""),
    sample!("images", "thumbnails/rings.jpg", ""),
    sample!("images", "thumbnails/tiles.jpg", ""),
    sample!("images", "thumbnails/valley.jpg", ""),
];

/// The documents.
pub const PDF: &[Sample] = &[
    sample!("pdf", "drawings.pdf", "four drawings made of lines and dots"),
    sample!("pdf", "tour.pdf", "a tour of the demo in three pages"),
];

/// A folder of samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folder(pub(crate) &'static [&'static [Sample]]);

impl Folder {
    fn find(self, path: &Path) -> io::Result<About> {
        let wanted: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let samples = || self.0.iter().copied().flatten();
        if let Some(sample) = samples().find(|sample| Path::new(sample.name) == wanted) {
            return Ok(About { content: Some(sample.bytes) });
        }
        let is_folder = samples().any(|sample| Path::new(sample.name).starts_with(&wanted));
        if is_folder { Ok(About { content: None }) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

impl Backend for Folder {
    type File = Open;
    type Metadata = About;
    type OpenFuture = Ready<io::Result<Open>>;
    type MetadataFuture = Ready<io::Result<About>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let content = |about: About| about.content.ok_or_else(|| io::ErrorKind::IsADirectory.into());
        ready(self.find(&path).and_then(content).map(|content| Open(Cursor::new(content))))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        ready(self.find(&path))
    }
}

/// A file's content, or a folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    content: Option<&'static [u8]>,
}

impl Metadata for About {
    fn is_dir(&self) -> bool {
        self.content.is_none()
    }

    /// The same for every build, so that a browser's copy stays good: 1 November 2026, 00:00 UTC.
    fn modified(&self) -> io::Result<SystemTime> {
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_491_200))
    }

    fn len(&self) -> u64 {
        self.content.map_or(0, |content| content.len() as u64)
    }
}

/// A sample that is being read.
#[derive(Debug)]
pub(crate) struct Open(Cursor<&'static [u8]>);

impl File for Open {
    type Metadata = About;
    type MetadataFuture<'a> = Ready<io::Result<About>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(About { content: Some(self.0.get_ref()) }))
    }
}

impl AsyncRead for Open {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buf)
    }
}

impl AsyncSeek for Open {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(context)
    }
}
