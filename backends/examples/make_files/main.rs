//! Makes the sample pictures and documents under `backends/files`: `cargo run -p ringway-backends --example make_files`.
//!
//! All of them are drawn by arithmetic alone, so they belong to the project and come out the same every time.

mod canvas;
mod documents;
mod pdf;
mod pictures;

use std::io;
use std::path::Path;

const THUMBNAIL_WIDTH: usize = 360;

#[expect(clippy::disallowed_macros, reason = "this program has no access log")]
fn main() -> io::Result<()> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
    let images = files.join("images");
    for (name, draw) in pictures::ALL {
        let picture = draw();
        picture.save(&images.join(name))?;
        let thumbnail = Path::new(name).with_extension("jpg");
        picture.narrowed_to(THUMBNAIL_WIDTH).save(&images.join("thumbnails").join(thumbnail))?;
        println!("{name}: {} x {} pixels", picture.width(), picture.height());
    }
    for (name, write) in documents::ALL {
        let bytes = write();
        std::fs::write(files.join("pdf").join(name), &bytes)?;
        println!("{name}: {} bytes", bytes.len());
    }
    Ok(())
}
