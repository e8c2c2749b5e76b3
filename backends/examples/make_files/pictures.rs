//! The sample pictures: each is a function from a point to a colour.

use std::f32::consts::{PI, TAU};

use crate::canvas::{Canvas, Colour, add, mixed, scaled, smooth_step};

/// A file name, and what draws the picture.
pub(crate) type Picture = (&'static str, fn() -> Canvas);

/// All pictures.
pub(crate) const ALL: [Picture; 4] =
    [("rings.png", rings), ("julia.png", julia), ("valley.jpg", valley), ("tiles.png", tiles)];

/// A ring of rings, each linked with the next.
fn rings() -> Canvas {
    const COUNT: usize = 12;
    const CIRCLE: f32 = 0.315;
    Canvas::drawn(1600, 1000, |x, y| {
        let mut colour = mixed([0.10, 0.13, 0.22], [0.03, 0.04, 0.08], (x * x + y * y).sqrt() * 1.2);
        let mut layers: Vec<(f32, f32, Colour)> = Vec::new();
        for number in 0..COUNT {
            let angle = TAU * number as f32 / COUNT as f32;
            let (dx, dy) = (x - CIRCLE * angle.cos(), y - CIRCLE * angle.sin());
            let (outward, along) = (dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin());
            // A link lies over its neighbour on one side and under it on the other: that is what links them.
            let height = (outward * along * 4000.0).clamp(-1.0, 1.0);
            if let Some((cover, ring)) = torus(dx, dy, rainbow(number as f32 / COUNT as f32)) {
                layers.push((height, cover, ring));
            }
        }
        layers.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, cover, ring) in layers {
            colour = mixed(colour, ring, cover);
        }
        colour
    })
}

/// How much of the point a ring around the origin covers (its shadow included), and its colour there.
fn torus(dx: f32, dy: f32, base: Colour) -> Option<(f32, Colour)> {
    const RADIUS: f32 = 0.118;
    const THICKNESS: f32 = 0.024;
    let distance = (dx * dx + dy * dy).sqrt();
    let across = (distance - RADIUS) / THICKNESS;
    if across.abs() < 1.0 {
        let up = (1.0 - across * across).sqrt();
        let (nx, ny) = (dx / distance * across, dy / distance * across);
        let light = (-0.45 * nx - 0.55 * ny + 0.70 * up).max(0.0);
        let shine = (-0.24 * nx - 0.30 * ny + 0.92 * up).max(0.0).powi(40);
        return Some((1.0, add(scaled(base, 0.18 + 0.82 * light), [0.6 * shine; 3])));
    }
    let shadow = 0.55 * (1.0 - smooth_step(1.0, 1.9, across.abs()));
    (shadow > 0.0).then_some((shadow, [0.0, 0.0, 0.02]))
}

/// A colour wheel without harsh corners.
fn rainbow(at: f32) -> Colour {
    let wave = |shift: f32| 0.56 + 0.42 * (TAU * (at + shift)).cos();
    [wave(0.0), wave(0.68), wave(0.36)]
}

/// The Julia set of z² + c, coloured by how fast a point escapes.
fn julia() -> Canvas {
    const C: (f32, f32) = (-0.7269, 0.1889);
    const STEPS: usize = 260;
    Canvas::drawn(1600, 1200, |x, y| {
        let (mut a, mut b) = (x * 2.15, y * 2.15);
        for step in 0..STEPS {
            let (aa, bb) = (a * a, b * b);
            if aa + bb > 64.0 {
                let smooth = step as f32 + 1.0 - ((aa + bb).ln() * 0.5 / 8f32.ln()).log2();
                return flame(smooth.max(0.0).sqrt() / 9.0);
            }
            (a, b) = (aa - bb + C.0, 2.0 * a * b + C.1);
        }
        [0.02, 0.01, 0.05]
    })
}

/// Night blue, teal, gold, white and back.
fn flame(at: f32) -> Colour {
    const STOPS: [Colour; 6] = [
        [0.02, 0.03, 0.12],
        [0.05, 0.22, 0.42],
        [0.16, 0.62, 0.66],
        [0.98, 0.86, 0.52],
        [0.93, 0.42, 0.16],
        [0.28, 0.05, 0.16],
    ];
    let position = (at * 5.0).min(4.999);
    let stop = position as usize;
    mixed(STOPS[stop], STOPS[stop + 1], position.fract())
}

/// Ridges behind ridges under a low sun.
fn valley() -> Canvas {
    const RIDGES: usize = 8;
    Canvas::drawn(1920, 1080, |x, y| {
        for ridge in (0..RIDGES).rev() {
            let near = ridge as f32 / (RIDGES - 1) as f32;
            let line = -0.06 + 0.50 * near.powf(1.15) - skyline(x, ridge);
            if y > line {
                let haze: Colour = mixed([0.99, 0.72, 0.52], [0.86, 0.60, 0.62], near * 2.0);
                let rock: Colour = mixed([0.62, 0.46, 0.56], [0.05, 0.07, 0.14], near);
                let depth = smooth_step(0.0, 0.30 - 0.12 * near, y - line);
                return mixed(rock, haze, depth * (0.85 - 0.62 * near));
            }
        }
        sky(x, y)
    })
}

fn sky(x: f32, y: f32) -> Colour {
    let distance = ((x - 0.30).powi(2) + (y + 0.14).powi(2)).sqrt();
    let air = mixed([0.18, 0.27, 0.50], [1.00, 0.74, 0.50], smooth_step(-0.5, 0.06, y));
    let glow = scaled([1.0, 0.72, 0.38], 0.55 * (-distance * 5.0).exp());
    let disc = scaled([1.0, 0.95, 0.78], 1.0 - smooth_step(0.055, 0.058, distance));
    let cloud = fractal_noise(x * 2.2 + 40.0, y * 11.0, 7) * smooth_step(0.1, -0.45, y);
    add(add(add(air, glow), disc), scaled([0.5, 0.36, 0.36], (cloud - 0.28).max(0.0)))
}

/// Height of a ridge above its base at `x`.
fn skyline(x: f32, ridge: usize) -> f32 {
    let near = ridge as f32;
    let rough = fractal_noise(x * (1.5 + near * 0.22) + near * 13.7, near * 5.1, ridge as u32);
    let sharp = 1.0 - (2.0 * fractal_noise(x * 1.1 + near * 7.3, near * 3.3, ridge as u32 + 50) - 1.0).abs();
    (0.10 + 0.015 * near) * rough + 0.13 * sharp * sharp * (1.0 - near / 11.0) - 0.05
}

/// Six octaves of value noise, from 0 to 1.
fn fractal_noise(x: f32, y: f32, seed: u32) -> f32 {
    let octave = |number: i32| {
        let zoom = 2f32.powi(number);
        value_noise(x * zoom, y * zoom, seed + number as u32) / zoom / 2.0
    };
    (0..6).map(octave).sum::<f32>() * (64.0 / 63.0)
}

fn value_noise(x: f32, y: f32, seed: u32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let (sx, sy) = (smooth_step(0.0, 1.0, x - column), smooth_step(0.0, 1.0, y - row));
    let corner = |dx: i32, dy: i32| scattered(column as i32 + dx, row as i32 + dy, seed);
    let top = corner(0, 0) * (1.0 - sx) + corner(1, 0) * sx;
    let bottom = corner(0, 1) * (1.0 - sx) + corner(1, 1) * sx;
    top * (1.0 - sy) + bottom * sy
}

/// A number from 0 to 1 that looks drawn, and is always the same for the same place.
fn scattered(x: i32, y: i32, seed: u32) -> f32 {
    let mut bits = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ seed;
    for _ in 0..2 {
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
        bits = (bits ^ (bits >> 12)).wrapping_mul(0x297A_2D39);
    }
    (bits >> 8) as f32 / (1 << 24) as f32
}

/// Quarter circles on square tiles, each turned at random: they join to endless ways.
fn tiles() -> Canvas {
    const TILES_HIGH: f32 = 10.0;
    Canvas::drawn(1200, 800, |x, y| {
        let (column, row) = ((x * TILES_HIGH).floor(), (y * TILES_HIGH).floor());
        let (mut dx, dy) = (x * TILES_HIGH - column, y * TILES_HIGH - row);
        if scattered(column as i32, row as i32, 9) < 0.5 {
            dx = 1.0 - dx;
        }
        let near = (dx * dx + dy * dy).sqrt();
        let far = ((1.0 - dx).powi(2) + (1.0 - dy).powi(2)).sqrt();
        let from_way = (near - 0.5).abs().min((far - 0.5).abs());
        let ground = mixed([0.96, 0.93, 0.86], [0.90, 0.85, 0.75], y + 0.5);
        let way = mixed([0.05, 0.42, 0.52], [0.80, 0.32, 0.22], 0.5 + 0.5 * (PI * (x + 0.6 * y)).sin());
        let edged = mixed(way, scaled(way, 0.45), smooth_step(0.11, 0.125, from_way));
        let marked = mixed([1.0, 0.97, 0.90], edged, smooth_step(0.018, 0.026, from_way));
        mixed(marked, ground, smooth_step(0.155, 0.165, from_way))
    })
}
