//! The sample documents: a short tour of the demo, and four drawings.

use std::f32::consts::{PI, TAU};

use crate::pdf::{Font, Ink, PAGE, Page, document};

/// A file name, and what writes the file.
pub(crate) type Document = (&'static str, fn() -> Vec<u8>);

/// All documents.
pub(crate) const ALL: [Document; 2] = [("tour.pdf", tour), ("drawings.pdf", drawings)];

const NAVY: Ink = (0.07, 0.11, 0.22);
const TEAL: Ink = (0.05, 0.45, 0.52);
const RUST: Ink = (0.78, 0.34, 0.20);
const GREY: Ink = (0.42, 0.44, 0.48);
const PAPER: Ink = (0.97, 0.95, 0.91);

fn tour() -> Vec<u8> {
    document("A tour of the Ringway demo", &[what_runs(), one_request(), things_to_try()])
}

fn sheet(title: &str, number: usize, of: usize) -> Page {
    let mut page = Page::default();
    page.rectangle((0.0, 0.0), PAGE, PAPER);
    page.rectangle((0.0, PAGE.1 - 110.0), (PAGE.0, 110.0), NAVY);
    for ring in 0..5 {
        let centre = (452.0 + 20.0 * ring as f32, PAGE.1 - 55.0);
        page.line(&circle(centre, 16.0), 4.0, if ring % 2 == 0 { RUST } else { (0.30, 0.72, 0.76) });
    }
    page.text((56.0, PAGE.1 - 65.0), (Font::Bold, 26.0), PAPER, title);
    page.text(
        (56.0, 40.0),
        (Font::Plain, 9.0),
        GREY,
        &format!("Ringway sample files, page {number} of {of}"),
    );
    page
}

fn circle(centre: (f32, f32), radius: f32) -> Vec<(f32, f32)> {
    let point = |step: u8| {
        let angle = TAU * f32::from(step) / 96.0;
        (centre.0 + radius * angle.cos(), centre.1 + radius * angle.sin())
    };
    (0..=96).map(point).collect()
}

fn paragraph(page: &mut Page, top: f32, lines: &[&str]) {
    for (number, line) in lines.iter().enumerate() {
        page.text((56.0, top - 17.0 * number as f32), (Font::Plain, 11.5), NAVY, line);
    }
}

fn what_runs() -> Page {
    let mut page = sheet("What runs in the demo", 1, 3);
    paragraph(
        &mut page,
        690.0,
        &[
            "Three file servers and a cluster of five small servers stand behind the proxy.",
            "You talk to the proxy alone; it picks the server and relays what the server says.",
        ],
    );
    let rows = [
        ("127.0.0.1:8080", "the proxy: routes by path and by host name", RUST),
        ("127.0.0.1:8081", "the proxy: shares requests among the cluster", RUST),
        ("127.0.0.1:8888", "the default server: all that no other route takes", TEAL),
        ("127.0.0.1:8889", "pictures, under /images/", TEAL),
        ("127.0.0.1:8890", "documents, under /pdf/", TEAL),
        ("127.0.0.1:9000 to 9004", "the cluster: each answer names its server", NAVY),
    ];
    for (number, (address, meaning, ink)) in rows.into_iter().enumerate() {
        let y = 600.0 - 46.0 * number as f32;
        page.rectangle((56.0, y - 12.0), (483.0, 38.0), (1.0, 1.0, 1.0));
        page.rectangle((56.0, y - 12.0), (6.0, 38.0), ink);
        page.text((76.0, y + 2.0), (Font::Fixed, 11.0), ink, address);
        page.text((248.0, y + 2.0), (Font::Plain, 11.0), NAVY, meaning);
    }
    paragraph(
        &mut page,
        290.0,
        &["This very page came from the server on port 8890, whichever way you asked for it."],
    );
    page
}

fn one_request() -> Page {
    let mut page = sheet("One request, step by step", 2, 3);
    paragraph(
        &mut page,
        690.0,
        &["A browser asks for http://127.0.0.1:8080/pdf/tour.pdf, and this happens:"],
    );
    let steps = [
        ("1", "The proxy reads the head of the request and nothing after it."),
        ("2", "Host and path choose a route: /pdf/ belongs to the documents."),
        ("3", "The prefix is taken off: the server is asked for /tour.pdf."),
        ("4", "The server's answer comes back: its head is checked and written anew."),
        ("5", "The body follows as it comes, in constant memory, however large it is."),
        ("6", "One line in the access log says who asked, who answered and how long it took."),
    ];
    page.line(&[(80.0, 622.0), (80.0, 352.0)], 3.0, TEAL);
    for (number, (label, text)) in steps.into_iter().enumerate() {
        let y = 622.0 - 54.0 * number as f32;
        page.disc((80.0, y), 15.0, if number % 2 == 0 { TEAL } else { RUST });
        page.text((76.4, y - 4.5), (Font::Bold, 13.0), PAPER, label);
        page.text((110.0, y - 4.0), (Font::Plain, 11.5), NAVY, text);
    }
    page
}

fn things_to_try() -> Page {
    let mut page = sheet("Things to try", 3, 3);
    let commands = [
        ("See which server of the cluster answers; ask again and again.", "curl -i http://127.0.0.1:8081/"),
        (
            "Ask for a part of a picture: 206 Partial Content.",
            "curl -i -r 0-99 http://127.0.0.1:8080/images/rings.png -o part",
        ),
        (
            "See a redirect pass the proxy: its Location gets the prefix back.",
            "curl -i http://127.0.0.1:8080/images/redirect",
        ),
        ("Reach the same pictures by a host name.", "curl http://pictures.localhost:8080/"),
        ("Ask ten thousand times, ten at once.", "ab -n 10000 -c 10 -k http://127.0.0.1:8081/"),
    ];
    for (number, (meaning, command)) in commands.into_iter().enumerate() {
        let y = 680.0 - 86.0 * number as f32;
        page.text((56.0, y), (Font::Plain, 11.5), NAVY, meaning);
        page.rectangle((56.0, y - 38.0), (483.0, 26.0), NAVY);
        page.text((68.0, y - 29.0), (Font::Fixed, 10.5), PAPER, command);
    }
    page
}

fn drawings() -> Vec<u8> {
    document("Four drawings", &[spirograph(), sunflower(), roses(), waves()])
}

fn night(title: &str) -> Page {
    let mut page = Page::default();
    page.rectangle((0.0, 0.0), PAGE, NAVY);
    page.text((56.0, 56.0), (Font::Bold, 14.0), PAPER, title);
    page
}

/// From teal through pale gold to rust.
fn shade(at: f32) -> Ink {
    let wave = |shift: f32| 0.58 + 0.38 * (TAU * (at + shift)).cos();
    (wave(0.05), wave(0.62), wave(0.42))
}

fn spirograph() -> Page {
    let mut page = night("Spirograph");
    for turn in 0u8..9 {
        let arm = 40.0 + 12.0 * f32::from(turn);
        let point = |step: u16| {
            let angle = TAU * 7.0 * f32::from(step) / 1400.0;
            let radius = 130.0;
            let inner = angle * 10.0 / 7.0;
            (
                297.0 + radius * angle.cos() + arm * inner.cos(),
                440.0 + radius * angle.sin() - arm * inner.sin(),
            )
        };
        page.line(&(0..=1400).map(point).collect::<Vec<_>>(), 0.7, shade(f32::from(turn) / 12.0));
    }
    page
}

fn sunflower() -> Page {
    let mut page = night("Sunflower");
    let golden_angle = PI * (3.0 - 5f32.sqrt());
    for seed in 1u16..900 {
        let (angle, radius) = (golden_angle * f32::from(seed), 8.2 * f32::from(seed).sqrt());
        let centre = (297.0 + radius * angle.cos(), 440.0 + radius * angle.sin());
        page.disc(centre, 1.4 + radius / 62.0, shade(radius / 330.0));
    }
    page
}

fn roses() -> Page {
    let mut page = night("Twelve roses");
    for number in 0u8..12 {
        let petals = [2.0, 4.0, 8.0, 11.0][usize::from(number / 3)];
        let parts = f32::from(number % 3 + 1) * 2.0 + 1.0;
        let centre = (120.0 + 178.0 * f32::from(number % 3), 720.0 - 180.0 * f32::from(number / 3));
        let point = |step: u16| {
            let angle = TAU * parts * f32::from(step) / 900.0;
            let radius = 76.0 * (angle * petals / parts).cos();
            (centre.0 + radius * angle.cos(), centre.1 + radius * angle.sin())
        };
        page.line(&(0..=900).map(point).collect::<Vec<_>>(), 1.1, shade(f32::from(number) / 12.0));
    }
    page
}

fn waves() -> Page {
    let mut page = night("Waves");
    for row in 0u8..64 {
        let base = 760.0 - 10.2 * f32::from(row);
        let point = |step: u16| {
            let x = f32::from(step) / 240.0;
            let hill = (-(14.0 * (x - 0.5).powi(2))).exp();
            let ripple = (17.0 * x + f32::from(row) * 0.31).sin() * (7.0 * x - f32::from(row) * 0.17).cos();
            (60.0 + 475.0 * x, base + 26.0 * hill * ripple)
        };
        page.line(&(0..=240).map(point).collect::<Vec<_>>(), 1.0, shade(f32::from(row) / 90.0));
    }
    page
}
