//! A small writer of PDF 1.4 (ISO 32000-1): pages of text in the standard fonts, lines and filled shapes.

use std::fmt::Write as _;

/// Width and height of a page in points (1/72 inch): A4.
pub(crate) const PAGE: (f32, f32) = (595.0, 842.0);

/// Red, green and blue, each from 0 to 1.
pub(crate) type Ink = (f32, f32, f32);

/// Fonts that every reader has.
#[derive(Clone, Copy)]
pub(crate) enum Font {
    Plain = 1,
    Bold = 2,
    Fixed = 3,
}

/// One page's drawing instructions; the origin is the lower left corner.
#[derive(Default)]
pub(crate) struct Page {
    instructions: String,
}

impl Page {
    /// Writes one line of text (ASCII) with its base line's left end at `at`.
    pub(crate) fn text(&mut self, at: (f32, f32), (font, size): (Font, f32), ink: Ink, text: &str) {
        let escaped = text.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        let (x, y) = at;
        self.ink(ink, "rg");
        self.put(&format!("BT /F{} {size} Tf {x:.2} {y:.2} Td ({escaped}) Tj ET", font as u8));
    }

    /// A filled rectangle from its lower left corner.
    pub(crate) fn rectangle(&mut self, at: (f32, f32), size: (f32, f32), ink: Ink) {
        self.ink(ink, "rg");
        self.put(&format!("{:.2} {:.2} {:.2} {:.2} re f", at.0, at.1, size.0, size.1));
    }

    /// A line through all points, `width` points wide.
    pub(crate) fn line(&mut self, points: &[(f32, f32)], width: f32, ink: Ink) {
        self.ink(ink, "RG");
        self.put(&format!("{width:.2} w"));
        for (number, (x, y)) in points.iter().enumerate() {
            self.put(&format!("{x:.2} {y:.2} {}", if number == 0 { "m" } else { "l" }));
        }
        self.put("S");
    }

    /// A filled circle, of four Bézier curves.
    pub(crate) fn disc(&mut self, centre: (f32, f32), radius: f32, ink: Ink) {
        let (x, y) = centre;
        let (r, k) = (radius, radius * 0.5523);
        self.ink(ink, "rg");
        self.put(&format!("{:.2} {y:.2} m", x + r));
        for (ax, ay, bx, by, cx, cy) in
            [(r, k, k, r, 0.0, r), (-k, r, -r, k, -r, 0.0), (-r, -k, -k, -r, 0.0, -r), (k, -r, r, -k, r, 0.0)]
        {
            let points = (x + ax, y + ay, x + bx, y + by, x + cx, y + cy);
            let (ax, ay, bx, by, cx, cy) = points;
            self.put(&format!("{ax:.2} {ay:.2} {bx:.2} {by:.2} {cx:.2} {cy:.2} c"));
        }
        self.put("f");
    }

    fn ink(&mut self, ink: Ink, operator: &str) {
        self.put(&format!("{:.3} {:.3} {:.3} {operator}", ink.0, ink.1, ink.2));
    }

    fn put(&mut self, instruction: &str) {
        self.instructions.push_str(instruction);
        self.instructions.push('\n');
    }
}

/// The file of a document with these pages.
pub(crate) fn document(title: &str, pages: &[Page]) -> Vec<u8> {
    const FIRST_PAGE: usize = 7;
    let page_numbers = (0..pages.len()).map(|page| FIRST_PAGE + 2 * page);
    let kids: Vec<String> = page_numbers.map(|number| format!("{number} 0 R")).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count {} /Kids [{}] >>", pages.len(), kids.join(" ")),
        format!("<< /Title ({title}) /Creator (Ringway's sample files) >>"),
        font("Helvetica"),
        font("Helvetica-Bold"),
        font("Courier"),
    ];
    for (number, page) in pages.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {} {}] /Contents {} 0 R /Resources << /Font << /F1 4 0 R \
             /F2 5 0 R /F3 6 0 R >> >> >>",
            PAGE.0,
            PAGE.1,
            FIRST_PAGE + 2 * number + 1
        ));
        let instructions = &page.instructions;
        objects.push(format!("<< /Length {} >>\nstream\n{instructions}endstream", instructions.len()));
    }
    assembled(&objects).into_bytes()
}

fn font(name: &str) -> String {
    format!("<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>")
}

/// Header, objects numbered from 1, the table of where each begins, and the trailer (ISO 32000-1 section 7.5).
fn assembled(objects: &[String]) -> String {
    let mut file = "%PDF-1.4\n".to_owned();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in objects.iter().enumerate() {
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        let _ = write!(file, "{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let table_at = file.len();
    file.push_str(&table);
    let count = objects.len() + 1;
    let _ =
        write!(file, "trailer\n<< /Size {count} /Root 1 0 R /Info 3 0 R >>\nstartxref\n{table_at}\n%%EOF\n");
    file
}
