//! A picture in memory: colours as three numbers from 0 to 1, saved as PNG or JPEG.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// Red, green and blue, each from 0 to 1 (more is cut off when saved).
pub(crate) type Colour = [f32; 3];

/// Pixels in rows from the top left.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    /// Draws a picture by asking for the colour at points `(x, y)` in units of the picture's height, `(0, 0)` in
    /// its middle and y downwards; each pixel is the mean of four points.
    pub(crate) fn drawn(width: usize, height: usize, colour_at: impl Fn(f32, f32) -> Colour) -> Self {
        const OFFSETS: [(f32, f32); 4] = [(0.125, 0.375), (0.625, 0.125), (0.375, 0.875), (0.875, 0.625)];
        let scale = 1.0 / height as f32;
        let mut pixels = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let mut sum = [0.0; 3];
                for (dx, dy) in OFFSETS {
                    let x = (column as f32 + dx - width as f32 / 2.0) * scale;
                    let y = (row as f32 + dy - height as f32 / 2.0) * scale;
                    sum = add(sum, colour_at(x, y));
                }
                pixels.push(scaled(sum, 0.25));
            }
        }
        Self { width, height, pixels }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// The same picture, smaller: each pixel is the mean of those that it covers.
    pub(crate) fn narrowed_to(&self, width: usize) -> Self {
        let height = self.height * width / self.width;
        let mut pixels = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let rows = row * self.height / height..(row + 1) * self.height / height;
                let columns = column * self.width / width..(column + 1) * self.width / width;
                let count = (rows.len() * columns.len()) as f32;
                let covered = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
                let sum = covered.fold([0.0; 3], |sum, (x, y)| add(sum, self.pixels[y * self.width + x]));
                pixels.push(scaled(sum, 1.0 / count));
            }
        }
        Self { width, height, pixels }
    }

    /// Writes a PNG or a JPEG, by the name's extension.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let bytes = self.bytes();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            let encoder = jpeg_encoder::Encoder::new_file(path, 88).map_err(io::Error::other)?;
            let (width, height) = (self.width as u16, self.height as u16);
            return encoder
                .encode(&bytes, width, height, jpeg_encoder::ColorType::Rgb)
                .map_err(io::Error::other);
        }
        let mut encoder =
            png::Encoder::new(BufWriter::new(File::create(path)?), self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&bytes)?;
        Ok(writer.finish()?)
    }

    fn bytes(&self) -> Vec<u8> {
        self.pixels.iter().flatten().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect()
    }
}

pub(crate) fn add(a: Colour, b: Colour) -> Colour {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn scaled(a: Colour, by: f32) -> Colour {
    [a[0] * by, a[1] * by, a[2] * by]
}

/// From `a` (at 0) to `b` (at 1).
pub(crate) fn mixed(a: Colour, b: Colour, at: f32) -> Colour {
    let at = at.clamp(0.0, 1.0);
    add(scaled(a, 1.0 - at), scaled(b, at))
}

/// 0 below `from`, 1 above `to`, and a soft step between.
pub(crate) fn smooth_step(from: f32, to: f32, value: f32) -> f32 {
    let at = ((value - from) / (to - from)).clamp(0.0, 1.0);
    at * at * (3.0 - 2.0 * at)
}
